package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// Sent is a secret on its way between two programs: the one type that marshals
// to JSON as what it holds, in base64. It prints as "(secret)" all the same.
type Sent []byte

// Text gives the secret for keeping.
func (s Sent) Text() Text { return New(string(s)) }

// Format hides the secret from every verb.
func (s Sent) Format(f fmt.State, _ rune) { hide(f) }

// LogValue hides the secret from logs.
func (s Sent) LogValue() slog.Value { return slog.StringValue(hidden) }

// Format hides the secret from every verb; %d would else show it.
func (t Text) Format(f fmt.State, _ rune) { hide(f) }

// LogValue hides the secret from logs.
func (t Text) LogValue() slog.Value { return slog.StringValue(hidden) }

const hidden = "(secret)"

func hide(f fmt.State) {
	_, _ = io.WriteString(f, hidden) // fmt's own writer does not fail
}
