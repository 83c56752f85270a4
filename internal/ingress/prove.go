package ingress

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"havre/internal/problem"
	"havre/internal/route"
)

// Where a public authority asks: RFC 8555, 8.3, and RFC 8737, 3.
const (
	proofPath  = "/.well-known/acme-challenge/"
	proofProto = "acme-tls/1"
)

// maxProofs bounds the challenges at one time; orders are made one by one.
const maxProofs = 100

// proofs are what public authorities are answered at the moment. A value never
// changes; other challenges are other proofs.
type proofs struct {
	texts map[[2]string]string        // by host and token
	certs map[string]*tls.Certificate // by host
}

func newProofs(all []route.Challenge) (*proofs, error) {
	p := &proofs{texts: map[[2]string]string{}, certs: map[string]*tls.Certificate{}}
	if len(all) > maxProofs {
		return nil, problem.New(problem.Invalid, "%d challenges are more than %d", len(all), maxProofs)
	}
	for _, c := range all {
		if err := c.Validate(); err != nil {
			return nil, err
		}
		p.texts[[2]string{c.Host, c.Token}] = c.Proof
		pair, err := acmez.TLSALPN01ChallengeCert(acme.Challenge{
			Type: acme.ChallengeTypeTLSALPN01, Identifier: acme.Identifier{Type: "dns", Value: c.Host}, KeyAuthorization: c.Proof,
		})
		if err != nil {
			return nil, err
		}
		p.certs[c.Host] = pair
	}
	return p, nil
}

func (f *front) putChallenges(w http.ResponseWriter, r *http.Request) {
	var c route.Challenges
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		err = d.Decode(&c)
	}
	if err != nil {
		complain(w, problem.New(problem.Invalid, "read the challenges").Because(err))
		return
	}
	p, err := newProofs(c.Challenges)
	if err != nil {
		complain(w, err)
		return
	}
	f.proofs.Store(p)
	answer(w, struct{}{})
}

// prove answers a public authority, at the names that are asked about alone:
// what an app proves by itself goes to the app. Whoever may not come in at a
// service may still read this; it is made to be read by strangers.
func (f *front) prove(v *visit, r *http.Request) bool {
	if r.TLS != nil && r.TLS.NegotiatedProtocol == proofProto { // made for a handshake and nothing after it
		refuse(v, r, http.StatusMisdirectedRequest)
		return true
	}
	token, asked := strings.CutPrefix(r.URL.Path, proofPath)
	text, known := f.proofs.Load().texts[[2]string{hostName(r.Host), token}]
	if !asked || !known || r.Method != http.MethodGet {
		return false
	}
	v.Header().Set("Content-Type", "application/octet-stream")
	v.Header().Set("Content-Length", strconv.Itoa(len(text)))
	io.WriteString(v, text) // who has gone asks again
	return true
}

// proveTLS gives a client that asks for a proof, and for nothing else, the
// certificate that is one; everybody else goes the usual way.
func (f *front) proveTLS(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if !slices.Equal(hello.SupportedProtos, []string{proofProto}) {
		return nil, nil
	}
	pair := f.proofs.Load().certs[hostName(hello.ServerName)]
	if pair == nil {
		return nil, nil // no common protocol, so the handshake fails
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*pair}, NextProtos: []string{proofProto}}, nil
}
