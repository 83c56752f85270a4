package server

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"havre/internal/problem"
)

// peer is who is at the other end of a connection.
type peer struct {
	unix bool
	root bool // known from the kernel, never from what was sent
}

type peerKey struct{}

// withPeer asks the kernel once per connection who called.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, peerOf(c))
}

// peerOf gives the zero peer, which is trusted with nothing, when in doubt.
func peerOf(c net.Conn) peer {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return peer{}
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return peer{unix: true}
	}
	p := peer{unix: true}
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		p.root = err == nil && cred.Uid == 0
	})
	if err != nil {
		return peer{unix: true}
	}
	return p
}

// sameHost refuses what was sent to another name. A page of another site can
// make its own name point here and so have a browser send what it likes; the
// Host header then betrays it.
func (s *Server) sameHost(r *http.Request) error {
	p, _ := r.Context().Value(peerKey{}).(peer)
	if !p.unix && !localHost(r.Host) {
		return problem.New(problem.Denied, "this API is not served as %q", r.Host).
			With("ask for it as localhost or 127.0.0.1; from elsewhere, through an SSH tunnel")
	}
	return nil
}

// admit lets root in on the unix socket, and whoever shows the token.
func (s *Server) admit(r *http.Request) error {
	p, _ := r.Context().Value(peerKey{}).(peer)
	if err := s.sameHost(r); err != nil {
		return err
	}
	if p.root {
		return nil
	}
	if s.set.Metrics && r.Method == http.MethodGet && r.URL.Path == "/metrics" {
		return nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") && s.set.Token.Equal(token) {
		return nil
	}
	if slices.ContainsFunc(s.routes(), func(rt route) bool { return rt.open && rt.path == r.Method+" "+r.URL.Path }) {
		return nil
	}
	says := "the token is wrong"
	if token == "" {
		says = "no token was shown"
	}
	return &refusal{problem.New(problem.Denied, "%s", says).
		With("set HAVRE_TOKEN, or use the context that havre up saved for the user who ran it")}
}

// localHost tells whether a Host header means this machine.
func localHost(host string) bool {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = host, "0"
	}
	for _, c := range port {
		if c < '0' || c > '9' {
			return false
		}
	}
	switch strings.ToLower(name) {
	case "localhost", "127.0.0.1", "::1", "[::1]":
		return true
	}
	return false
}
