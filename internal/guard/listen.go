package guard

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"havre/internal/policy"
)

// listen makes the socket. Its mode keeps strangers out, SO_PEERCRED judges
// those who are let in.
func listen(path string, group int) (net.Listener, error) {
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
	cred, err := peer(c)
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, cred)
}

func peer(c net.Conn) (*unix.Ucred, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.New("not a unix connection")
	}
	raw, err := u.SyscallConn()
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
