package spec

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"havre/internal/pattern"
)

// Front is how the ingress serves a service to those outside. The zero value
// asks for nothing special.
type Front struct {
	Strip    bool     `json:"strip,omitempty"`    // the path of its domain is taken away before the app sees it
	Scheme   Scheme   `json:"scheme,omitempty"`   // what the app speaks; "" is HTTP/1.1
	Proxy    Proxy    `json:"proxy,omitempty"`    // how each connection tells the client's address; "" not at all
	Sticky   Sticky   `json:"sticky,omitempty"`   // how a client comes back to the same replica; "" it need not
	Redirect bool     `json:"redirect,omitempty"` // plain HTTP is sent to HTTPS
	Plain    bool     `json:"plain,omitempty"`    // answers are never compressed
	Body     Bytes    `json:"body,omitempty"`     // the most of a request's body; 0 is no limit
	Check    Check    `json:"check,omitzero"`     // how replicas are asked whether they are well
	Users    []string `json:"users,omitempty"`    // who may come in over HTTP: name:hash, as htpasswd writes it; none means no question
	Rate     Rate     `json:"rate,omitzero"`      // how often one client address may ask or connect
}

// Scheme is what an app speaks behind the ingress.
type Scheme string

// H2C is HTTP/2 without TLS and without an upgrade: gRPC speaks it.
const H2C Scheme = "h2c"

// Proxy is how connections to an app tell whose they are.
type Proxy string

// ProxyV2 is version 2 of the PROXY protocol, on HTTP and TCP connections.
const ProxyV2 Proxy = "v2"

// Sticky is how a client comes back to the same replica.
type Sticky string

// The kinds of stickiness.
const (
	ByCookie  Sticky = "cookie"  // HTTP only; a client without the cookie goes where fewest are
	ByAddress Sticky = "address" // by the client's address
)

// Check asks each replica over HTTP. Two bad answers in a row take it out, one
// good answer brings it back.
type Check struct {
	Path    string   `json:"path,omitempty"`    // "" is no check; a good answer has a status below 400
	Every   Duration `json:"every,omitempty"`   // 0 is 10 s
	Timeout Duration `json:"timeout,omitempty"` // 0 is 2 s
}

// Rate bounds how often something may happen. The zero value is no bound.
type Rate struct {
	Events int      `json:"events,omitempty"` // requests, TCP connections or UDP flows
	Per    Duration `json:"per,omitempty"`    // a second, a minute or an hour
	Burst  int      `json:"burst,omitempty"`  // so many at once; 0 is Events
}

var (
	pathForm = pattern.New(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$`)
	userLine = pattern.New(`^[A-Za-z0-9._@-]{1,64}:(\$2[aby]\$(0[4-9]|1[0-5])\$[./A-Za-z0-9]{53}|\$argon2id\$v=19\$m=[0-9]{1,6},t=[0-9]{1,2},p=[0-9]{1,2}\$[A-Za-z0-9+/]{11,64}\$[A-Za-z0-9+/]{22,86})$`)
)

// ValidPath tells whether p can be the path of a domain: /one or /one/two,
// without a slash at its end and without anything that could be read in two
// ways.
func ValidPath(p string) bool { return len(p) <= 255 && pathForm.MatchString(p) }

// What a check of an argon2id hash may cost at most: whoever asks for a page
// makes the machine pay it. RFC 9106, 4, recommends m=65536, t=3, p=4 where
// memory is scarce.
const (
	maxHashMemory  = 64 << 10 // KiB
	maxHashTimes   = 10
	maxHashThreads = 16
)

// bearable tells whether the check of a user's hash costs no more than that.
// bcrypt has its bounds in userLine.
func bearable(user string) bool {
	_, cost, argon := strings.Cut(user, "$argon2id$v=19$")
	if !argon {
		return true
	}
	var memory, times, threads int
	_, err := fmt.Sscanf(cost, "m=%d,t=%d,p=%d", &memory, &times, &threads)
	return err == nil && memory <= maxHashMemory && times >= 1 && times <= maxHashTimes && threads >= 1 && threads <= maxHashThreads
}

// Mistakes lists what is wrong with f, each with what to do about it.
func (f Front) Mistakes() (says, remedies []string) {
	wrong := func(remedy, format string, args ...any) {
		says, remedies = append(says, fmt.Sprintf(format, args...)), append(remedies, remedy)
	}
	if f.Scheme != "" && f.Scheme != H2C {
		wrong("use h2c, or leave it out for HTTP/1.1", "scheme %q is unknown", f.Scheme)
	}
	if f.Proxy != "" && f.Proxy != ProxyV2 {
		wrong("use v2, or leave it out", "proxy protocol %q is unknown", f.Proxy)
	}
	if f.Proxy != "" && f.Scheme == H2C {
		wrong("take one of them out", "h2c carries many clients in one connection, so the PROXY protocol cannot tell whose it is")
	}
	if f.Sticky != "" && f.Sticky != ByCookie && f.Sticky != ByAddress {
		wrong("use cookie or address, or leave it out", "sticky %q is unknown", f.Sticky)
	}
	if f.Body < 0 {
		wrong("leave it out for no limit", "a body limit below zero")
	}
	if c := f.Check; c.Path != "" && (c.Path[0] != '/' || strings.ContainsFunc(c.Path, func(r rune) bool { return r <= ' ' || r > '~' })) {
		wrong("write it like /health", "%q is not a path to check", c.Path)
	} else if c.Every < 0 || c.Timeout < 0 || c.Path == "" && c != (Check{}) {
		wrong("write it like {path: /health, every: 10s, timeout: 2s}", "a check without a path, or with a time below zero")
	}
	for i, u := range f.Users {
		if !userLine.MatchString(u) { // it may hold a password in the clear
			wrong("write NAME:HASH with a bcrypt or argon2id hash: htpasswd -nB NAME; in Compose files double each $", "user %d is not a name and a hash", i+1)
		} else if !bearable(u) {
			wrong("make it with argon2id at m=65536,t=3,p=4, or with bcrypt: htpasswd -nB NAME", "the hash of user %d costs too much to check: at most %d KiB (m), %d rounds (t) and %d threads (p), none of them 0", i+1, maxHashMemory, maxHashTimes, maxHashThreads)
		}
	}
	if r := f.Rate; r != (Rate{}) && (r.Events < 1 || r.Burst < 0 || !slices.Contains([]time.Duration{time.Second, time.Minute, time.Hour}, r.Per.Std())) {
		wrong("write it like 10/s", "a rate of nothing")
	}
	return says, remedies
}

// Networks gives the networks of an access that is a list of them.
func (a Access) Networks() ([]netip.Prefix, bool) {
	var all []netip.Prefix
	for word := range strings.SplitSeq(string(a), ",") {
		p, err := netip.ParsePrefix(word)
		if err != nil || p != p.Masked() || p.Addr().Is4In6() || p.String() != word {
			return nil, false
		}
		all = append(all, p)
	}
	return all, true
}

// AccessOf is the access that words stand for: one of the known ones, or a
// list of networks and addresses. What it does not understand it keeps, and
// Known tells.
func AccessOf(words []string) Access {
	for i, w := range words {
		if a, err := netip.ParseAddr(w); err == nil {
			words[i] = netip.PrefixFrom(a, a.BitLen()).String()
		}
	}
	return Access(strings.Join(words, ","))
}
