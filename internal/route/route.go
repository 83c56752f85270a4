// Package route is the table that the ingress follows: which port or host name
// leads to which containers, and who may come in. It decides nothing at run
// time; it only says what a good table is, and which outside port is free.
package route

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"maps"
	"net/netip"
	"slices"

	"havre/internal/problem"
	"havre/internal/spec"
)

// The outside ports of HTTP routes when the table names none.
const (
	DefaultHTTP  = 80
	DefaultHTTPS = 443
)

// Target is one container's port inside an environment. The container's id and
// its address must agree when it is dialled, so neither stands alone.
type Target struct {
	Environment string     `json:"environment"`
	Container   string     `json:"container"` // 64 hexadecimal digits
	Address     netip.Addr `json:"address"`   // as the engine reports it
	Port        uint16     `json:"port"`
}

// TCP leads an outside port to containers.
type TCP struct {
	Listen  uint16      `json:"listen"`
	Access  spec.Access `json:"access"`
	Service string      `json:"service"` // env.project.service, for people
	Proxy   spec.Proxy  `json:"proxy,omitempty"`
	Rate    spec.Rate   `json:"rate,omitzero"`
	Sticky  spec.Sticky `json:"sticky,omitempty"` // a cookie means nothing here
	Targets []Target    `json:"targets,omitempty"`
}

// UDP leads an outside UDP port to containers, flow by flow. Its Proxy is
// empty: what greets is a connection.
type UDP TCP

// Pass leads a TLS server name on the table's HTTPS port to containers that do
// their own TLS: the bytes go through as they are.
type Pass struct {
	Host    string      `json:"host"` // lower case, no port
	Access  spec.Access `json:"access"`
	Service string      `json:"service"` // env.project.service, for people
	Proxy   spec.Proxy  `json:"proxy,omitempty"`
	Rate    spec.Rate   `json:"rate,omitzero"`
	Sticky  spec.Sticky `json:"sticky,omitempty"`  // a cookie means nothing here
	Stopped bool        `json:"stopped,omitempty"` // as HTTP's
	Targets []Target    `json:"targets,omitempty"`
}

// HTTP leads a host name to containers, on the table's HTTP and HTTPS ports. A
// host goes before a wildcard, a longer wildcard before a shorter one, and on
// one host a longer path before a shorter one.
type HTTP struct {
	Host    string      `json:"host"`           // lower case, no port; *.example.org is every name below
	Path    string      `json:"path,omitempty"` // what is at it or below; "" is all
	Front   spec.Front  `json:"front,omitzero"`
	Access  spec.Access `json:"access"`
	Service string      `json:"service"`           // env.project.service, for people
	Stopped bool        `json:"stopped,omitempty"` // it is not to run and keeps its names: no client waits for a container
	Targets []Target    `json:"targets,omitempty"`
}

// Certificate proves some hosts to TLS clients.
type Certificate struct {
	Hosts []string `json:"hosts"`
	Chain string   `json:"chain"` // PEM, leaf first
	Key   string   `json:"key"`   // PEM; does not print
}

// String names the hosts and hides the key.
func (c Certificate) String() string { return "certificate of " + hostList(c.Hosts) }

// GoString hides the key from %#v.
func (c Certificate) GoString() string { return c.String() }

// Table is all that the ingress of a node serves. The zero table serves nothing.
type Table struct {
	HTTPPort     uint16        `json:"httpPort,omitempty"`  // 0 is 80
	HTTPSPort    uint16        `json:"httpsPort,omitempty"` // 0 is 443
	TCP          []TCP         `json:"tcp,omitempty"`
	UDP          []UDP         `json:"udp,omitempty"`
	HTTP         []HTTP        `json:"http,omitempty"`
	Pass         []Pass        `json:"pass,omitempty"`
	Certificates []Certificate `json:"certificates,omitempty"`
}

// Host is a name that needs a certificate.
type Host struct {
	Name   string
	Public bool // everybody may come in at it
}

// Hosts are the names of t's HTTP routes, each once.
func (t Table) Hosts() []Host {
	public := map[string]bool{}
	for _, r := range t.HTTP {
		public[r.Host] = public[r.Host] || r.Access == spec.Public
	}
	var all []Host
	for _, name := range slices.Sorted(maps.Keys(public)) {
		all = append(all, Host{name, public[name]})
	}
	return all
}

