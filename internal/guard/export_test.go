package guard

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

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

// Patient is a body that may pause for so long.
func Patient(w http.ResponseWriter, body io.ReadCloser, patience time.Duration) (io.Reader, error) {
	return newPatient(w, body, patience)
}

// Walk goes through a directory as through a volume.
func Walk(ctx context.Context, dir string, met func(name string)) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	w := &walk{ctx: ctx, left: mostWalked, met: func(e walked) error { met(e.name); return nil }}
	return w.directory(fd, 0)
}
