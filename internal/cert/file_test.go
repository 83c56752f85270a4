package cert_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"havre/internal/cert"
)

func put(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}

func TestFilesAreUsedWhenTheyCanServe(t *testing.T) {
	dir := t.TempDir()
	a := open(t, t.TempDir(), today)
	issue := func(when time.Time, hosts ...string) cert.Leaf {
		t.Helper()
		l, err := a.Issue(hosts, when)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l, wild, old, soon := issue(today, "a.example.org"), issue(today.Add(day), "*.example.org"), issue(today.Add(-100*day), "b.example.org"), issue(today.Add(20*day), "b.example.org")
	put(t, filepath.Join(dir, "good.pem"), l.Chain+l.Key.Reveal(), 0o600)
	put(t, filepath.Join(dir, "wild.pem"), wild.Key.Reveal()+wild.Chain, 0o400)
	put(t, filepath.Join(dir, "ignored.txt"), "nonsense", 0o644)
	for name, text := range map[string]string{
		"key.pem": l.Chain + wild.Key.Reveal(), "chain.pem": l.Chain + wild.Chain + l.Key.Reveal(), "ended.pem": old.Chain + old.Key.Reveal(),
		"soon.pem": soon.Chain + soon.Key.Reveal(), "alone.pem": l.Chain, "nonsense.pem": "nonsense", "keys.pem": l.Chain + l.Key.Reveal() + l.Key.Reveal(),
	} {
		put(t, filepath.Join(dir, name), text, 0o600)
	}
	put(t, filepath.Join(dir, "open.pem"), l.Chain+l.Key.Reveal(), 0o644)
	good, wrong := cert.Files(dir, today.Add(2*day))
	var names []string
	for _, f := range good {
		names = append(names, f.Name)
	}
	if strings.Join(names, " ") != "wild.pem good.pem" {
		t.Errorf("used: %v", names)
	}
	for name, says := range map[string]string{
		"key.pem": "private key does not match", "chain.pem": "is not signed by the next", "ended.pem": "it ended on 2025-11-11", "soon.pem": "it begins on 2025-12-11",
		"alone.pem": "", "nonsense.pem": "", "keys.pem": "more than certificates and a key", "open.pem": "make its mode 0600, not 0644",
	} {
		if got, there := wrong[name]; !there || !strings.Contains(got, says) {
			t.Errorf("%s: %q", name, got)
		}
		delete(wrong, name)
	}
	if len(wrong) > 0 {
		t.Errorf("refused, too: %v", wrong)
	}
	if !good[0].Covers("x.example.org") || !good[0].Covers("*.example.org") || good[0].Covers("x.y.example.org") || good[1].Covers("*.example.org") {
		t.Error("they cover other hosts than they prove")
	}
	if good, wrong := cert.Files(filepath.Join(dir, "none"), today); len(good)+len(wrong) > 0 {
		t.Error("there is something where nothing is")
	}
}

func TestNamesThatAPublicAuthorityCanVouchFor(t *testing.T) {
	got := map[string]bool{}
	want := map[string]bool{
		"www.example.org": true, "xn--bcher-kva.example.org": true, "a.b.c.de": true,
		"localhost": false, "mail.test": false, "mail.local": false, "x.home.arpa": false, "web.shop.prod.localhost": false,
		"*.example.org": false, "192.0.2.1": false, "../etc.org": false, "mail.internal": false, "Mail.example.org": false, "": false,
	}
	for host := range want {
		got[host] = cert.CanBePublic(host)
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestRootIsNotTrustedUnlessItIsInstalled(t *testing.T) {
	a := open(t, t.TempDir(), time.Now())
	if cert.Trusted([]byte(a.RootPEM())) || cert.Trusted([]byte("nonsense")) {
		t.Error("a root that nobody installed is trusted")
	}
}
