package guard

import (
	"context"
	"net/http"
	"path/filepath"

	"havre/internal/dockercall"
)

// Protect makes the firewall rules.
func (g *Guard) Protect(ctx context.Context) error { return g.protect(ctx) }

// Unprotect removes them.
func (g *Guard) Unprotect(ctx context.Context) error { return g.unprotect(ctx) }

// Close closes ports to containers, as the server asks for it.
func (g *Guard) Close(ctx context.Context, ports []uint16) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://guard", nil)
	if err != nil {
		return err
	}
	_, err = g.firewall(r, &dockercall.Firewall{Ports: ports})
	return err
}

// AuditSize is where the audit is set aside.
const AuditSize = auditSize

// OpenAudit opens an audit and gives a way to write to it.
func OpenAudit(path string) (write func(says string) error, done func() error, err error) {
	a, err := openAudit(path)
	if err != nil {
		return nil, nil, err
	}
	return func(says string) error { return a.Write(entry{Says: says}) }, a.Close, nil
}

// HolderOf names the process that has a port.
func HolderOf(c dockercall.Holder) (dockercall.HolderAnswer, error) {
	return (*Guard)(nil).holder(nil, &c)
}

// Transfer moves a directory as imports do.
func Transfer(ctx context.Context, from, to string) (string, error) {
	return transfer(ctx, data{filepath.Dir(from), filepath.Base(from)}, data{filepath.Dir(to), filepath.Base(to)})
}

// Swarm makes a swarm where there is none, for a caller that may go.
func (g *Guard) Swarm(ctx context.Context) (dockercall.SwarmAnswer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://guard", nil)
	if err != nil {
		return dockercall.SwarmAnswer{}, err
	}
	return g.swarm(r, &dockercall.Swarm{})
}

// LeaveSwarm leaves the swarm that this Havre made, if nobody else uses it.
func (g *Guard) LeaveSwarm(ctx context.Context) (dockercall.SwarmID, error) { return g.leaveSwarm(ctx) }
