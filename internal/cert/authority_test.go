package cert_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"havre/internal/cert"
	"havre/internal/problem"
)

var today = time.Date(2025, 11, 21, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func open(t *testing.T, dir string, now time.Time) *cert.Authority {
	t.Helper()
	a, err := cert.Open(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func parse(t *testing.T, chain string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(chain))
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// trusted verifies as a client does that has the authority's root and no other.
func trusted(t *testing.T, a *cert.Authority, l cert.Leaf, host string, now time.Time) error {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(a.RootPEM())) {
		t.Fatal("the root is no PEM")
	}
	_, err := parse(t, l.Chain).Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: now})
	return err
}

func TestWhoTrustsTheRootTrustsItsLeaves(t *testing.T) {
	a := open(t, t.TempDir(), today)
	l, err := a.Issue([]string{"mail.example", "www.mail.example", "192.0.2.7"}, today)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"mail.example", "www.mail.example", "192.0.2.7"} {
		if err := trusted(t, a, l, host, today); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if trusted(t, a, l, "other.example", today) == nil {
		t.Error("it is good for a host it was not made for")
	}
	if err := trusted(t, a, l, "mail.example", today.Add(-30*time.Minute)); err != nil {
		t.Errorf("a client half an hour behind: %v", err)
	}
	if _, err := tls.X509KeyPair([]byte(l.Chain), []byte(l.Key.Reveal())); err != nil {
		t.Error(err)
	}
	if other := open(t, t.TempDir(), today); trusted(t, other, l, "mail.example", today) == nil {
		t.Error("another authority vouches for it")
	}
}

func TestLeafLivesNinetyDaysAtMost(t *testing.T) {
	a := open(t, t.TempDir(), today)
	l, err := a.Issue([]string{"a.example"}, today)
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, l.Chain)
	if life := c.NotAfter.Sub(c.NotBefore); life > 90*day || life < 89*day {
		t.Errorf("it lives %v", life)
	}
	if !c.NotAfter.Equal(l.NotAfter) {
		t.Errorf("NotAfter = %v; in the certificate %v", l.NotAfter, c.NotAfter)
	}
	if c.IsCA {
		t.Error("a leaf may sign")
	}
}

func TestLeafIsDueWhenAThirdIsLeft(t *testing.T) {
	a := open(t, t.TempDir(), today)
	l, err := a.Issue([]string{"a.example"}, today)
	if err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]bool{0: false, 59 * day: false, 60 * day: true, 100 * day: true} {
		if l.Due(today.Add(after)) != want {
			t.Errorf("due after %v: %v", after, !want)
		}
	}
	if !(cert.Leaf{}).Due(today) {
		t.Error("no leaf at all is not due")
	}
}

func TestLeafIsTheSameUntilItIsDue(t *testing.T) {
	dir := t.TempDir()
	hosts := []string{"b.example", "a.example"}
	get := func(now time.Time, hosts ...string) cert.Leaf {
		t.Helper()
		l, err := open(t, dir, now).Leaf(hosts, now)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := get(today, hosts...)
	if again := get(today.Add(59*day), "a.example", "b.example"); again.Chain != first.Chain || !again.Key.Equal(first.Key.Reveal()) {
		t.Error("it changed after a restart, with the hosts in another order")
	}
	if other := get(today, "a.example"); other.Chain == first.Chain {
		t.Error("fewer hosts have the same leaf")
	}
	renewed := get(today.Add(61*day), hosts...)
	if renewed.Chain == first.Chain || !renewed.NotAfter.After(first.NotAfter) {
		t.Error("it was not renewed when it was due")
	}
	if again := get(today.Add(62*day), hosts...); again.Chain != renewed.Chain {
		t.Error("the renewed one was not kept")
	}
}

func TestWildcardLeafIsKeptToo(t *testing.T) {
	a := open(t, t.TempDir(), today)
	first, err := a.Leaf([]string{"*.a.example"}, today)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := a.Leaf([]string{"*.a.example"}, today); err != nil || again.Chain != first.Chain {
		t.Errorf("it changed (%v)", err)
	}
}

func TestSpoiltLeafIsReplaced(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir, today)
	if _, err := a.Leaf([]string{"a.example"}, today); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "leaf-*"))
	if len(files) != 1 {
		t.Fatalf("files = %v", files)
	}
	stranger, err := open(t, t.TempDir(), today).Issue([]string{"a.example"}, today)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "nonsense", stranger.Chain + stranger.Key.Reveal()} {
		if err := os.WriteFile(files[0], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := a.Leaf([]string{"a.example"}, today)
		if err != nil {
			t.Fatal(err)
		}
		if err := trusted(t, a, l, "a.example", today); err != nil {
			t.Errorf("with %.20q in place of the leaf: %v", text, err)
		}
	}
}

