package ingress

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pires/go-proxyproto"

	"havre/internal/http1"
)

// source is where a request comes from. What the client says about it counts
// only when it is one of the proxies that are trusted.
type source struct {
	client netip.AddrPort
	here   netip.AddrPort
	secure bool   // the client speaks TLS, with us or with a trusted proxy
	host   string // that the client asked for
	port   string // to which it came
	name   string // client's, as apps are told
	chain  string // X-Forwarded-For of trusted proxies, for the app
}

func (f *front) sourceOf(p *party, r *http.Request) source {
	s := p.from
	s.secure, s.host = r.TLS != nil, r.Host
	if f.trusts(s.client.Addr()) {
		f.believe(&s, r.Header)
		s.spell()
	}
	return s
}

// spell notes how apps are told of client and port.
func (s *source) spell() {
	s.name = nameOf(s.client.Addr())
	if s.port == "" {
		s.port = strconv.Itoa(int(s.here.Port()))
	}
}

func (f *front) trusts(a netip.Addr) bool {
	return len(f.set.Trusted) > 0 && within(f.set.Trusted, a.WithZone(""))
}

// hop is what one proxy says of who asked it, and how.
type hop struct{ client, proto, host string }

// believe takes a trusted proxy's word. Forwarded counts only where there is
// no X-Forwarded-For: most proxies write that one, and many pass on what their
// client wrote into the other.
func (f *front) believe(s *source, h http.Header) {
	proxy, port := s.client.Addr(), h.Get("X-Forwarded-Port")
	first := hop{proto: h.Get("X-Forwarded-Proto"), host: h.Get("X-Forwarded-Host")}
	switch {
	case h["X-Forwarded-For"] != nil:
		var hops []hop
		for client := range strings.SplitSeq(strings.Join(h["X-Forwarded-For"], ","), ",") {
			if client = strings.Trim(client, " \t"); client != "" { // RFC 9110, 5.6.1.2
				hops = append(hops, hop{client: client})
			}
		}
		f.walk(s, hops)
	case h["Forwarded"] != nil:
		first, port = f.walk(s, hopsOf(strings.Join(h["Forwarded"], ","))), ""
	}
	if s.chain != "" {
		s.chain += ", " + proxy.String()
	}
	switch strings.ToLower(first.proto) {
	case "https", "wss":
		s.secure = true
	case "http", "ws":
		s.secure = false
	}
	if plainHost(first.host) {
		s.host = first.host
	}
	if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
		s.port = strconv.FormatUint(n, 10)
	}
}

// nobody is the client of whom a trusted proxy says nothing that can be read. It
// is not the proxy, nor on any network: only public access lets it in.
var nobody = netip.IPv4Unspecified()

// walk goes from the last hop back. Of the addresses that the proxy and those
// before it wrote, the last one that is not a trusted proxy's is the client:
// what stands left of it the client could have written itself. It gives the
// hop at which it stopped.
func (f *front) walk(s *source, hops []hop) (at hop) {
	s.client = netip.AddrPortFrom(nobody, 0)
	for i := len(hops) - 1; i >= 0; i-- {
		at = hops[i]
		a, ok := addressOf(at.client)
		if !ok {
			a = nobody
		}
		s.client = netip.AddrPortFrom(a, 0)
		if s.chain != "" {
			s.chain = ", " + s.chain
		}
		s.chain = nameOf(a) + s.chain
		if a == nobody || !f.trusts(a) {
			break
		}
	}
	return at
}

// nameOf is how apps are told of an address.
func nameOf(a netip.Addr) string {
	if a == nobody {
		return "unknown" // RFC 7239, 6.2
	}
	return a.WithZone("").String()
}

