package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/mail"
	"net/smtp"
	"strings"
	"time"

	"havre/internal/alert"
	"havre/internal/secret"
)

// mail hands a notice to an SMTP server (RFC 5321).
func (s Sender) mail(ctx context.Context, m alert.Mail, n alert.Notice) (err error) {
	host, _, err := net.SplitHostPort(m.Server)
	if err != nil {
		return err
	}
	secure, err := trust(host, m.CA)
	if err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", m.Server)
	if err != nil {
		return err
	}
	defer conn.Close()
	if until, set := ctx.Deadline(); set {
		if err := conn.SetDeadline(until); err != nil {
			return err
		}
	}
	if m.TLS == "tls" {
		conn = tls.Client(conn, secure)
	}
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := s.greet(c, m, secure); err != nil {
		return err
	}
	from, err := mail.ParseAddress(m.From)
	if err != nil {
		return err
	}
	if err := c.Mail(from.Address); err != nil {
		return err
	}
	for _, to := range m.To {
		a, err := mail.ParseAddress(to)
		if err != nil {
			return err
		}
		if err := c.Rcpt(a.Address); err != nil {
			return fmt.Errorf("%s: %w", a.Address, err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(s.message(m, n)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = c.Quit() // the server has taken it
	return nil
}

// greet makes the connection private and says who we are. What should be
// private is not sent when it is not.
func (s Sender) greet(c *smtp.Client, m alert.Mail, secure *tls.Config) error {
	if err := c.Hello(helloName(s.Host)); err != nil {
		return err
	}
	if m.TLS == "" || m.TLS == "starttls" {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return errors.New("the server has no STARTTLS")
		}
		if err := c.StartTLS(secure); err != nil {
			return err
		}
	}
	if m.User == "" {
		return nil
	}
	password, err := secret.Read(m.PasswordFile)
	if err != nil {
		return err
	}
	return c.Auth(smtp.PlainAuth("", m.User, password.Reveal(), secure.ServerName))
}

func helloName(host string) string {
	if host == "" {
		return "localhost"
	}
	return host
}

// message is a notice as mail (RFC 5322), in base64 so that any words fit.
func (s Sender) message(m alert.Mail, n alert.Notice) []byte {
	var b bytes.Buffer
	header := func(name, value string) {
		// No header may begin another one.
		fmt.Fprintf(&b, "%s: %s\r\n", name, strings.NewReplacer("\r", " ", "\n", " ").Replace(value))
	}
	header("From", m.From)
	header("To", strings.Join(m.To, ", "))
	header("Subject", mime.QEncoding.Encode("utf-8", strings.NewReplacer("\r", " ", "\n", " ").Replace(s.subject(n))))
	header("Date", n.Made.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	header("Message-ID", "<"+s.number(n)+"@"+helloName(s.Host)+">")
	header("Auto-Submitted", "auto-generated") // RFC 3834
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "base64")
	text := fmt.Sprintf("%s\r\n\r\n%s\r\n\r\nsince:  %s\r\nrule:   %s\r\n", n.Alert, n.Says, n.Since.UTC().Format(time.RFC1123), n.Rule)
	if n.State == "unwell" && strings.Count(n.About, ".") == 2 {
		text += fmt.Sprintf("look:   havre why %s\r\nsilent: havre alert silence %s --for 2h\r\n", n.About, n.Alert)
	}
	b.WriteString("\r\n")
	code := base64.StdEncoding.EncodeToString([]byte(text))
	for len(code) > 76 {
		b.WriteString(code[:76] + "\r\n")
		code = code[76:]
	}
	b.WriteString(code + "\r\n")
	return b.Bytes()
}
