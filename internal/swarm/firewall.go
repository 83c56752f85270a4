package swarm

import (
	"context"

	"github.com/moby/moby/client"

	"havre/internal/dockercall"
)

// EnsureFirewall has the guard keep containers from these TCP ports of the
// machine and from the engine's own.
func (s *Swarm) EnsureFirewall(ctx context.Context, ports []uint16) error {
	var answer struct{}
	return s.call(ctx, dockercall.FirewallPath, dockercall.Firewall{Ports: ports}, &answer)
}

// Version gives the engine's version and that of the API spoken with it.
func (s *Swarm) Version(ctx context.Context) (engine, api string, err error) {
	v, err := s.api.ServerVersion(ctx, client.ServerVersionOptions{})
	return v.Version, s.api.ClientVersion(), explain(err, "ask the engine for its version")
}