// addressOf reads an address as proxies write it: alone, in quotes, in
// brackets, with a port or a port's alias behind it (RFC 7239, 6). A zone is the
// proxy's own, and not one of this machine's.
func addressOf(s string) (a netip.Addr, ok bool) {
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	host, port, ported := s, "", false
	if strings.HasPrefix(s, "[") {
		if host, port, ok = strings.Cut(s[1:], "]"); !ok {
			return a, false
		}
		port, ported = strings.CutPrefix(port, ":")
		if !ported && port != "" {
			return a, false
		}
	} else if strings.Count(s, ":") == 1 { // IPv6 without brackets has no port
		host, port, ported = strings.Cut(s, ":")
	}
	if ported && (port == "" || strings.Trim(port, "0123456789") != "" && port[0] != '_') {
		return a, false
	}
	a, err := netip.ParseAddr(host)
	return a.WithZone("").Unmap(), err == nil
}

// hopsOf reads a Forwarded header, RFC 7239, 4. Of one that is not well formed
// nothing counts: where its parts begin is anybody's guess.
func hopsOf(header string) []hop {
	hops := []hop{{}}
	for rest := header; ; {
		rest = strings.TrimLeft(rest, " \t")
		name, after, found := strings.Cut(rest, "=")
		if !found || strings.ContainsAny(name, " \t,;\"") {
			return nil
		}
		value, after, ok := forwardedValue(after)
		if !ok {
			return nil
		}
		now := &hops[len(hops)-1]
		switch strings.ToLower(name) {
		case "for":
			now.client = value
		case "proto":
			now.proto = value
		case "host":
			now.host = value
		}
		rest = strings.TrimLeft(after, " \t")
		switch {
		case rest == "":
			return hops
		case rest[0] == ',':
			hops = append(hops, hop{})
		case rest[0] != ';':
			return nil
		}
		rest = rest[1:]
	}
}

