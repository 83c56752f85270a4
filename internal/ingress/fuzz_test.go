package ingress_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/pires/go-proxyproto"

	"havre/internal/ingress"
)

// FuzzGreeting holds that no words of a listed proxy end the ingress, and that
// what is believed is a client's address that the words hold.
func FuzzGreeting(f *testing.F) {
	for _, client := range []string{"203.0.113.7:1", "[2001:db8::7]:65535", "[::ffff:127.0.0.1]:2"} {
		from := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client))
		b, err := proxyproto.HeaderProxyFromAddrs(2, from, from).Format()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(append(bytes.Clone(b), "GET /"...))
		for at := 12; at < 16; at++ { // version, family, length
			for _, to := range []byte{0, 0x10, 0x12, 0x20, 0x21, 0x22, 0x31, 0xff} {
				c := bytes.Clone(b)
				c[at] = to
				f.Add(c)
			}
		}
		f.Add(b[:len(b)-1])
	}
	f.Add(append(append([]byte{}, proxyproto.SIGV2...), 0x20, 0, 0, 0))
	f.Add([]byte("PROXY TCP4 203.0.113.7 203.0.113.8 1 2\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		client, rest, err := ingress.Greeting(b)
		if err != nil || client == nil {
			return
		}
		a := client.AddrPort().Addr().Unmap()
		n := 16 + int(binary.BigEndian.Uint16(b[14:]))
		if !bytes.Contains(b[:n], a.AsSlice()) || rest != len(b)-n {
			t.Errorf("%s of % x, and %d left", a, b, rest)
		}
	})
}

// mouth keeps what a TLS client says first.
type mouth struct {
	net.Conn
	bytes.Buffer
}

func (m *mouth) Write(b []byte) (int, error) { return m.Buffer.Write(b) }
func (m *mouth) Read([]byte) (int, error)    { return 0, net.ErrClosed }
func (m *mouth) Close() error                { return nil }
func helloOf(f testing.TB, c *tls.Config) []byte {
	s := &mouth{}
	tls.Client(s, c).Handshake()
	if s.Len() == 0 {
		f.Fatal("no hello")
	}
	return s.Bytes()
}

// inPieces splits a record of TLS into such of n bytes.
func inPieces(record []byte, n int) []byte {
	var all []byte
	for rest := record[5:]; len(rest) > 0; {
		piece := rest[:min(n, len(rest))]
		rest = rest[len(piece):]
		all = append(append(all, record[0], record[1], record[2], byte(len(piece)>>8), byte(len(piece))), piece...)
	}
	return all
}

// greased puts extensions into a hello that nobody knows, as browsers do: RFC
// 8701, and one that looks like ECH and is none (draft-ietf-tls-esni, 6.2).
func greased(record []byte) []byte {
	b := bytes.Clone(record)
	at := 5 + 4 + 2 + 32
	at += 1 + int(b[at])                                                                         // session
	at += 2 + int(binary.BigEndian.Uint16(b[at:]))                                               // suites
	at += 1 + int(b[at])                                                                         // compression
	grease := []byte{0x0a, 0x0a, 0, 1, 0}                                                        // no such extension
	ech := append([]byte{0xfe, 0x0d, 0, 42, 0, 0, 1, 0, 1, 7, 0, 0, 0, 32}, make([]byte, 32)...) // outer, no key
	more := append(grease, ech...)
	b = append(b[:at+2], append(more, b[at+2:]...)...)
	longer := func(at int) { binary.BigEndian.PutUint16(b[at:], binary.BigEndian.Uint16(b[at:])+uint16(len(more))) }
	longer(at)    // extensions
	longer(5 + 2) // handshake
	longer(3)     // record
	return b
}

// FuzzHello holds that no first words of a TLS client end the ingress, that all
// of them are kept for who answers, and that only they name somebody.
func FuzzHello(f *testing.F) {
	plain := helloOf(f, &tls.Config{ServerName: "own.example"})
	for what, b := range map[string][]byte{
		"plain": plain, "TLS 1.2": helloOf(f, &tls.Config{ServerName: "own.example", MaxVersion: tls.VersionTLS12}),
		"bytes": inPieces(plain, 1), "pieces": inPieces(plain, 100), "grease": greased(plain), "both": inPieces(greased(plain), 50),
	} {
		if name, _ := ingress.Hear(b); name != "own.example" {
			f.Errorf("%s: the name is %q", what, name)
		}
		f.Add(b)
	}
	f.Add(helloOf(f, &tls.Config{InsecureSkipVerify: true}))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		name, kept := ingress.Hear(b)
		if !bytes.HasPrefix(b, kept) {
			t.Errorf("% x was kept of % x", kept, b)
		}
		if name != "" && !bytes.Contains(kept, []byte(name[:1])) {
			t.Errorf("%q is not in % x", name, b)
		}
	})
}
