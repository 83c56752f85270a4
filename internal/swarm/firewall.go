package swarm

import (
	"context"

	"havre/internal/dockercall"
)

// EnsureFirewall keeps containers from the engine's own ports and from these
// of Havre's on this machine.
func (s *Swarm) EnsureFirewall(ctx context.Context, ports []uint16) error {
	return s.call(ctx, dockercall.FirewallPath, dockercall.Firewall{Ports: ports}, &struct{}{})
}
