package docker_test

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
	"golang.org/x/net/dns/dnsmessage"

	"havre/e2e/mail"
	"havre/internal/lab"
)

// faraway is where the mail and name servers of others are, in a test's world.
const faraway = "10.255.255.25"

// elsewhere is another mail server, and the name server that knows the way to it.
type elsewhere struct {
	mails chan string
}

func openElsewhere(t *testing.T, w *lab.World) *elsewhere {
	t.Helper()
	if out, err := w.Command(t.Context(), "ip", "address", "add", faraway+"/32", "dev", "lo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	e := &elsewhere{mails: make(chan string, 16)}
	l, err := w.Listen(t.Context(), "tcp", faraway+":25")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(e)
	server.Domain = "mx.elsewhere.example"
	go server.Serve(l)
	var names net.PacketConn
	if err := w.Do(func() (err error) {
		names, err = net.ListenPacket("udp", faraway+":53")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	go answerNames(names)
	t.Cleanup(func() {
		names.Close()
		server.Close()
	})
	return e
}

// answerNames says of each name that its mail server and its address are here.
func answerNames(c net.PacketConn) {
	packet := make([]byte, 4096)
	for {
		n, from, err := c.ReadFrom(packet)
		if err != nil {
			return
		}
		if answer, err := nameAnswer(packet[:n]); err == nil {
			c.WriteTo(answer, from)
		}
	}
}

func nameAnswer(question []byte) ([]byte, error) {
	var p dnsmessage.Parser
	head, err := p.Start(question)
	if err != nil {
		return nil, err
	}
	asked, err := p.Question()
	if err != nil {
		return nil, err
	}
	says := dnsmessage.Message{Header: dnsmessage.Header{ID: head.ID, Response: true, RecursionDesired: true, RecursionAvailable: true}, Questions: []dnsmessage.Question{asked}}
	about := dnsmessage.ResourceHeader{Name: asked.Name, Type: asked.Type, Class: asked.Class, TTL: 1}
	switch asked.Type {
	case dnsmessage.TypeMX:
		says.Answers = []dnsmessage.Resource{{Header: about, Body: &dnsmessage.MXResource{Pref: 10, MX: dnsmessage.MustNewName("mx.elsewhere.example.")}}}
	case dnsmessage.TypeA:
		says.Answers = []dnsmessage.Resource{{Header: about, Body: &dnsmessage.AResource{A: [4]byte(net.ParseIP(faraway).To4())}}}
	}
	return says.Pack()
}

// NewSession takes mail as another server does.
func (e *elsewhere) NewSession(*smtp.Conn) (smtp.Session, error) { return taker{e.mails}, nil }

type taker struct{ mails chan<- string }

func (taker) Reset()                               {}
func (taker) Logout() error                        { return nil }
func (taker) Mail(string, *smtp.MailOptions) error { return nil }
func (taker) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (k taker) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err == nil {
		k.mails <- string(text)
	}
	return err
}

// gets waits for the mail with a subject.
func (e *elsewhere) gets(t *testing.T, subject string) string {
	t.Helper()
	var got string
	lab.Eventually(t, subject+" to arrive elsewhere", func(ctx context.Context) error {
		for {
			select {
			case got = <-e.mails:
				if strings.Contains(got, "\r\nSubject: "+subject+"\r\n") {
					return nil
				}
			case <-ctx.Done():
				return ctx.Err()
			default:
				return errors.New("no such mail so far")
			}
		}
	})
	return got
}

// signsWhatLeaves sends mail away, before and after DKIM is turned on as the
// README says.
func (m *mailServer) signsWhatLeaves(t *testing.T) {
	away := openElsewhere(t, m.world)
	send := func(subject string) string {
		t.Helper()
		lab.Eventually(t, "the mail server to take "+subject, func(ctx context.Context) error {
			return m.Send(ctx, mail.Message{From: mailUser, To: "friend@elsewhere.example", Subject: subject, Body: "hello\n  there "}, mail.Login{User: mailUser, Password: mailPassword})
		})
		return away.gets(t, subject)
	}
	with := func(more string) {
		t.Helper()
		file := m.write(t, "away.yml", "services:\n  mail:\n    dns: ["+faraway+"]\n"+more)
		m.must(t, "apply", "-f", filepath.Join(m.root, "examples/mail/compose.yml"), "-f", file, "--port-offset", "20000", "--yes")
	}
	with("")
	printed := m.must(t, "exec", "mail.mail", "--", "mail-dkim", "example.org")
	name, value, _ := strings.Cut(strings.TrimSpace(printed), " TXT ")
	record := func(asked string) (string, error) {
		if asked+"." != name {
			return "", errors.New("the record to publish is " + printed + ", not of " + asked)
		}
		return strings.NewReplacer(`" "`, "", `"`, "").Replace(value), nil
	}
	if domain, err := mail.Signer(send("before DKIM"), record); !errors.Is(err, mail.ErrUnsigned) {
		t.Errorf("DKIM is off, and yet: %q, %v", domain, err)
	}
	with("    environment: {DKIM_SELECTOR: mail}\n")
	if domain, err := mail.Signer(send("with DKIM"), record); err != nil || domain != "example.org" {
		t.Errorf("DKIM is on, and yet: %q, %v", domain, err)
	}
}
