package role

import (
	"context"
	"errors"
	"net"
	"path/filepath"

	"havre/internal/ingress"
	"havre/internal/portal"
	"havre/internal/problem"
	"havre/internal/route"
	"havre/internal/spec"
)

// throughPortals reaches containers by the portals of their environments: that
// of environment E listens on E/portal.sock below dir.
func throughPortals(dir string) ingress.Dial {
	return func(ctx context.Context, p spec.Protocol, t route.Target) (net.Conn, error) {
		if p != spec.TCP && p != spec.UDP {
			return nil, problem.New(problem.Invalid, "a portal does not connect by %s", p)
		}
		socket := filepath.Join(dir, t.Environment, "portal.sock")
		c, err := portal.Dial(ctx, socket, portal.Target{Container: t.Container, Address: t.Address, Port: t.Port, UDP: p == spec.UDP})
		var no *portal.Refusal
		if errors.As(err, &no) && (no.Kind == portal.Unknown || no.Kind == portal.Mismatch) {
			err = errors.Join(ingress.ErrElsewhere, err)
		}
		return c, err
	}
}
