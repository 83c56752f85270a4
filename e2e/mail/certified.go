package mail

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"
)

// Certified is nil when each port of the mail server, with TLS from the start or
// by STARTTLS, shows a certificate for the webmail's name that the root of Front
// signed. Errors: one for each port that does not.
func (s Server) Certified(ctx context.Context) error {
	s = s.inFront()
	var wrong []error
	for _, port := range []struct {
		what   string
		number int
		secure func(net.Conn) error // nil: TLS from the start
	}{
		{"SMTP", s.SMTP, s.secureSMTP},
		{"submission", s.Submission, s.secureSMTP},
		{"SMTPS", s.SMTPS, nil},
		{"IMAP", s.IMAP, s.secureIMAP},
		{"IMAPS", s.IMAPS, nil},
		{"ManageSieve", s.Sieve, func(c net.Conn) error { return newSieveClient(c).startTLS(s.tlsConfig()) }},
	} {
		if err := s.secured(ctx, port.what, port.number, port.secure); err != nil {
			wrong = append(wrong, err)
		}
	}
	return errors.Join(wrong...)
}

func (s Server) secured(ctx context.Context, what string, port int, secure func(net.Conn) error) error {
	if secure == nil {
		conn, err := s.dialTLS(ctx, what, port)
		if err == nil {
			conn.Close()
		}
		return err
	}
	conn, err := s.dial(ctx, what, port)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := secure(conn); err != nil {
		return fmt.Errorf("STARTTLS with %s at %s: %w", what, s.address(port), err)
	}
	return nil
}

func (s Server) secureSMTP(conn net.Conn) error {
	c, err := smtp.NewClientStartTLS(conn, s.tlsConfig())
	if err != nil {
		return err
	}
	return c.Hello("client.example") // the first words under TLS
}

func (s Server) secureIMAP(conn net.Conn) error {
	_, err := imapclient.NewStartTLS(conn, &imapclient.Options{TLSConfig: s.tlsConfig()})
	return err
}
