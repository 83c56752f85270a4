// Package cert makes certificates. Its Authority is Havre's own: people trust
// its root once, and every service has TLS from then on.
package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"havre/internal/problem"
	"havre/internal/secret"
)

const (
	rootYears = 10
	leafLife  = 90 * 24 * time.Hour

	// skew is how far a client's clock may be behind ours.
	skew = time.Hour
)

// Authority signs certificates with a root of its own. It may be used by many
// at once.
type Authority struct {
	dir  string
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Open gives the authority that lives in dir, and makes one where there is
// none; dir itself must exist and be private. Two who open an empty directory
// at once get the same authority.
// Errors: Invalid when what is in dir is no authority.
func Open(dir string, now time.Time) (*Authority, error) {
	file := filepath.Join(dir, "authority.pem")
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if b, err = found(now); err == nil {
			err = keepFirst(file, b)
		}
		if err == nil {
			b, err = os.ReadFile(file) // ours, or that of someone who was quicker
		}
	}
	if err != nil {
		return nil, problem.New(problem.Failed, "open the certificate authority in %s", dir).Because(err)
	}
	a, err := parseAuthority(b)
	if err != nil {
		return nil, problem.New(problem.Invalid, "%s is no certificate authority", file).Because(err).
			With("restore it from a backup; or move it away, and everybody must trust a new root")
	}
	a.dir = dir
	if err := a.sweep(now); err != nil {
		return nil, problem.New(problem.Failed, "open the certificate authority in %s", dir).Because(err)
	}
	return a, nil
}

// found makes a new root with its key, as the one PEM file that is kept: so
// there is never one without the other.
func found(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	mark := make([]byte, 4)
	if _, err := rand.Read(mark); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		// The mark tells two authorities apart in a list of trusted roots.
		Subject:               pkix.Name{Organization: []string{"Havre"}, CommonName: "Havre authority " + hex.EncodeToString(mark)},
		NotBefore:             now.Add(-skew).UTC(),
		NotAfter:              now.AddDate(rootYears, 0, 0).UTC(),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return bundle(der, key)
}

func parseAuthority(b []byte) (*Authority, error) {
	root, key, err := unbundle(b)
	if err != nil {
		return nil, err
	}
	if !root.IsCA || root.CheckSignatureFrom(root) != nil {
		return nil, errors.New("the certificate in it is no root")
	}
	return &Authority{root: root, key: key}, nil
}

// RootPEM is what clients must trust. It is no secret.
func (a *Authority) RootPEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw}))
}

// Trusted tells whether this machine trusts a root, PEM, as it trusts public ones.
func Trusted(root []byte) bool {
	block, _ := pem.Decode(root)
	if block == nil {
		return false
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return false
	}
	_, err = c.Verify(x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

// Issue makes a new certificate for hosts, names or IP addresses. It is good
// for 90 days, or less where the root ends sooner.
// Errors: Invalid without hosts, or when one can't be in a certificate;
// Unavailable when the root has ended.
func (a *Authority) Issue(hosts []string, now time.Time) (Leaf, error) {
	hosts = normal(hosts)
	if len(hosts) == 0 {
		return Leaf{}, problem.New(problem.Invalid, "a certificate needs a host")
	}
	if now.After(a.root.NotAfter) {
		return Leaf{}, problem.New(problem.Unavailable, "Havre's certificate authority ended on %s", a.root.NotAfter.Format(time.DateOnly)).
			With("move authority.pem away from %s and restart Havre; everybody must trust the new root", a.dir)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Leaf{}, err
	}
	template := &x509.Certificate{
		NotBefore:             now.Add(-skew).UTC(),
		NotAfter:              earlier(now.Add(leafLife-skew), a.root.NotAfter).UTC(), // 90 days all in all
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if len(hosts[0]) <= 64 { // X.520, ub-common-name
		template.Subject.CommonName = hosts[0]
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.root, &key.PublicKey, a.key)
	if err != nil {
		return Leaf{}, problem.New(problem.Invalid, "issue a certificate for %q", hosts).Because(err)
	}
	b, err := bundle(der, key)
	if err != nil {
		return Leaf{}, err
	}
	return parseLeaf(b)
}

func normal(hosts []string) []string {
	hosts = slices.Clone(hosts)
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// bundle writes a certificate and its key into one PEM text.
func bundle(der []byte, key *ecdsa.PrivateKey) ([]byte, error) {
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(b, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k})...), nil
}

// unbundle reads what bundle wrote, and makes sure that the two belong together.
func unbundle(b []byte) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	first, rest := pem.Decode(b)
	second, rest := pem.Decode(rest)
	if first == nil || second == nil || len(rest) > 0 || first.Type != "CERTIFICATE" || second.Type != "PRIVATE KEY" {
		return nil, nil, errors.New("it is not a certificate and a key")
	}
	c, err := x509.ParseCertificate(first.Bytes)
	if err != nil {
		return nil, nil, err
	}
	k, err := x509.ParsePKCS8PrivateKey(second.Bytes)
	if err != nil {
		return nil, nil, err
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(c.PublicKey) {
		return nil, nil, errors.New("the key is not the certificate's")
	}
	return c, key, nil
}

// Leaf is a certificate for hosts, with its key.
type Leaf struct {
	Chain    string      // PEM, the leaf alone: clients have the root
	Key      secret.Text // PEM
	NotAfter time.Time

	parsed *x509.Certificate
}

func parseLeaf(b []byte) (Leaf, error) {
	c, _, err := unbundle(b)
	if err != nil {
		return Leaf{}, err
	}
	block, rest := pem.Decode(b)
	return Leaf{
		Chain:    string(pem.EncodeToMemory(block)),
		Key:      secret.New(string(rest)),
		NotAfter: c.NotAfter,
		parsed:   c,
	}, nil
}

// Due tells whether a leaf should be issued again: a third of its life is left,
// or less. The zero leaf is due.
func (l Leaf) Due(now time.Time) bool {
	if l.parsed == nil {
		return true
	}
	life := l.parsed.NotAfter.Sub(l.parsed.NotBefore)
	return !now.Before(l.parsed.NotAfter.Add(-life / 3))
}
