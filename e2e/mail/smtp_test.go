package mail_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"havre/e2e/mail"
)

func TestOpenRelayIsFound(t *testing.T) {
	server, _ := smtpWorld(t, nil)
	err := server.RelayRefused(t.Context(), "somebody@elsewhere.example")
	if err == nil || !strings.Contains(err.Error(), "was accepted") {
		t.Errorf("got %v; want that the recipient was accepted", err)
	}
}

func TestRelayRefusedForGoodIsRefused(t *testing.T) {
	server, _ := smtpWorld(t, &smtp.SMTPError{Code: 550, Message: "Relaying is not permitted"})
	if err := server.RelayRefused(t.Context(), "somebody@elsewhere.example"); err != nil {
		t.Error(err)
	}
}

func TestRelayRefusedForNowIsNotRefused(t *testing.T) {
	server, _ := smtpWorld(t, &smtp.SMTPError{Code: 451, Message: "Later"})
	err := server.RelayRefused(t.Context(), "somebody@elsewhere.example")
	if err == nil || !strings.Contains(err.Error(), "want a 5xx answer") {
		t.Errorf("got %v; want that 451 is not enough", err)
	}
}

func TestUnauthenticatedMailGoesOutWhole(t *testing.T) {
	server, taken := smtpWorld(t, nil)
	m := mail.Message{From: "friend@elsewhere.example", To: alice.User, Subject: "Hello", Body: "one\n.\ntwo"}
	if err := server.SendUnauthenticated(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	text := <-taken
	for _, want := range []string{"From: <friend@elsewhere.example>\r\n", "Subject: Hello\r\n", "\r\n\r\none\r\n.\r\ntwo\r\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("mail lacks %q:\n%s", want, text)
		}
	}
}

func TestLoginNeedsTheServersTLS(t *testing.T) {
	server, _ := smtpWorld(t, nil)
	err := server.Send(t.Context(), mail.Message{To: alice.User}, alice)
	if err == nil || !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("got %v; want that a server without STARTTLS gets no password", err)
	}
}

func TestMissingPortIsNamed(t *testing.T) {
	err := mail.Server{}.PutSieve(t.Context(), alice, "x", "keep;")
	if err == nil || !strings.Contains(err.Error(), "ManageSieve: no port") {
		t.Errorf("got %v; want that ManageSieve has no port", err)
	}
}

// smtpWorld is an SMTP server without TLS that answers each recipient with
// answer, nil for yes. It gives the mails that it took.
func smtpWorld(t *testing.T, answer error) (mail.Server, <-chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := make(chan string, 1)
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return session{answer: answer, taken: taken}, nil
	}))
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-served; err != nil && !errors.Is(err, smtp.ErrServerClosed) {
			t.Error(err)
		}
	})
	port := listener.Addr().(*net.TCPAddr).Port
	return mail.Server{SMTP: port, Submission: port}, taken
}

type session struct {
	answer error
	taken  chan<- string
}

func (session) Reset()                                 {}
func (session) Logout() error                          { return nil }
func (session) Mail(string, *smtp.MailOptions) error   { return nil }
func (s session) Rcpt(string, *smtp.RcptOptions) error { return s.answer }
func (s session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	s.taken <- string(text)
	return err
}
