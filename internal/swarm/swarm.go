// Package swarm is the only Docker client. It speaks to the engine through
// the guard's socket: services, networks, images, portals and volumes of
// Havre, and nothing that is somebody else's.
//
// Every method takes its deadline from its context. Errors have the kinds of
// package problem: NotFound, Conflict, Unavailable when the guard or the
// engine does not answer, Denied with the guard's rule when it refused,
// Failed when the engine tried and did not succeed.
package swarm

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/moby/moby/client"

	"havre/internal/dockercall"
	"havre/internal/problem"
	"havre/internal/spec"
)

// Swarm is a connection to one node's engine. Its methods may be called by
// many at once.
type Swarm struct {
	api     *client.Client
	own     *http.Client
	seen    ended
	refused func(says string) // may be nil; never changes in use

	mu    sync.Mutex
	node  spec.NodeID         // guarded by mu; never changes once known
	paths map[string][]string // guarded by mu; conventions that images have, by id
}

// New makes a client for the socket at socketPath, and does not use it yet.
//
// Errors: Invalid without a path.
func New(socketPath string) (*Swarm, error) {
	if socketPath == "" {
		return nil, problem.New(problem.Invalid, "the path of the guard's socket is missing")
	}
	s := &Swarm{}
	api, err := client.New(client.WithHost("unix://"+socketPath), client.WithUserAgent("havre"), client.WithHTTPResponseHook(s.watch))
	if err != nil {
		return nil, problem.New(problem.Invalid, "%q cannot be the guard's socket", socketPath).Because(err)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socketPath)
	}
	s.api = api
	s.own = &http.Client{Transport: watched{&http.Transport{DialContext: dial, MaxIdleConns: 2}, s.watch}}
	return s, nil
}

// Close lets go of idle connections.
func (s *Swarm) Close() error {
	s.own.CloseIdleConnections()
	return s.api.Close()
}

// Ready tells whether the guard and the engine answer.
//
// Errors: Unavailable when one of them does not.
func (s *Swarm) Ready(ctx context.Context) error {
	_, err := s.api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	return explain(err, "ask whether the engine is ready")
}

// Version tells the engine's own version and the API's that is spoken.
func (s *Swarm) Version(ctx context.Context) (engine, api string, err error) {
	r, err := s.api.ServerVersion(ctx, client.ServerVersionOptions{})
	return r.Version, s.api.ClientVersion(), explain(err, "ask the engine for its version")
}

// EnsureSwarm makes the engine a manager of a swarm unless it is one.
//
// Errors: Conflict when it is in a swarm that it does not manage.
func (s *Swarm) EnsureSwarm(ctx context.Context) error {
	var answer dockercall.SwarmAnswer
	if err := s.call(ctx, dockercall.SwarmPath, dockercall.Swarm{}, &answer); err != nil {
		return err
	}
	s.remember(spec.NodeID(answer.Node))
	return nil
}

// Granted is the capabilities that root lets services have beyond those of
// every container, like NET_ADMIN.
func (s *Swarm) Granted(ctx context.Context) ([]string, error) {
	var answer dockercall.SwarmAnswer
	err := s.call(ctx, dockercall.SwarmPath, dockercall.Swarm{}, &answer)
	var all []string
	for _, c := range answer.Capabilities {
		all = append(all, strings.TrimPrefix(string(c), "CAP_"))
	}
	return all, err
}

// Node is this machine's id in the swarm.
//
// Errors: Unavailable when it is in none.
func (s *Swarm) Node(ctx context.Context) (spec.NodeID, error) {
	s.mu.Lock()
	known := s.node
	s.mu.Unlock()
	if known != "" {
		return known, nil
	}
	r, err := s.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return "", explain(err, "ask for the node")
	}
	if r.Info.Swarm.NodeID == "" {
		return "", problem.New(problem.Unavailable, "this machine is in no swarm yet")
	}
	return s.remember(spec.NodeID(r.Info.Swarm.NodeID)), nil
}

func (s *Swarm) remember(n spec.NodeID) spec.NodeID {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node = n
	return n
}
