package docker_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"havre/e2e/mail"
	"havre/internal/api"
	"havre/internal/cert"
	"havre/internal/lab"
)

const (
	mailUser     = "alice@example.org"
	mailPassword = "correct-horse-battery"
	mailOffset   = 20000
)

// mailServer is examples/mail in a world, reached as people reach it.
type mailServer struct {
	*havre
	mail.Server
	root string // of the repository
}

func (m *mailServer) applyMail(t *testing.T) string {
	t.Helper()
	return m.applyFile(t, "mail.json")
}

func (m *mailServer) applyFile(t *testing.T, name string) string {
	t.Helper()
	return m.must(t, "apply", "-f", filepath.Join(m.root, "examples/mail", name), "--port-offset", fmt.Sprint(mailOffset), "--yes")
}

// showsCertificates applies the server with a name and looks at the certificates
// of all its ports: Havre's own, then one that somebody puts in its place.
func (m *mailServer) showsCertificates(t *testing.T) {
	m.write(t, filepath.Join(m.data, "config/server.json"), `{"every": "2s"}`)
	m.kill(t, "server")
	m.applyFile(t, "compose.yml")
	m.Front = &mail.Front{Name: "mail.localhost", Port: 443, Root: string(m.authority(t))}
	if err := m.Certified(t.Context()); err != nil {
		t.Error(err)
	}
	if err := m.WebmailByName(t.Context(), mail.Login{User: mailUser, Password: mailPassword}, "after the return"); err != nil {
		t.Error(err)
	}
	theirs, err := cert.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := theirs.Issue([]string{"mail.localhost"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	m.putCertificate(t, "mail.pem", leaf)
	m.Front.Root = theirs.RootPEM()
	lab.Eventually(t, "the new certificate on all ports", m.Certified)
	m.arrives(t, "after the new certificate")
	m.Front.Root = string(m.authority(t))
	const ports = 6
	if err := m.Certified(t.Context()); err == nil || strings.Count(err.Error(), "unknown authority") != ports {
		t.Errorf("who trusts only the former root is told %v; want it of each of %d ports", err, ports)
	}
}

// arrives sends a mail and waits until it can be read.
func (m *mailServer) arrives(t *testing.T, subject string) {
	t.Helper()
	login := mail.Login{User: mailUser, Password: mailPassword}
	lab.Eventually(t, "the mail server to take "+subject, func(ctx context.Context) error {
		return m.Send(ctx, mail.Message{From: mailUser, To: mailUser, Subject: subject, Body: "hello"}, login)
	})
	m.reads(t, subject)
}

func (m *mailServer) reads(t *testing.T, subject string) {
	t.Helper()
	lab.Eventually(t, "to read "+subject, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		_, err := m.WaitForMail(ctx, mail.Login{User: mailUser, Password: mailPassword}, "INBOX", subject)
		return err
	})
}

// TestMailServerOfTheSeed is the main job: seed 001's deployment, from Debian
// packages to a mail that is read, and everything that must not lose it.
func TestMailServerOfTheSeed(t *testing.T) {
	t.Parallel()
	h := alone(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	m := &mailServer{havre: h, root: root, Server: mail.Server{
		Host: "127.0.0.1", SMTP: 25 + mailOffset, Submission: 587 + mailOffset, SMTPS: 465 + mailOffset, IMAP: 143 + mailOffset,
		IMAPS: 993 + mailOffset, Sieve: 4190 + mailOffset, Webmail: 4443 + mailOffset,
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return h.world.Dial(ctx, network, addr)
		},
	}}
	h.must(t, "image", "bootstrap", "debian:bookworm")
	h.must(t, "image", "build", "-t", "mildred/exim-dovecot-mail", filepath.Join(root, "examples/mail/exim-dovecot-mail"))
	h.must(t, "image", "build", "-t", "mildred/roundcube", filepath.Join(root, "examples/mail/roundcube"))
	m.applyMail(t)
	add := h.command(t.Context(), "exec", "-i", "mail.mail", "--", "mail-account", "add", mailUser)
	add.Stdin = strings.NewReader(mailPassword + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("add an account: %v\n%s", err, out)
	}
	t.Run("does its work and refuses what it must", func(t *testing.T) {
		if err := mail.Prove(t.Context(), m.Server, mailUser, mailPassword, func(says string) { t.Log(says) }); err != nil {
			t.Fatalf("%v\n%s", err, h.must(t, "logs", "--tail", "40", "mail/"))
		}
	})
	t.Run("comes back after kill -9 of dovecot", func(t *testing.T) {
		m.arrives(t, "before the kill")
		h.must(t, "exec", "mail.mail", "--", "sh", "-c", "kill -9 $(cat /run/dovecot/master.pid)")
		m.arrives(t, "after the kill")
		m.reads(t, "before the kill")
	})
	t.Run("keeps mail and accounts over an image update", func(t *testing.T) {
		h.write(t, "next/Dockerfile", "FROM mildred/exim-dovecot-mail\nLABEL edition=2\n")
		h.must(t, "image", "build", "-t", "mildred/exim-dovecot-mail", filepath.Join(h.work, "next"))
		has(t, "apply", m.applyMail(t), "update")
		m.reads(t, "before the kill")
		m.arrives(t, "after the update")
	})
	t.Run("keeps mail and accounts over rm and apply", func(t *testing.T) {
		h.must(t, "rm", "mail/", "--yes")
		m.applyMail(t)
		m.reads(t, "after the update")
		m.arrives(t, "after the return")
		if err := m.WebmailShows(t.Context(), mail.Login{User: mailUser, Password: mailPassword}, "after the return"); err != nil {
			t.Error(err)
		}
	})
	t.Run("lets the README's tour go beside it", m.goesTheTour)
	t.Run("signs what leaves, once DKIM is on", m.signsWhatLeaves)
	t.Run("shows Havre's certificate on all ports, and a new one", m.showsCertificates)
	t.Run("is reached from another project only by its public ports", func(t *testing.T) {
		h.apply(t, "stranger", "services: {s: {image: 'app:1'}}")
		if got := h.inside(t, "stranger.s", h.world.Address.String()+":"+fmt.Sprint(25+mailOffset)); got != "ok" {
			t.Errorf("a public port: %s", got)
		}
		var s api.Service
		lab.Eventually(t, "the mail server to run with its new certificate", func(ctx context.Context) (err error) {
			if s, err = h.service(ctx, "mail.mail"); err == nil && (s.State != "healthy" || len(s.Tasks) != 1) {
				err = fmt.Errorf("it is %+v", s)
			}
			return err
		})
		for _, address := range strings.Fields(h.world.Docker(t, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", s.Tasks[0].Container)) {
			for _, port := range []string{"25", "143", "4190"} {
				if got := h.inside(t, "stranger.s", address+":"+port); got == "ok" {
					t.Errorf("a container of another project reaches %s:%s", address, port)
				}
			}
		}
	})
}
