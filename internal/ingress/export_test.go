package ingress

import (
	"bytes"
	"net"
	"net/http"
	"net/netip"
)

// Turns is what the checks of all services' passwords share.
func Turns(atOnce int) chan struct{} { return make(chan struct{}, atOnce) }

// Checker checks passwords as a service with users does.
func Checker(lines []string, turn chan struct{}) func(*http.Request, netip.Addr) (string, int) {
	return newUsers(lines, turn).check
}

// Carry copies from one connection to another.
var Carry = carry

// Greeting is the client that a listed proxy's first words name, and how many
// bytes are left of them.
func Greeting(b []byte) (client *net.TCPAddr, rest int, err error) {
	r := bytes.NewReader(b)
	client, _, err = readGreeting(r)
	return client, r.Len(), err
}

// spoken is a connection by which only this came.
type spoken struct {
	net.Conn
	*bytes.Reader
}

func (s spoken) Read(b []byte) (int, error) { return s.Reader.Read(b) }

// Hear is the name of a TLS client's first words, and what was read of them.
func Hear(b []byte) (name string, kept []byte) {
	name, kept, _ = hear(spoken{nil, bytes.NewReader(b)})
	return name, kept
}

// Shares counts as a door does.
type Shares struct{ shares }

// Take tells whether client may have one more while free others find room, and
// whether a refusal is worth a line.
func (s *Shares) Take(client string, free int64) (ok, tell bool) {
	_, ok, tell = s.take(householdOf(netip.MustParseAddr(client)), free)
	return ok, tell
}

// Give takes one of client's back.
func (s *Shares) Give(client string) { s.give(householdOf(netip.MustParseAddr(client))) }

// Clients is of how many it knows.
func (s *Shares) Clients() int { return len(s.held) }
