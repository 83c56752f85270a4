// Package notify tells notices to people: by mail and by webhook.
package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"havre/internal/alert"
	"havre/internal/problem"
)

// Sender sends notices. Host names this machine in them. The zero Instance
// makes numbers that are unique on this machine only.
type Sender struct {
	Host     string
	Instance string // makes the numbers of notices unique
}

// Send tells a notice by a channel. It comes back with nil when the other side
// has taken it.
// Errors: Unavailable when it did not; trying again may help.
func (s Sender) Send(ctx context.Context, c alert.Channel, n alert.Notice) error {
	var err error
	switch {
	case c.Mail != nil:
		err = s.mail(ctx, *c.Mail, n)
	case c.Webhook != nil:
		err = s.post(ctx, *c.Webhook, n)
	default:
		err = errors.New("it is neither mail nor webhook")
	}
	if err != nil {
		return problem.New(problem.Unavailable, "channel %s: %s", c.Name, err).With("see docs/operate/alerts.md; try it with: havre alert test %s", c.Name).Because(err)
	}
	return nil
}

// number is the same for each try of a notice.
func (s Sender) number(n alert.Notice) string {
	if n.ID == 0 {
		return fmt.Sprintf("test-%d.%s", n.Made.UnixNano(), s.Instance)
	}
	return fmt.Sprintf("%d.%s", n.ID, s.Instance)
}

// trust is the TLS of a client that trusts a root in a file, or what the
// machine does.
func trust(host, ca string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if ca == "" {
		return c, nil
	}
	text, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", ca)
	}
	return c, nil
}

// subject is a notice in a line.
func (s Sender) subject(n alert.Notice) string {
	words := map[string]string{"unwell": "PROBLEM", "well": "OVER", "test": "TEST"}[n.State]
	if n.Again {
		words = "STILL"
	}
	about := n.Alert
	return fmt.Sprintf("[havre %s] %s %s", s.Host, words, about)
}
