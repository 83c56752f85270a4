package ingress_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"

	"havre/internal/cert"
	"havre/internal/route"
	"havre/internal/spec"
)

// publicAuthority is an ACME server that asks every host at our two ports.
func publicAuthority(t *testing.T, httpPort, httpsPort uint16) *httptest.Server {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	quiet := log.New(io.Discard, "", 0)
	dns := local(freePort(t))
	names, err := challtestsrv.New(challtestsrv.Config{Log: quiet, DNSAddrs: []string{dns}})
	if err != nil {
		t.Fatal(err)
	}
	names.SetDefaultDNSIPv4("127.0.0.1")
	names.SetDefaultDNSIPv6("")
	names.Run()
	t.Cleanup(names.Shutdown)
	store := db.NewMemoryStore()
	signs := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "for tests"}})
	asks := va.New(quiet, int(httpPort), int(httpsPort), true, dns, store)
	front := wfe.New(quiet, store, asks, signs, nil, true, false, 0, 0)
	s := httptest.NewTLSServer(front.Handler())
	t.Cleanup(s.Close)
	return s
}

// challenge has the ingress answer challenges, as the server does.
func (w *world) challenge(all []cert.Challenge) error {
	var c route.Challenges
	for _, one := range all {
		c.Challenges = append(c.Challenges, route.Challenge(one))
	}
	b, err := json.Marshal(c)
	if err == nil {
		_, err = w.call("PUT", "/challenges", b)
	}
	return err
}

// office is a public authority, and where what comes from it is kept.
type office struct {
	authority *httptest.Server
	dir       string
}

// ordering runs orders for hosts until the test ends.
func ordering(t *testing.T, w *world, at office, hosts ...string) *cert.Public {
	t.Helper()
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: at.authority.Certificate().Raw})
	p, err := cert.OpenPublic(cert.PublicSettings{
		Directory: at.authority.URL + wfe.DirectoryPath, Email: "ops@example.org", Root: root, Dir: at.dir,
		Show:    func(_ context.Context, all []cert.Challenge) error { return w.challenge(all) },
		Renewed: func() {}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Want(hosts)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return p
}

func TestPublicAuthorityIsAnsweredByEitherPort(t *testing.T) {
	for name, closed := range map[string][2]bool{"HTTP-01": {false, true}, "TLS-ALPN-01": {true, false}} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			table := web(t)
			table.HTTP[0].Host = "www.havre.org"
			table.HTTP[0].Access = spec.Private
			table.HTTP[0].Front.Redirect = true
			certified(t, &table, []string{"www.havre.org"})
			w.must(table)
			asked := [2]uint16{table.HTTPPort, table.HTTPSPort}
			for i, shut := range closed {
				if shut {
					asked[i] = freePort(t) // where nobody listens
				}
			}
			at := office{publicAuthority(t, asked[0], asked[1]), t.TempDir()}
			p := ordering(t, w, at, "www.havre.org")
			var got cert.Leaf
			eventually(t, "a certificate", func() (err error) {
				var ok bool
				if got, ok = p.Leaf("www.havre.org", time.Now()); !ok {
					err = errors.New(p.Troubles(time.Now())["www.havre.org"])
				}
				return err
			})
			table.Certificates = []route.Certificate{{Hosts: []string{"www.havre.org"}, Chain: got.Chain, Key: got.Key.Reveal()}}
			w.must(table)
			c, err := tls.Dial("tcp", local(table.HTTPSPort), &tls.Config{ServerName: "www.havre.org", InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if chain := c.ConnectionState().PeerCertificates; len(chain) < 2 || !strings.Contains(chain[0].Issuer.CommonName, "Pebble") {
				t.Errorf("served: %v", chain[0].Issuer)
			}
			eventually(t, "no count of tries", func() error {
				if counts := kept(t, at, "tries.json"); counts != "{}" {
					return errors.New(counts)
				}
				return nil
			})
			again := ordering(t, w, at)
			if kept, ok := again.Leaf("www.havre.org", time.Now()); !ok || kept.Chain != got.Chain {
				t.Error("after a restart the certificate is gone")
			}
		})
	}
}

// kept is what is in a file of an office.
func kept(t *testing.T, at office, name string) string {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(at.dir, "*", name))
	if len(files) != 1 {
		t.Fatalf("%s: %v", name, files)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v; want 0600", name, info.Mode(), err)
	}
	return string(b)
}

