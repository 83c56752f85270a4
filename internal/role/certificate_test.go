package role_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/cert"
	"havre/internal/event"
	"havre/internal/metric"
	"havre/internal/role"
	"havre/internal/route"
	"havre/internal/store"
)

func leaf(t *testing.T, c route.Certificate) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(c.Chain))
	x, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func authority(t *testing.T) *cert.Authority {
	t.Helper()
	a, err := cert.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAFileGoesBeforeHavresOwnCertificate(t *testing.T) {
	ours, theirs, dir := authority(t), authority(t), t.TempDir()
	l, err := theirs.Issue([]string{"a.example.org"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"a.pem": l.Chain + l.Key.Reveal(), "bad.pem": "nonsense"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certs, says := role.Certify(t, role.Sources{Own: ours, Dir: dir}, []route.Host{{Name: "a.example.org", Public: true}, {Name: "b.example.org", Public: true}})
	if len(certs) != 2 || certs[0].Chain != l.Chain || leaf(t, certs[1]).Issuer.String() == leaf(t, certs[0]).Issuer.String() {
		t.Errorf("certificates: %v", certs)
	}
	if !strings.HasPrefix(says, "file bad.pem is not used: ") {
		t.Errorf("says = %q", says)
	}
}

func TestOwnAuthorityServesUntilThePublicOneDoes(t *testing.T) {
	nowhere := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(nowhere.Close)
	p, err := cert.OpenPublic(cert.PublicSettings{
		Directory: nowhere.URL, Dir: t.TempDir(), Show: func(context.Context, []cert.Challenge) error { return nil }, Renewed: func() {}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	own := authority(t)
	hosts := []route.Host{{Name: "a.example.org", Public: true}, {Name: "private.example.org"}, {Name: "web.test", Public: true}}
	var says string
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(30 * time.Second); !strings.Contains(says, "tried again in"); {
		select {
		case <-late:
			t.Fatalf("says = %q", says)
		case <-tick.C:
		}
		var certs []route.Certificate
		if certs, says = role.Certify(t, role.Sources{Own: own, Public: p, Dir: t.TempDir()}, hosts); len(certs) != 3 {
			t.Fatalf("certificates: %v", certs)
		}
	}
	if !strings.HasPrefix(says, "a.example.org: no public certificate: ") || strings.Contains(says, "private") || strings.Contains(says, ".test") {
		t.Errorf("says = %q", says)
	}
}

func TestTheEndOfEachCertificateIsInMetricsAndEvents(t *testing.T) {
	own, theirs, files, kept := authority(t), authority(t), t.TempDir(), t.TempDir()
	open := func() *cert.Public {
		p, err := cert.OpenPublic(cert.PublicSettings{Directory: "https://authority.test/directory", Dir: kept, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	open() // makes the directory
	of, _ := filepath.Glob(filepath.Join(kept, "*"))
	ends := map[string]time.Time{}
	// Issued on other days, so that each is known by its end.
	for host, at := range map[string]struct {
		dir string
		ago time.Duration
	}{"file.example.org": {files, 24 * time.Hour}, "public.example.org": {of[0], 48 * time.Hour}} {
		l, err := theirs.Issue([]string{host}, time.Now().Add(-at.ago))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(at.dir, host+".pem"), []byte(l.Chain+l.Key.Reveal()), 0o600); err != nil {
			t.Fatal(err)
		}
		ends[host] = l.NotAfter
	}
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	f := role.Seen(t, role.Sources{Own: own, Public: open(), Dir: files}, []route.Host{{Name: "file.example.org", Public: true}, {Name: "public.example.org", Public: true}}, db)
	var text strings.Builder
	if err := metric.Write(&text, metric.Families(f)); err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	if err := event.New(db).Events(t.Context(), api.EventQuery{Kinds: []string{api.CertEvent}}, func(e api.Event) error { fmt.Fprintln(&told, e.Says); return nil }); err != nil {
		t.Fatal(err)
	}
	for host, end := range ends {
		if !f.Certificates[host].Equal(end) || !strings.Contains(text.String(), fmt.Sprintf("havre_certificate_remaining_seconds{host=%q} %v", host, end.Sub(f.Now).Seconds())) {
			t.Errorf("metrics of %s, which ends %s: %s", host, end, text.String())
		}
		if want := host + " has a certificate until " + end.UTC().Format(time.DateOnly); !strings.Contains(told.String(), want) {
			t.Errorf("events do not say %q: %s", want, told.String())
		}
	}
}
