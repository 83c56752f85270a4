package cert

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"havre/internal/secret"
)

// parsePair reads the PEM of a certificate, those that signed it in their
// order, and its key, which may stand anywhere.
func parsePair(b []byte) (Leaf, error) {
	pair, err := tls.X509KeyPair(b, b) // it makes sure that the key fits
	if err != nil {
		return Leaf{}, err
	}
	for i, der := range pair.Certificate[1:] {
		signed, err := x509.ParseCertificate(pair.Certificate[i])
		if err != nil {
			return Leaf{}, err
		}
		signer, err := x509.ParseCertificate(der)
		if err != nil {
			return Leaf{}, err
		}
		if err := signed.CheckSignatureFrom(signer); err != nil {
			return Leaf{}, fmt.Errorf("certificate %d of the chain is not signed by the next: %w", i+1, err)
		}
	}
	var chain, key strings.Builder
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "CERTIFICATE":
			chain.Write(pem.EncodeToMemory(block))
		case strings.HasSuffix(block.Type, "PRIVATE KEY") && key.Len() == 0:
			key.Write(pem.EncodeToMemory(block))
		default:
			return Leaf{}, errors.New("it holds more than certificates and a key")
		}
	}
	return Leaf{Chain: chain.String(), Key: secret.New(key.String()), NotAfter: pair.Leaf.NotAfter, parsed: pair.Leaf}, nil
}

// Covers tells whether a leaf proves a host; *.example.org is a host here that
// only the same wildcard proves.
func (l Leaf) Covers(host string) bool {
	if l.parsed == nil {
		return false
	}
	if strings.HasPrefix(host, "*.") {
		for _, name := range l.parsed.DNSNames {
			if strings.EqualFold(name, host) {
				return true
			}
		}
		return false
	}
	return l.parsed.VerifyHostname(host) == nil
}
