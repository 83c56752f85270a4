package mail_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"havre/e2e/mail"
)

var alice = mail.Login{User: "alice@example.org", Password: "correct horse"}

func TestMailIsFoundInItsMailbox(t *testing.T) {
	user, server := imapsWorld(t)
	put(t, user, "Proof", "a subject", "the words")
	text, err := server.WaitForMail(t.Context(), alice, "Proof", "a subject")
	if err != nil || !strings.Contains(text, "the words") {
		t.Errorf("got %q, %v; want the whole mail", text, err)
	}
}

func TestMailThatComesLaterIsWaitedFor(t *testing.T) {
	user, server := imapsWorld(t)
	asked := make(chan struct{})
	dial := server.Dial
	server.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		defer close(asked)
		return dial(ctx, network, addr)
	}
	found := make(chan error)
	go func() {
		_, err := server.WaitForMail(t.Context(), alice, "Later", "late")
		found <- err
	}()
	<-asked
	put(t, user, "Later", "late", "better than never")
	if err := <-found; err != nil {
		t.Error(err)
	}
}

func TestWaitingEndsWithWhatIsMissing(t *testing.T) {
	_, server := imapsWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	_, err := server.WaitForMail(ctx, alice, "INBOX", "never sent")
	if err == nil || !strings.Contains(err.Error(), `"never sent" in INBOX`) || !strings.Contains(err.Error(), "not there") {
		t.Errorf("got %v; want the subject, the mailbox and that it is not there", err)
	}
}

func TestWaitingWithoutTimeIsNoSuccess(t *testing.T) {
	_, server := imapsWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := server.WaitForMail(ctx, alice, "INBOX", "never sent"); err == nil {
		t.Error("got no error from a context that had ended")
	}
}

func TestRefusedLoginEndsTheWait(t *testing.T) {
	_, server := imapsWorld(t)
	_, err := server.WaitForMail(t.Context(), mail.Login{User: alice.User, Password: "wrong"}, "INBOX", "any")
	if err == nil || !strings.Contains(err.Error(), "log in as alice@example.org") {
		t.Errorf("got %v; want the refused login", err)
	}
}

func TestRightPasswordIsNoFailedLogin(t *testing.T) {
	_, server := imapsWorld(t)
	if err := server.LoginFails(t.Context(), alice); err == nil || !strings.Contains(err.Error(), "let alice@example.org in") {
		t.Errorf("got %v; want that the server let alice in", err)
	}
}

func TestSilentServerIsNoFailedLogin(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := silent.Addr().(*net.TCPAddr).Port
	silent.Close()
	if err := (mail.Server{IMAPS: port, Submission: port}).LoginFails(t.Context(), alice); err == nil {
		t.Error("nobody listens, and that passed for a refused login")
	}
}

// imapsWorld is an IMAP server in memory that speaks TLS and knows alice.
func imapsWorld(t *testing.T) (*imapmemserver.User, mail.Server) {
	t.Helper()
	user := imapmemserver.NewUser(alice.User, alice.Password)
	if err := user.Create("INBOX", nil); err != nil {
		t.Fatal(err)
	}
	accounts := imapmemserver.New()
	accounts.AddUser(user)
	server := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return accounts.NewSession(), nil, nil
		},
		Caps: imap.CapSet{imap.CapIMAP4rev1: {}},
	})
	listener, err := tls.Listen("tcp", "127.0.0.1:0", certificate(t))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(listener) }()
	t.Cleanup(func() { server.Close(); <-served })
	world := mail.Server{IMAPS: listener.Addr().(*net.TCPAddr).Port, Dial: (&net.Dialer{}).DialContext}
	return user, world
}

func put(t *testing.T, user *imapmemserver.User, mailbox, subject, body string) {
	t.Helper()
	if mailbox != "INBOX" { // which is there
		if err := user.Create(mailbox, nil); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.NewReader("Subject: " + subject + "\r\n\r\n" + body + "\r\n")
	if _, err := user.Append(mailbox, text, &imap.AppendOptions{}); err != nil {
		t.Fatal(err)
	}
}

// certificate is one that a test server made for itself.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	return &tls.Config{Certificates: web.TLS.Certificates}
}
