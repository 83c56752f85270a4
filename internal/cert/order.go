package cert

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
	"unicode"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// Challenge is what a public authority asks to see at a host before it
// believes that the host is ours.
type Challenge struct {
	Host  string
	Token string
	Proof string // the key authorization of RFC 8555, 8.1
}

// How long an order may take.
const (
	orderTime = 5 * time.Minute
	pollTime  = 2 * time.Minute
)

// client speaks to the authority.
func (p *Public) client(s *shown) *acmez.Client {
	web := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: p.roots},
		IdleConnTimeout: time.Minute,
	}}
	return &acmez.Client{
		Client:           &acme.Client{Directory: p.set.Directory, HTTPClient: web, UserAgent: "havre", PollTimeout: pollTime},
		ChallengeSolvers: map[string]acmez.Solver{acme.ChallengeTypeHTTP01: s, acme.ChallengeTypeTLSALPN01: s},
	}
}

// order gets a certificate for a host. It waits for the authority.
func (p *Public) order(ctx context.Context, host string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	s := &shown{show: p.set.Show}
	c := p.client(s)
	defer c.HTTPClient.CloseIdleConnections()
	account, err := p.account(ctx, c)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	chains, err := c.ObtainCertificateForSANs(ctx, account, key, []string{host})
	if err != nil {
		return nil, err
	}
	if len(chains) == 0 {
		return nil, errors.New("the authority gave no certificate")
	}
	k, err := keyPEM(key)
	return append(slices.Clone(chains[0].ChainPEM), k...), err
}

// account asks for the one account that our key has. To ask again is no harm:
// RFC 8555, 7.3 gives the one that is there.
func (p *Public) account(ctx context.Context, c *acmez.Client) (acme.Account, error) {
	key, err := p.accountKey()
	if err != nil {
		return acme.Account{}, fmt.Errorf("the key of the account: %w", err)
	}
	a := acme.Account{TermsOfServiceAgreed: true, PrivateKey: key}
	if p.set.Email != "" {
		a.Contact = []string{"mailto:" + p.set.Email}
	}
	return c.NewAccount(ctx, a)
}

// accountKey is kept before it is used, so an account is never lost.
func (p *Public) accountKey() (*ecdsa.PrivateKey, error) {
	file := filepath.Join(p.set.Dir, "account.key")
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		fresh, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		if b, err = keyPEM(fresh); err != nil {
			return nil, err
		}
		return fresh, keep(file, b)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s is no key", file)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s is no key: %w", file, err)
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is another kind of key", file)
	}
	return key, nil
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}), nil
}

// shown are the challenges of one order that are answered at the moment.
type shown struct {
	show func(context.Context, []Challenge) error

	mu  sync.Mutex // guards all
	all []Challenge
}

// Present has the ingress answer a challenge.
func (s *shown) Present(ctx context.Context, c acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, Challenge{Host: c.Identifier.Value, Token: c.Token, Proof: c.KeyAuthorization})
	return s.show(ctx, s.all)
}

// CleanUp ends that.
func (s *shown) CleanUp(ctx context.Context, c acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(h Challenge) bool { return h.Token == c.Token })
	return s.show(ctx, s.all)
}

// says is what an authority's refusal says to people, in a line of bounded length.
func says(err error) string {
	text := err.Error()
	var p acme.Problem
	if errors.As(err, &p) && p.Detail != "" {
		text = p.Detail
		for _, sub := range p.Subproblems {
			text += "; " + sub.Detail
		}
	}
	line := []rune(text)
	for i, r := range line {
		if !unicode.IsPrint(r) {
			line[i] = ' '
		}
	}
	return string(line[:min(len(line), 300)])
}
