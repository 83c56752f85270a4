package mail

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/mail"
	"strings"
	"time"
)

// Told waits until the account has a mail with the subject that was written at
// since or later, and returns it as a person reads it: from whom, to whom, what
// about, and the text. A mail's time has whole seconds.
func (s Server) Told(ctx context.Context, login Login, subject string, since time.Time) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		text, err := s.WaitForMail(ctx, login, "INBOX", subject)
		if err != nil {
			return "", err
		}
		m, err := mail.ReadMessage(strings.NewReader(text))
		if err != nil {
			return "", fmt.Errorf("read the mail %q: %w", subject, err)
		}
		written, err := m.Header.Date()
		if err != nil {
			return "", fmt.Errorf("read the date of the mail %q: %w", subject, err)
		}
		if !written.Before(since.Truncate(time.Second)) {
			return letter(m)
		}
		if pause(ctx); ctx.Err() != nil {
			return "", fmt.Errorf("waited in vain for a new mail %q: the newest is of %s", subject, written)
		}
	}
}

func letter(m *mail.Message) (string, error) {
	body := m.Body
	if strings.EqualFold(m.Header.Get("Content-Transfer-Encoding"), "base64") {
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return "", fmt.Errorf("read the text of the mail %q: %w", m.Header.Get("Subject"), err)
	}
	var b strings.Builder
	for _, name := range []string{"From", "To", "Date", "Subject"} {
		fmt.Fprintf(&b, "%s: %s\n", name, m.Header.Get(name))
	}
	return b.String() + "\n" + strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n")) + "\n", nil
}
