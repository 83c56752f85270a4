package ingress_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"havre/internal/cert"
	"havre/internal/route"
	"havre/internal/spec"
)

// certified adds certificates of an authority of its own to table, one for
// each group of hosts, and gives the roots that a client needs.
func certified(t testing.TB, table *route.Table, groups ...[]string) *x509.CertPool {
	t.Helper()
	a, err := cert.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, hosts := range groups {
		l, err := a.Issue(hosts, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		table.Certificates = append(table.Certificates, route.Certificate{Hosts: hosts, Chain: l.Chain, Key: l.Key.Reveal()})
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(a.RootPEM()))
	return roots
}

// secureBrowser trusts roots alone.
func secureBrowser(t testing.TB, port uint16, roots *x509.CertPool) *http.Client {
	c := browser(t, port)
	tr := c.Transport.(*http.Transport)
	tr.TLSClientConfig = &tls.Config{RootCAs: roots}
	tr.ForceAttemptHTTP2 = true
	return c
}

// shows says how the request came.
var shows = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s %s", r.Host, r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-For"))
})

func TestHTTPSIsServedWithTheTablesCertificates(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(shows))
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	for proto, h2 := range map[string]bool{"HTTP/2.0": true, "HTTP/1.1": false} {
		c := secureBrowser(t, table.HTTPSPort, roots)
		c.Transport.(*http.Transport).ForceAttemptHTTP2 = h2
		answer, body := get(t, c, "https://www.example/", "X-Forwarded-Proto", "http")
		if answer.Proto != proto || body != "www.example https 127.0.0.1" {
			t.Errorf("%s: %q", answer.Proto, body)
		}
	}
	if _, body := get(t, browser(t, table.HTTPPort), "http://www.example/"); body != "www.example http 127.0.0.1" {
		t.Errorf("plain: %q", body)
	}
}

func TestUnknownNamesGetNoHandshake(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(shows))
	roots := certified(t, &table, []string{"www.example"})
	table.HTTP = append(table.HTTP, route.HTTP{Host: "bare.example", Access: spec.Public, Service: "prod.web.bare"})
	w.must(table)
	for _, name := range []string{"other.example", "bare.example", "", "sub.www.example"} {
		c, err := tls.Dial("tcp", local(table.HTTPSPort), &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err == nil {
			c.Close()
			t.Errorf("%q: a handshake with %v", name, c.ConnectionState().PeerCertificates[0].DNSNames)
		}
		if err != nil && !strings.Contains(err.Error(), "unrecognized name") { // RFC 6066, 3; the alert's type is not to be had
			t.Errorf("%q: %v", name, err)
		}
	}
	if c, err := tls.Dial("tcp", local(table.HTTPSPort), &tls.Config{ServerName: "WWW.example", RootCAs: roots}); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(shows))
	certified(t, &table, []string{"www.example"})
	w.must(table)
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c, err := tls.Dial("tcp", local(table.HTTPSPort), &tls.Config{
			ServerName: "www.example", InsecureSkipVerify: true, MinVersion: version, MaxVersion: version,
		})
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			c.Close()
		}
	}
}

func TestConnectionForOneNameIsNotForAnother(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(shows))
	for _, host := range []string{"twin.example", "secret.example", "bare.example"} {
		table.HTTP = append(table.HTTP, route.HTTP{Host: host, Access: spec.Public, Service: "prod.web." + host, Targets: table.HTTP[0].Targets})
	}
	roots := certified(t, &table, []string{"www.example", "twin.example"}, []string{"secret.example"})
	w.must(table)
	c, err := tls.Dial("tcp", local(table.HTTPSPort), &tls.Config{ServerName: "www.example", RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, one := range []struct {
		host string
		want int
	}{
		{"www.example", http.StatusOK},
		{"twin.example", http.StatusOK}, // the same certificate proves it
		{"secret.example", http.StatusMisdirectedRequest},
		{"bare.example", http.StatusMisdirectedRequest},
		{"other.example", http.StatusNotFound},
		{"www.example", http.StatusOK},
	} {
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", one.host)
		if status, _ := answerOf(t, c); status != one.want {
			t.Errorf("%s by a connection for www.example: %d; want %d", one.host, status, one.want)
		}
	}
}

func TestNewCertificateIsUsedByTheNextConnection(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(shows))
	before := certified(t, &table, []string{"www.example"})
	w.must(table)
	get(t, secureBrowser(t, table.HTTPSPort, before), "https://www.example/")
	table.Certificates = nil
	after := certified(t, &table, []string{"www.example"})
	w.must(table)
	get(t, secureBrowser(t, table.HTTPSPort, after), "https://www.example/")
	if _, err := secureBrowser(t, table.HTTPSPort, before).Get("https://www.example/"); err == nil {
		t.Error("the old certificate is still used")
	}
}

func TestPlainHTTPOnTheSecurePortIsAnswered(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(shows))
	certified(t, &table, []string{"www.example"})
	w.must(table)
	c := dial(t, table.HTTPSPort)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: www.example\r\n\r\n")
	if status, _ := answerOf(t, c); status != http.StatusBadRequest {
		t.Errorf("status = %d", status)
	}
}

func TestRequestsAreCountedByTheirDoor(t *testing.T) {
	w := open(t)
	table := web(t)
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	for range 3 {
		get(t, secureBrowser(t, table.HTTPSPort, roots), "https://www.example/")
	}
	l := w.listener(fmt.Sprintf(":%d/https", table.HTTPSPort))
	if l.Failed != 3 || l.Total != 3 || l.Access != spec.Public {
		t.Errorf("listener = %+v", l)
	}
}

func BenchmarkSplice(b *testing.B) {
	w, port := newWorld(b), freePort(b)
	defer w.start()()
	const chunk = 1 << 20
	w.must(onlyTCP(port, w.container(func(c net.Conn) {
		defer c.Close()
		data := make([]byte, chunk)
		for {
			if _, err := c.Write(data); err != nil {
				return
			}
		}
	})))
	c, err := net.Dial("tcp", local(port))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	buffer := make([]byte, chunk)
	b.SetBytes(chunk)
	for b.Loop() {
		if _, err := io.ReadFull(c, buffer); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkConnect(b *testing.B) {
	w, port := newWorld(b), freePort(b)
	defer w.start()()
	w.must(onlyTCP(port, w.says("hi")))
	for b.Loop() {
		c, err := net.Dial("tcp", local(port))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

func BenchmarkHTTP(b *testing.B) {
	w := newWorld(b)
	defer w.start()()
	table := web(b, w.serves(says(strings.Repeat("x", 1024))))
	w.must(table)
	c := browser(b, table.HTTPPort)
	c.Transport.(*http.Transport).DisableCompression = true // it is the way that is measured
	b.ReportAllocs()
	for b.Loop() {
		get(b, c, "http://www.example/")
	}
}
