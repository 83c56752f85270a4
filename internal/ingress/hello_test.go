package ingress_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"havre/internal/cert"
	"havre/internal/route"
	"havre/internal/spec"
)

// ownTLS is a container that does its own TLS for a name and echoes.
func (w *world) ownTLS(name string) (route.Target, *x509.CertPool) {
	w.t.Helper()
	a, err := cert.Open(w.t.TempDir(), time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	l, err := a.Issue([]string{name}, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(l.Chain), []byte(l.Key.Reveal()))
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(a.RootPEM()))
	return w.container(func(c net.Conn) { echo(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}})) }), roots
}

// passing is a world where own.example does its own TLS on the port that
// www.example shares, which the ingress answers.
func passing(t *testing.T) (w *world, table route.Table, own, ours *x509.CertPool) {
	w = open(t)
	table = web(t, w.serves(shows))
	ours = certified(t, &table, []string{"www.example"})
	to, own := w.ownTLS("own.example")
	table.Pass = []route.Pass{{Host: "own.example", Access: spec.Public, Service: "prod.own.tls", Targets: []route.Target{to}}}
	w.must(table)
	return w, table, own, ours
}

// slowly sends what is written byte by byte.
type slowly struct{ net.Conn }

func (s slowly) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := s.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

func TestTLSIsPassedThroughByNameOnTheSharedPort(t *testing.T) {
	_, table, own, ours := passing(t)
	for what, wrap := range map[string]func(net.Conn) net.Conn{
		"at once":      func(c net.Conn) net.Conn { return c },
		"byte by byte": func(c net.Conn) net.Conn { return slowly{c} },
	} {
		t.Run(what, func(t *testing.T) {
			c := tls.Client(wrap(dial(t, table.HTTPSPort)), &tls.Config{ServerName: "OWN.example", RootCAs: own})
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			talk(t, c, "through and through")
		})
	}
	for range 3 { // the other name is answered here, as before
		answer, body := get(t, secureBrowser(t, table.HTTPSPort, ours), "https://www.example/")
		if answer.StatusCode != 200 || body != "www.example https 127.0.0.1" {
			t.Errorf("%s: %q", answer.Status, body)
		}
	}
}

func TestNamesThatNobodyHasAreRefusedBesidePassedOnes(t *testing.T) {
	_, table, own, _ := passing(t)
	for _, name := range []string{"", "other.example", "sub.own.example"} {
		c, err := tls.Dial("tcp", local(table.HTTPSPort), &tls.Config{ServerName: name, RootCAs: own, InsecureSkipVerify: true})
		if err == nil {
			c.Close()
			t.Errorf("%q: a handshake", name)
		}
	}
}

func TestGarbageAndEndlessHellosGetNowhere(t *testing.T) {
	w, table, _, _ := passing(t)
	for what, said := range map[string][]byte{
		"HTTP":               []byte("GET / HTTP/1.1\r\nHost: own.example\r\n\r\n"),
		"zeros":              make([]byte, 100),
		"a hello too long":   append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff}, bytes.Repeat([]byte{1}, 70_000)...),
		"records of nothing": bytes.Repeat([]byte{22, 3, 1, 0, 0}, 20_000),
	} {
		c := dial(t, table.HTTPSPort)
		c.Write(said) // it may hang up before all is said
		if b, err := io.ReadAll(c); err == nil && len(b) > 1000 {
			t.Errorf("%s: heard %d bytes", what, len(b))
		}
	}
	if n := w.listener(fmt.Sprintf(":%d/https", table.HTTPSPort)); n.Total != 4 {
		t.Errorf("listener: %+v", n)
	}
}

// Who says nothing keeps nobody else from coming in, and leaves when we do.
func TestSilentClientsHinderNobodyThatIsPassedThrough(t *testing.T) {
	_, table, own, _ := passing(t)
	for range 50 {
		c := dial(t, table.HTTPSPort)
		c.Write([]byte{22, 3, 1})
	}
	c, err := tls.Dial("tcp", local(table.HTTPSPort), &tls.Config{ServerName: "own.example", RootCAs: own})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	talk(t, c, "still here")
}

func TestPassedNameWithoutContainersIsResetAndNeedsNoOtherHosts(t *testing.T) {
	w, table, own, _ := passing(t)
	table.Pass[0].Targets = nil
	w.must(table)
	if c, err := tls.Dial("tcp", local(table.HTTPSPort), &tls.Config{ServerName: "own.example", RootCAs: own}); err == nil {
		c.Close()
		t.Error("a handshake with nobody")
	}
	table.HTTP, table.Certificates = nil, nil
	to, own := w.ownTLS("own.example")
	table.Pass[0].Targets = []route.Target{to}
	w.must(table)
	if len(w.status().Listeners) != 1 {
		t.Errorf("listeners: %+v; want the HTTPS port alone", w.status().Listeners)
	}
	c, err := tls.Dial("tcp", local(table.HTTPSPort), &tls.Config{ServerName: "own.example", RootCAs: own})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	talk(t, c, "alone on the port")
}