// forwardedValue takes a token or what stands in quotes.
func forwardedValue(s string) (value, after string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, " \t,;")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], end > 0 && !strings.ContainsAny(s[:end], `"\`)
	}
	value, after, ok = strings.Cut(s[1:], `"`)
	return value, after, ok && !strings.Contains(value, `\`) // nothing that we believe needs a backslash
}

// plainHost tells whether a host may stand in a header of ours.
func plainHost(h string) bool { return len(h) < 256 && http1.PlainHost(h) }

// ours tells whether a header is not the client's to say: where a client is, and,
// in another spelling than its own, how the request goes on. A CGI takes every
// byte of a name that is neither a letter nor a digit for the same.
func ours(name string) bool {
	if !odd(name) {
		switch name[0] {
		case 'X', 'x', 'F', 'f', 'P', 'p':
			return speaksOfClients(strings.ToLower(name))
		}
		return false
	}
	plain := []byte(strings.ToLower(name))
	for i, c := range plain {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9') {
			plain[i] = '-'
		}
	}
	known := http.CanonicalHeaderKey(string(plain))
	return speaksOfClients(string(plain)) || framing(known) || hopByHop(known)
}

// odd tells whether a name has other bytes than letters, digits and "-".
func odd(name string) bool {
	for i := range len(name) {
		if c := name[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
			return true
		}
	}
	return false
}

func speaksOfClients(plain string) bool {
	return strings.HasPrefix(plain, "x-forwarded") || plain == "forwarded" || plain == "x-real-ip" || plain == "proxy" || plain == "x-request-id"
}

// tell says in a request's header where the client is, and how it came. The
// values are kept in room.
func (s *source) tell(h http.Header, room []string) {
	proto := "http"
	if s.secure {
		proto = "https"
	}
	chain := s.name
	if s.chain != "" {
		chain = s.chain
	}
	put := func(name, value string) {
		room[0] = value
		h[name], room = room[:1:1], room[1:]
	}
	put("X-Forwarded-For", chain)
	put("X-Forwarded-Host", s.host)
	put("X-Forwarded-Proto", proto)
	put("X-Forwarded-Port", s.port)
	before, after := "for=", "" // RFC 7239, 6: IPv6 in brackets and quotes
	if s.client.Addr().Is6() {
		before, after = `for="[`, `]"`
	}
	if plainHost(s.host) {
		put("Forwarded", before+s.name+after+";proto="+proto+`;host="`+s.host+`"`)
	} else {
		put("Forwarded", before+s.name+after+";proto="+proto)
	}
}

// addrPort is a's address and port, nothing when it has none.
func addrPort(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		p := tcp.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}

// greetTime is how long a trusted proxy may take to say whose connection it
// brings; maxGreeting bounds what it says.
const (
	greetTime   = 5 * time.Second
	maxGreeting = 4 << 10
)

// greeting is what an app reads first where x-havre.proxy is v2.
func greeting(client, here netip.AddrPort) []byte {
	header := proxyproto.Header{Version: 2, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}
	if client.IsValid() && here.IsValid() {
		if client.Addr().Is4() != here.Addr().Is4() { // one of a v6 socket, one not
			here = netip.AddrPortFrom(netip.AddrFrom16(here.Addr().As16()), here.Port())
			client = netip.AddrPortFrom(netip.AddrFrom16(client.Addr().As16()), client.Port())
		}
		header = proxyproto.Header{
			Version: 2, Command: proxyproto.PROXY, TransportProtocol: proxyproto.TCPv6,
			SourceAddr: net.TCPAddrFromAddrPort(client), DestinationAddr: net.TCPAddrFromAddrPort(here),
		}
		if client.Addr().Is4() {
			header.TransportProtocol = proxyproto.TCPv4
		}
	}
	b, err := header.Format()
	if err != nil {
		panic("two addresses of one family are always a header: " + err.Error())
	}
	return b
}

// greeted lets visitors of listed proxies say first whose connection it is.
// Such a network must always say it: who comes from there without is cut.
func (f *front) greeted(enter func(*visitor)) func(*visitor) {
	if len(f.set.Proxies) == 0 {
		return enter
	}
	return func(v *visitor) {
		if !within(f.set.Proxies, clientOf(v.TCPConn.RemoteAddr()).WithZone("")) {
			enter(v)
			return
		}
		f.serving.Go(func() {
			stop := context.AfterFunc(f.ctx, func() { v.TCPConn.Close() })
			defer stop()
			if err := v.introduce(); err != nil {
				v.door.denied.Add(1)
				reset(v.TCPConn)
				v.Close()
				return
			}
			enter(v)
		})
	}
}

var errGreeting = errors.New("no PROXY protocol version 2")

// introduce reads the greeting and nothing behind it: what follows is the
// client's, and may go from kernel to kernel.
func (v *visitor) introduce() error {
	if err := v.SetReadDeadline(time.Now().Add(greetTime)); err != nil {
		return err
	}
	client, here, err := readGreeting(v.TCPConn)
	if err != nil {
		return err
	}
	if client != nil {
		v.client, v.here = client, here
	}
	return v.SetReadDeadline(time.Time{})
}

// readGreeting gives whose connection it is, and where that came to; nothing
// when it is the proxy's own.
func readGreeting(from io.Reader) (client, here *net.TCPAddr, err error) {
	b := make([]byte, 16, 64) // PROXY protocol 2.2: signature, version, family, length
	if _, err := io.ReadFull(from, b); err != nil {
		return nil, nil, err
	}
	n := int(binary.BigEndian.Uint16(b[14:]))
	if !bytes.HasPrefix(b, proxyproto.SIGV2) || n > maxGreeting {
		return nil, nil, errGreeting
	}
	b = append(b, make([]byte, n)...)
	if _, err := io.ReadFull(from, b[16:]); err != nil {
		return nil, nil, err
	}
	header, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(b)))
	if err != nil || !header.Command.IsProxy() {
		return nil, nil, err
	}
	client, here, ok := header.TCPAddrs()
	if !ok {
		return nil, nil, errGreeting
	}
	return client, here, nil
}

// RemoteAddr is the client's address, which a proxy may have told.
func (v *visitor) RemoteAddr() net.Addr {
	if v.client != nil {
		return v.client
	}
	return v.TCPConn.RemoteAddr()
}

// LocalAddr is the address that the client came to.
func (v *visitor) LocalAddr() net.Addr {
	if v.here != nil {
		return v.here
	}
	if v.TCPConn == nil {
		return v.bare.Local()
	}
	return v.TCPConn.LocalAddr()
}
