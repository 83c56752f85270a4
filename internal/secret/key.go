package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Key seals secrets for keeping and tells them apart without showing them.
// The zero Key does neither. It may be used by many at once.
type Key struct {
	seal  cipher.AEAD
	print []byte
}

// keySize is how many bytes a key file holds, written in hexadecimal digits.
const keySize = 32

// NewKeyFile is the content of a new key's file.
func NewKeyFile() []byte {
	b := make([]byte, keySize)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return []byte(hex.EncodeToString(b) + "\n")
}

// ReadKey reads a key from the first line of its file.
// Errors: the file cannot be read, or holds no key.
func ReadKey(file string) (Key, error) {
	text, err := Read(file)
	if err != nil {
		return Key{}, err
	}
	raw, err := hex.DecodeString(strings.TrimSpace(text.Reveal()))
	if err != nil || len(raw) != keySize {
		return Key{}, fmt.Errorf("%s holds no key of %d hexadecimal digits", file, 2*keySize)
	}
	return newKey(raw)
}

// newKey makes of one key those for sealing and for telling apart: neither
// use shall weaken the other.
func newKey(raw []byte) (Key, error) {
	sealing, err := hkdf.Key(sha256.New, raw, nil, "havre secret seal 1", keySize)
	if err != nil {
		return Key{}, err
	}
	print, err := hkdf.Key(sha256.New, raw, nil, "havre secret print 1", keySize)
	if err != nil {
		return Key{}, err
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return Key{}, err
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	return Key{gcm, print}, err
}

// errSealed is the same whatever is wrong: the key, the bytes, what they are about.
var errSealed = errors.New("what is kept does not open with this key")

// Seal encrypts t. It opens again only with the same words about it, so that
// one kept secret cannot be put in another one's place. Each call gives other
// bytes.
func (k Key) Seal(t Text, about ...string) ([]byte, error) {
	if k.seal == nil {
		return nil, errors.New("there is no key to seal with")
	}
	return k.seal.Seal(nil, nil, []byte(t.Reveal()), joined(about)), nil
}

// Open decrypts what Seal gave.
// Errors: it was sealed with another key, about something else, or changed since.
func (k Key) Open(sealed []byte, about ...string) (Text, error) {
	if k.seal == nil {
		return Text{}, errSealed
	}
	plain, err := k.seal.Open(nil, nil, sealed, joined(about))
	if err != nil {
		return Text{}, errSealed
	}
	return New(string(plain)), nil
}

// Print is a fingerprint of t, 32 hexadecimal digits: the same for the same
// secret and words. Without the key nobody can try out what it is of.
func (k Key) Print(t Text, about ...string) string {
	m := hmac.New(sha256.New, k.print)
	_, _ = m.Write(joined(about)) // a hash's Write never fails
	_, _ = m.Write([]byte(t.Reveal()))
	return hex.EncodeToString(m.Sum(nil))[:32]
}

// joined puts words together so that no two lists give the same bytes.
func joined(words []string) []byte {
	var all []byte
	for _, w := range words {
		all = append(fmt.Appendf(all, "%d:", len(w)), w...)
	}
	return append(all, '.')
}