// Parse reads a table strictly (an unknown field, a second value or a mistake
// that Validate finds is an error) and gives it in canonical form.
// Errors: Invalid.
func Parse(b []byte) (Table, error) {
	var t Table
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return Table{}, problem.New(problem.Invalid, "the table is not the JSON it should be").Because(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Table{}, problem.New(problem.Invalid, "something follows the table")
	}
	if err := t.Validate(); err != nil {
		return Table{}, err
	}
	return t.Canonical(), nil
}

// Canonical is t in the one form that equal tables share: sorted, without
// empty lists, with the default ports written out. Nothing is shared with t.
func (t Table) Canonical() Table {
	c := Table{
		HTTPPort:  cmp.Or(t.HTTPPort, DefaultHTTP),
		HTTPSPort: cmp.Or(t.HTTPSPort, DefaultHTTPS),
	}
	for _, r := range t.TCP {
		r.Targets = sorted(r.Targets)
		c.TCP = append(c.TCP, r)
	}
	for _, r := range t.UDP {
		r.Targets = sorted(r.Targets)
		c.UDP = append(c.UDP, r)
	}
	for _, r := range t.HTTP {
		r.Targets = sorted(r.Targets)
		c.HTTP = append(c.HTTP, r)
	}
	for _, r := range t.Pass {
		r.Targets = sorted(r.Targets)
		c.Pass = append(c.Pass, r)
	}
	for _, x := range t.Certificates {
		x.Hosts = append([]string(nil), x.Hosts...)
		slices.Sort(x.Hosts)
		c.Certificates = append(c.Certificates, x)
	}
	slices.SortStableFunc(c.TCP, func(a, b TCP) int { return cmp.Compare(a.Listen, b.Listen) })
	slices.SortStableFunc(c.UDP, func(a, b UDP) int { return cmp.Compare(a.Listen, b.Listen) })
	slices.SortStableFunc(c.Pass, func(a, b Pass) int { return cmp.Compare(a.Host, b.Host) })
	slices.SortStableFunc(c.HTTP, func(a, b HTTP) int { return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Path, b.Path)) })
	slices.SortStableFunc(c.Certificates, func(a, b Certificate) int { return slices.Compare(a.Hosts, b.Hosts) })
	return c
}

func sorted(targets []Target) []Target {
	s := append([]Target(nil), targets...)
	for i := range s {
		s[i].Address = s[i].Address.Unmap()
	}
	slices.SortFunc(s, func(a, b Target) int {
		return cmp.Or(
			cmp.Compare(a.Environment, b.Environment),
			cmp.Compare(a.Container, b.Container),
			a.Address.Compare(b.Address),
			cmp.Compare(a.Port, b.Port))
	})
	return s
}

// Encode is t's canonical form as JSON. It holds the certificates' keys.
func (t Table) Encode() []byte {
	b, err := json.MarshalIndent(t.Canonical(), "", "\t")
	if err != nil {
		panic("a table is always JSON: " + err.Error()) // only strings, numbers and addresses
	}
	return append(b, '\n')
}

// Containers are all that t leads to, each once or more often.
func (t Table) Containers() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, targets := range t.targets() {
			for _, to := range targets {
				if !yield(to.Container) {
					return
				}
			}
		}
	}
}

func (t Table) targets() [][]Target {
	var all [][]Target
	for _, r := range t.TCP {
		all = append(all, r.Targets)
	}
	for _, r := range t.UDP {
		all = append(all, r.Targets)
	}
	for _, r := range t.HTTP {
		all = append(all, r.Targets)
	}
	for _, r := range t.Pass {
		all = append(all, r.Targets)
	}
	return all
}

// Equal tells whether two tables say the same.
func (t Table) Equal(u Table) bool { return bytes.Equal(t.Encode(), u.Encode()) }

// Digest is equal for equal tables, and only for them.
func (t Table) Digest() string {
	sum := sha256.Sum256(t.Encode())
	return hex.EncodeToString(sum[:])
}