func TestEndedLeavesAreSwept(t *testing.T) {
	dir := t.TempDir()
	if _, err := open(t, dir, today).Leaf([]string{"a.example"}, today); err != nil {
		t.Fatal(err)
	}
	open(t, dir, today.Add(91*day))
	if files, _ := filepath.Glob(filepath.Join(dir, "leaf-*")); len(files) != 0 {
		t.Errorf("still there: %v", files)
	}
}

func TestRootLivesTenYearsAndSignsNoLonger(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir, today)
	root := parse(t, a.RootPEM())
	if root.NotAfter.Year() != today.Year()+10 || !root.IsCA {
		t.Errorf("root until %v, CA %v", root.NotAfter, root.IsCA)
	}
	last, err := a.Issue([]string{"a.example"}, root.NotAfter.Add(-10*day))
	if err != nil || last.NotAfter.After(root.NotAfter) {
		t.Errorf("near the end: %v until %v", err, last.NotAfter)
	}
	_, err = a.Issue([]string{"a.example"}, root.NotAfter.Add(day))
	if p := problem.Of(err); p == nil || p.Kind != problem.Unavailable || !strings.Contains(p.Remedy, dir) {
		t.Errorf("after the end: %v", err)
	}
}

func TestAuthorityStaysTheSame(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir, today).RootPEM()
	if again := open(t, dir, today.Add(day)).RootPEM(); again != first {
		t.Error("another root after a restart")
	}
	i, err := os.Stat(filepath.Join(dir, "authority.pem"))
	if err != nil || i.Mode() != 0o600 {
		t.Errorf("mode = %v, %v; want 0600", i.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestManyWhoOpenAtOnceGetOneAuthority(t *testing.T) {
	dir := t.TempDir()
	roots := make([]string, 8)
	var all sync.WaitGroup
	for i := range roots {
		all.Go(func() {
			if a, err := cert.Open(dir, today); err == nil {
				roots[i] = a.RootPEM()
			}
		})
	}
	all.Wait()
	for i, r := range roots {
		if r == "" || r != roots[0] {
			t.Errorf("opener %d got another root", i)
		}
	}
}

func TestSpoiltAuthorityIsNotReplaced(t *testing.T) {
	for what, text := range map[string]string{"nothing": "", "nonsense": "nonsense", "half": "-----BEGIN CERTIFICATE-----\n"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "authority.pem")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := cert.Open(dir, today)
		if p := problem.Of(err); p == nil || p.Kind != problem.Invalid || p.Remedy == "" {
			t.Errorf("%s: %v", what, err)
		}
		if b, _ := os.ReadFile(file); string(b) != text {
			t.Errorf("%s was written over", what)
		}
	}
}

func TestLeafIsNoAuthority(t *testing.T) {
	l, err := open(t, t.TempDir(), today).Issue([]string{"a.example"}, today)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "authority.pem"), []byte(l.Chain+l.Key.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cert.Open(dir, today); problem.KindOf(err) != problem.Invalid {
		t.Errorf("err = %v", err)
	}
}

func TestWithoutHostsNothingIsIssued(t *testing.T) {
	a := open(t, t.TempDir(), today)
	for _, hosts := range [][]string{nil, {"bücher.example"}} {
		if _, err := a.Issue(hosts, today); problem.KindOf(err) != problem.Invalid {
			t.Errorf("%q: %v", hosts, err)
		}
	}
}

func TestKeyDoesNotPrint(t *testing.T) {
	l, err := open(t, t.TempDir(), today).Issue([]string{"a.example"}, today)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"%v", "%+v", "%s"} {
		if strings.Contains(fmt.Sprintf(form, l.Key), "PRIVATE") {
			t.Errorf("%s prints the key", form)
		}
	}
}
