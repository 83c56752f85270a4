package mail

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Send sends m as a person does: STARTTLS on the submission port, then the
// login, then the mail. An empty From is the login.
func (s Server) Send(ctx context.Context, m Message, login Login) error {
	if m.From == "" {
		m.From = login.User
	}
	c, err := s.submit(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Auth(sasl.NewPlainClient("", login.User, login.Password)); err != nil {
		return fmt.Errorf("log in as %s on the submission port: %w", login.User, err)
	}
	return deliver(c, m)
}

// SendUnauthenticated sends m as another mail server does: to port 25, without
// a login.
func (s Server) SendUnauthenticated(ctx context.Context, m Message) error {
	c, err := s.greet(ctx, "SMTP", s.SMTP)
	if err != nil {
		return err
	}
	defer c.Close()
	return deliver(c, m)
}

// RelayRefused is nil when the server refuses, for good and without a login, a
// mail to address, which is no address of its own.
func (s Server) RelayRefused(ctx context.Context, address string) error {
	if err := s.recipientRefused(ctx, address); err != nil {
		return fmt.Errorf("relaying must be refused: %w", err)
	}
	return nil
}

// MailboxUnknown is nil when the server refuses, for good and while the sender
// still waits, a mail to address, which is of its domain but no account.
func (s Server) MailboxUnknown(ctx context.Context, address string) error {
	if err := s.recipientRefused(ctx, address); err != nil {
		return fmt.Errorf("an unknown mailbox must be refused: %w", err)
	}
	return nil
}

func (s Server) recipientRefused(ctx context.Context, address string) error {
	c, err := s.greet(ctx, "SMTP", s.SMTP)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Mail("stranger@elsewhere.example", nil); err != nil {
		return fmt.Errorf("MAIL FROM: %w", err)
	}
	err = c.Rcpt(address, nil)
	switch {
	case err == nil:
		return fmt.Errorf("RCPT TO:<%s> was accepted on port %d", address, s.SMTP)
	case !refusedForGood(err):
		return fmt.Errorf("RCPT TO:<%s>: want a 5xx answer, not: %w", address, err)
	}
	return c.Quit()
}

// submissionRefuses is nil when a login is answered with 535.
func (s Server) submissionRefuses(ctx context.Context, login Login) error {
	c, err := s.submit(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	err = c.Auth(sasl.NewPlainClient("", login.User, login.Password))
	var answer *smtp.SMTPError
	switch {
	case err == nil:
		return fmt.Errorf("the submission port let %s in", login.User)
	case !errors.As(err, &answer) || answer.Code != 535:
		return fmt.Errorf("log in as %s on the submission port: want answer 535, not: %w", login.User, err)
	}
	return nil
}

// submissionWantsTLS is nil when the submission port neither offers a login nor
// takes mail before TLS.
func (s Server) submissionWantsTLS(ctx context.Context) error {
	c, err := s.greet(ctx, "submission", s.Submission)
	if err != nil {
		return err
	}
	defer c.Close()
	if offers, _ := c.Extension("AUTH"); offers {
		return errors.New("the submission port offers a login before TLS")
	}
	if err := c.Mail("stranger@elsewhere.example", nil); !refusedForGood(err) {
		return fmt.Errorf("MAIL FROM before TLS on the submission port: want a 5xx answer, not: %v", err)
	}
	return nil
}

// submit opens the submission port and starts TLS.
func (s Server) submit(ctx context.Context) (*smtp.Client, error) {
	conn, err := s.dial(ctx, "submission", s.Submission)
	if err != nil {
		return nil, err
	}
	c, err := smtp.NewClientStartTLS(conn, s.tlsConfig())
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("STARTTLS on the submission port: %w", err)
	}
	if err := c.Hello("client.example"); err != nil {
		c.Close()
		return nil, fmt.Errorf("EHLO after STARTTLS on the submission port: %w", err)
	}
	return c, nil
}

// greet opens a port without TLS and says EHLO.
func (s Server) greet(ctx context.Context, what string, port int) (*smtp.Client, error) {
	conn, err := s.dial(ctx, what, port)
	if err != nil {
		return nil, err
	}
	c := smtp.NewClient(conn)
	if err := c.Hello("server.elsewhere.example"); err != nil {
		c.Close()
		return nil, fmt.Errorf("EHLO on the %s port: %w", what, err)
	}
	return c, nil
}

func deliver(c *smtp.Client, m Message) error {
	if err := c.SendMail(m.From, []string{m.To}, strings.NewReader(m.text(time.Now()))); err != nil {
		return fmt.Errorf("send %q to %s: %w", m.Subject, m.To, err)
	}
	if err := c.Quit(); err != nil {
		return fmt.Errorf("QUIT after %q was taken: %w", m.Subject, err)
	}
	return nil
}

// text is m as it goes over the wire.
func (m Message) text(now time.Time) string {
	_, domain, _ := strings.Cut(m.From, "@")
	head := []string{
		"From: <" + m.From + ">",
		"To: <" + m.To + ">",
		"Subject: " + m.Subject,
		"Date: " + now.Format(time.RFC1123Z),
		fmt.Sprintf("Message-ID: <%d@%s>", now.UnixNano(), domain),
		"MIME-Version: 1.0",
		"Content-Type: text/plain; charset=utf-8",
	}
	body := strings.ReplaceAll(strings.ReplaceAll(m.Body, "\r\n", "\n"), "\n", "\r\n")
	return strings.Join(head, "\r\n") + "\r\n\r\n" + body + "\r\n"
}

func refusedForGood(err error) bool {
	var answer *smtp.SMTPError
	return errors.As(err, &answer) && answer.Code >= 500
}
