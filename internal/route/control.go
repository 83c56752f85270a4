package route

import (
	"strings"

	"havre/internal/pattern"
	"havre/internal/problem"
	"havre/internal/spec"
)

// Applied answers PUT /table: the table is kept and followed, but for these.
type Applied struct {
	Problems []Problem `json:"problems"`
}

// Problem is why a listener does not listen. It is tried again all the time.
type Problem struct {
	Listen  string `json:"listen"`            // ":25/tcp", ":53/udp", ":443/https"
	Service string `json:"service,omitempty"` // whose port it is; none for HTTP and HTTPS, which many share
	Says    string `json:"says"`
	Remedy  string `json:"remedy,omitempty"`
}

// Probe is the body of POST /probe: does the target accept a connection?
type Probe struct {
	Target Target `json:"target"`
}

// Probed answers it.
type Probed struct {
	OK   bool   `json:"ok"`
	Says string `json:"says,omitempty"` // why not
}

// Challenges is the body of PUT /challenges: these are answered, and no others.
// They are not kept: an order that an end of the ingress spoils is made again.
type Challenges struct {
	Challenges []Challenge `json:"challenges"`
}

// Challenge is what a public authority asks at a host (RFC 8555, 8.3; RFC
// 8737) before it makes out a certificate.
type Challenge struct {
	Host  string `json:"host"`
	Token string `json:"token"`
	Proof string `json:"proof"` // the key authorization: the token, a dot, and the account key's print
}

var tokenForm = pattern.New(`^[A-Za-z0-9_-]{1,512}$`)

// Validate tells whether c is well formed.
// Errors: Invalid.
func (c Challenge) Validate() error {
	token, thumb, _ := strings.Cut(c.Proof, ".")
	switch {
	case !ValidHost(c.Host):
		return problem.New(problem.Invalid, "a challenge for %q, which is not a host name in lower case", c.Host)
	case !tokenForm.MatchString(c.Token) || token != c.Token || !tokenForm.MatchString(thumb):
		return problem.New(problem.Invalid, "the challenge for %s is not of the form it should have", c.Host)
	}
	return nil
}

// Status answers GET /status.
type Status struct {
	Version   uint64            `json:"version"` // how many tables were followed since the start
	Digest    string            `json:"digest"`  // of the table that is followed now
	Problem   string            `json:"problem,omitempty"`
	Listeners []Listener        `json:"listeners"`
	Open      map[string]int    `json:"open,omitempty"` // connections to containers, by their ids
	Sick      map[string]string `json:"sick,omitempty"` // containers that their check takes out, by their ids, and why
}

// State is how a listener fares.
type State string

// The states.
const (
	Open   State = "open"
	Failed State = "failed"
)

// Listener is one outside port and what came in by it. Counts are of
// connections since the listener was first wanted; of a UDP port, of flows.
type Listener struct {
	Listen  string      `json:"listen"` // ":25/tcp"
	Service string      `json:"service,omitempty"`
	Access  spec.Access `json:"access"` // from where it can be reached at all
	State   State       `json:"state"`
	Says    string      `json:"says,omitempty"`   // why it failed
	Remedy  string      `json:"remedy,omitempty"` // what to do about it
	Now     int64       `json:"now"`              // open at this moment
	Total   int64       `json:"total"`            // accepted
	Denied  int64       `json:"denied"`           // came from where they may not
	Crowded int64       `json:"crowded"`          // turned away because too many were open
	Beyond  int64       `json:"beyond"`           // turned away because their client had its share
	Failed  int64       `json:"failed"`           // no container took them
}
