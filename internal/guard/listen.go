package guard

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/policy"
	"havre/internal/problem"
)

// listen makes the socket. Its mode keeps strangers out, SO_PEERCRED judges
// those who are let in.
func listen(path string, group int) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	// A guard that follows has the name already when this one ends.
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chown(path, -1, group), os.Chmod(path, 0o660)); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// crowd lets in so many connections of each user at a time.
type crowd struct {
	*net.UnixListener
	most int
	log  *slog.Logger

	mu   sync.Mutex // guards what follows
	held map[uint32]int
	told time.Time // of a user with too many
}

// known is a connection of which the kernel said who made it.
type known struct {
	*net.UnixConn
	cred  *unix.Ucred
	leave func()
}

// Accept waits for a connection of a user who has not too many.
func (l *crowd) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		cred, err := peer(c)
		if err != nil || !l.enter(cred.Uid) {
			c.Close()
			continue
		}
		return &known{c, cred, sync.OnceFunc(func() { l.leave(cred.Uid) })}, nil
	}
}

func (l *crowd) enter(uid uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[uid] < l.most {
		l.held[uid]++
		return true
	}
	if time.Since(l.told) > time.Minute {
		l.told = time.Now()
		l.log.Warn("a user has as many connections as one may have; more are closed", "uid", uid, "connections", l.most)
	}
	return false
}

func (l *crowd) leave(uid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[uid]--; l.held[uid] == 0 {
		delete(l.held, uid)
	}
}

// Close makes room for another connection of the user's.
func (c *known) Close() error {
	c.leave()
	return c.UnixConn.Close()
}

// patient is a body that may pause, but not for ever.
type patient struct {
	io.ReadCloser
	conn     *http.ResponseController
	patience time.Duration
}

func newPatient(w http.ResponseWriter, body io.ReadCloser, patience time.Duration) (*patient, error) {
	p := &patient{body, http.NewResponseController(w), patience}
	return p, p.wait() // net/http reads on in a body that was refused
}

func (b *patient) wait() error { return b.conn.SetReadDeadline(time.Now().Add(b.patience)) }

func (b *patient) Read(p []byte) (int, error) {
	if err := b.wait(); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		// From here on net/http reads to hear whether the caller goes away.
		if gone := b.conn.SetReadDeadline(time.Time{}); gone != nil {
			err = gone
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = problem.New(problem.Invalid, "nothing came of the body for %v", b.patience)
	}
	return n, err
}

type (
	peerKey struct{}
	lifeKey struct{}
)

// guardLife is the context of the guard itself, out of a request's.
func guardLife(ctx context.Context) context.Context {
	if life, ok := ctx.Value(lifeKey{}).(context.Context); ok {
		return life
	}
	return ctx
}

// withPeer remembers who connected, as the kernel says.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	ctx = context.WithValue(ctx, lifeKey{}, ctx)
	k, ok := c.(*known)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, k.cred)
}

func peer(c *net.UnixConn) (*unix.Ucred, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) {
		cred, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return cred, errors.Join(err, asked)
}

// callerOf is who makes the request. One the bounds name is the server, even
// if it is root: the narrower role.
func (g *Guard) callerOf(ctx context.Context) policy.Caller {
	cred, ok := ctx.Value(peerKey{}).(*unix.Ucred)
	if !ok {
		return policy.Caller{UID: ^uint32(0)}
	}
	c := policy.Caller{UID: cred.Uid, PID: cred.Pid}
	switch {
	case slices.Contains(g.bounds.Callers, cred.Uid):
		c.Role = policy.Server
	case cred.Uid == 0:
		c.Role = policy.Root
	}
	return c
}