func TestPublicCertificateIsRenewedWhenAThirdIsLeft(t *testing.T) {
	w := open(t)
	table := web(t)
	table.HTTP[0].Host = "www.havre.org"
	certified(t, &table, []string{"www.havre.org"})
	w.must(table)
	at := office{publicAuthority(t, table.HTTPPort, table.HTTPSPort), t.TempDir()}
	ordering(t, w, at) // makes the directory
	dirs, _ := filepath.Glob(filepath.Join(at.dir, "*"))
	former, err := cert.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	old, err := former.Issue([]string{"www.havre.org"}, time.Now().Add(-61*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dirs[0], "www.havre.org.pem"), []byte(old.Chain+old.Key.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	p := ordering(t, w, at, "www.havre.org")
	if _, ok := p.Leaf("www.havre.org", time.Now()); !ok {
		t.Error("until there is a new one, nothing serves")
	}
	eventually(t, "a new certificate", func() error {
		if l, _ := p.Leaf("www.havre.org", time.Now()); l.Chain == old.Chain {
			return errors.New("it is the old one")
		}
		return nil
	})
	if !strings.HasPrefix(kept(t, at, "www.havre.org.pem"), "-----BEGIN CERTIFICATE-----") || kept(t, at, "account.key") == "" {
		t.Error("it is not kept")
	}
}

func TestWhatThePublicAuthorityRefusesIsSaidAndTriedLater(t *testing.T) {
	w := open(t)
	at := office{publicAuthority(t, freePort(t), freePort(t)), t.TempDir()}
	p := ordering(t, w, at, "www.havre.org", "web.test")
	var says string
	eventually(t, "the reason", func() error {
		if says = p.Troubles(time.Now())["www.havre.org"]; !strings.Contains(says, "Failed to connect") && !strings.Contains(says, "refused") {
			return errors.New(says)
		}
		return nil
	})
	if !strings.Contains(says, "tried again in ") {
		t.Errorf("says = %q", says)
	}
	if len(p.Troubles(time.Now())) > 1 {
		t.Error("a local name was asked for")
	}
	later := ordering(t, w, at, "www.havre.org")
	if again := later.Troubles(time.Now())["www.havre.org"]; !strings.Contains(again, "tried again in ") {
		t.Errorf("after a restart: %q", again)
	}
}

func TestChallengesAreAnsweredAtTheirHostAlone(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, "the app") })))
	table.HTTP = append(table.HTTP, route.HTTP{Host: "other.example", Access: spec.Public, Service: "prod.web.www", Targets: table.HTTP[0].Targets})
	certified(t, &table, []string{"www.example"}, []string{"other.example"})
	w.must(table)
	if err := w.challenge([]cert.Challenge{{Host: "www.example", Token: "abc", Proof: "abc.def"}}); err != nil {
		t.Fatal(err)
	}
	ask := func(url string) string { _, body := get(t, browser(t, table.HTTPPort), url); return body }
	for url, want := range map[string]string{
		"http://www.example/.well-known/acme-challenge/abc":   "abc.def",
		"http://other.example/.well-known/acme-challenge/abc": "the app",
		"http://www.example/.well-known/acme-challenge/abd":   "the app",
	} {
		if body := ask(url); body != want {
			t.Errorf("%s: %q", url, body)
		}
	}
	knock := func(name string) error {
		c, err := tls.Dial("tcp", local(table.HTTPSPort), &tls.Config{ServerName: name, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true})
		if err == nil {
			c.Close()
		}
		return err
	}
	if err := knock("www.example"); err != nil {
		t.Error(err)
	}
	if knock("other.example") == nil {
		t.Error("a proof where nobody asks for one")
	}
	if err := w.challenge(nil); err != nil {
		t.Fatal(err)
	}
	if body := ask("http://www.example/.well-known/acme-challenge/abc"); body != "the app" {
		t.Errorf("afterwards: %q", body)
	}
	if knock("www.example") == nil {
		t.Error("a proof afterwards")
	}
}

func TestBadChallengesAreRefused(t *testing.T) {
	w := open(t)
	for _, c := range []cert.Challenge{
		{Host: "www.example", Token: "../abc", Proof: "../abc.def"},
		{Host: "www.example", Token: "abc", Proof: "abd.def"},
		{Host: "www.example", Token: "abc", Proof: "abc"},
		{Host: "WWW.example", Token: "abc", Proof: "abc.def"},
	} {
		if w.challenge([]cert.Challenge{c}) == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}
