// Package secret holds strings that must not be printed by accident.
package secret

import (
	"crypto/subtle"
	"encoding/json"
	"os"
	"strings"
)

// Text is a secret. It prints and marshals as "(secret)"; Reveal gives it.
type Text struct {
	_     [0]func() // == would compare pointers: it does not compile
	value *string   // a pointer, for fmt prints fields that are not exported without asking them
}

// New makes a secret of s.
func New(s string) Text { return Text{value: &s} }

// Read takes the secret from the first line of a file.
func Read(file string) (Text, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return Text{}, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return New(strings.TrimSpace(line)), nil
}

// Reveal gives the secret itself. Each use is a place to look at in review.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// Equal compares in constant time. Nothing equals an empty secret.
func (t Text) Equal(s string) bool {
	return t.Reveal() != "" && subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(s)) == 1
}

// String hides the secret.
func (t Text) String() string { return hidden }

// MarshalJSON hides the secret.
func (t Text) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }
