package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"havre/internal/alert"
	"havre/internal/secret"
)

// The headers of a webhook's request. The signature is the HMAC of SHA-256, in
// hexadecimal, of the time, a dot and the body.
const (
	NumberHeader    = "X-Havre-Delivery" // the same for each try
	TimeHeader      = "X-Havre-Time"     // seconds since 1970
	SignatureHeader = "X-Havre-Signature"
)

// Message is the body of a webhook's request.
type Message struct {
	alert.Notice
	Host string `json:"host"`
	Text string `json:"text"` // the notice in a line, as some chats want it
}

// post hands a notice to an HTTP server.
func (s Sender) post(ctx context.Context, h alert.Webhook, n alert.Notice) error {
	u, err := url.Parse(h.URL)
	if err != nil {
		return err
	}
	secure, err := trust(u.Hostname(), h.CA)
	if err != nil {
		return err
	}
	body, err := json.Marshal(Message{Notice: n, Host: s.Host, Text: s.subject(n) + ": " + n.Says})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	now := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "havre")
	r.Header.Set(NumberHeader, s.number(n))
	r.Header.Set(TimeHeader, now)
	if h.SecretFile != "" {
		key, err := secret.Read(h.SecretFile)
		if err != nil {
			return err
		}
		r.Header.Set(SignatureHeader, "sha256="+Sign(key.Reveal(), now, body))
	}
	transport := &http.Transport{TLSClientConfig: secure, DisableKeepAlives: true}
	// A redirect would send it to who knows whom.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := (&http.Client{Transport: transport, CheckRedirect: stay}).Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // what it says besides is of no interest
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("it answered %s", resp.Status)
	}
	return nil
}

// Sign gives the signature of a body sent at a time.
func Sign(key, at string, body []byte) string {
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(at + "."))
	m.Write(body)
	return hex.EncodeToString(m.Sum(nil))
}
