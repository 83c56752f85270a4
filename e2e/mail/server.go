// Package mail proves a mail server with ordinary clients: SMTP with STARTTLS,
// IMAP with TLS, ManageSieve and the webmail's own pages. It knows nothing of
// how the server was started and reaches it only by the caller's Dial.
//
// Certificates are not verified, as a mail server that has just been installed has
// made its own; that of the webmail's name is.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strconv"
	"time"
)

// patience is how long one exchange may take when the caller set no deadline.
const patience = time.Minute

// Server says where a mail server and its webmail listen. A method whose port
// is 0 fails and says which port it lacks.
type Server struct {
	Host       string // name or address; default 127.0.0.1
	SMTP       int    // mail from other servers, usually 25
	Submission int    // mail from people, STARTTLS, usually 587
	SMTPS      int    // mail from people, TLS from the start, usually 465
	IMAP       int    // STARTTLS, usually 143
	IMAPS      int    // TLS from the start, usually 993
	Sieve      int    // ManageSieve, usually 4190
	Webmail    int    // HTTPS
	Front      *Front // the webmail by name; nil: it has none

	// Dial opens every connection. Default: from this process's network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	roots *x509.CertPool // sign the certificates; nil: nobody looks at them
}

// Front is where an ingress serves the webmail with TLS, on the same host.
type Front struct {
	Name string
	Port int
	Root string // PEM: who may have signed the name's certificate, and nobody else
}

// Login is an account and its password.
type Login struct {
	User     string // the whole address, alice@example.org
	Password string
}

// Message is a mail of one recipient.
type Message struct {
	From    string
	To      string
	Subject string // plain ASCII
	Body    string
}

// dial connects to a port. The connection ends with ctx, at the latest after
// patience. The caller closes it.
func (s Server) dial(ctx context.Context, what string, port int) (net.Conn, error) {
	if port == 0 {
		return nil, fmt.Errorf("connect to %s: no port is given for it", what)
	}
	dial := s.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	conn, err := dial(ctx, "tcp", s.address(port))
	if err != nil {
		cancel()
		return nil, fmt.Errorf("connect to %s at %s: %w", what, s.address(port), err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return &boundConn{Conn: conn, release: func() { stop(); cancel() }}, nil
}

// dialTLS is dial for a port that speaks TLS from the start.
func (s Server) dialTLS(ctx context.Context, what string, port int) (net.Conn, error) {
	conn, err := s.dial(ctx, what, port)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(conn, s.tlsConfig())
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS with %s at %s: %w", what, s.address(port), err)
	}
	return secured, nil
}

// inFront is the server with the webmail that the ingress serves. The name leads
// to the host, whatever a resolver says of it.
func (s Server) inFront() Server {
	host, dial := s.host(), s.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return dial(ctx, network, net.JoinHostPort(host, port))
	}
	s.Host, s.Webmail, s.roots = s.Front.Name, s.Front.Port, x509.NewCertPool()
	s.roots.AppendCertsFromPEM([]byte(s.Front.Root)) // none of them: nothing is trusted
	return s
}

func (s Server) host() string {
	if s.Host == "" {
		return "127.0.0.1"
	}
	return s.Host
}

func (s Server) address(port int) string {
	return net.JoinHostPort(s.host(), strconv.Itoa(port))
}

func (s Server) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: s.host(), RootCAs: s.roots, InsecureSkipVerify: s.roots == nil, MinVersion: tls.VersionTLS12}
}

// boundConn is a connection that is closed when its context ends.
type boundConn struct {
	net.Conn
	release func()
}

// Close closes the connection and lets go of its context.
func (c *boundConn) Close() error {
	c.release()
	return c.Conn.Close()
}
