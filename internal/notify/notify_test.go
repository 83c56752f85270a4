package notify_test

import (
	"encoding/base64"
	"encoding/json"
	"net/mail"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"havre/internal/alert"
	"havre/internal/notify"
)

var (
	sender = notify.Sender{Host: "tower", Instance: "abc"}
	notice = alert.Notice{
		ID: 7, Alert: "service-down/prod.shop.web", Rule: "service-down", About: "prod.shop.web", State: "unwell",
		Says: "failing: grüße\nBcc: everybody@example.org", Since: time.Unix(1000, 0), Made: time.Unix(2000, 0),
	}
)

func by(m *alert.Mail) alert.Channel {
	m.From, m.To = "Havre <havre@example.org>", []string{"ops@example.org", "Boss <boss@example.org>"}
	return alert.Channel{Name: "ops", Mail: m}
}

func TestMailGoesPrivatelyToARealServer(t *testing.T) {
	o := openOffice(t, true)
	password := write(t, filepath.Join(t.TempDir(), "password"), "right\n")
	c := by(&alert.Mail{Server: o.addr, CA: o.ca, User: "havre", PasswordFile: password})
	if err := sender.Send(t.Context(), c, notice); err != nil {
		t.Fatal(err)
	}
	got := o.taken()
	if len(got) != 1 || got[0].user != "havre" || got[0].from != "havre@example.org" || strings.Join(got[0].to, " ") != "ops@example.org boss@example.org" {
		t.Fatalf("taken %+v", got)
	}
	m, err := mail.ReadMessage(strings.NewReader(got[0].text))
	if err != nil {
		t.Fatal(err)
	}
	if s := m.Header.Get("Subject"); s != "[havre tower] PROBLEM service-down/prod.shop.web" {
		t.Errorf("subject %q", s)
	}
	if id := m.Header.Get("Message-ID"); id != "<7.abc@tower>" {
		t.Errorf("id %q", id)
	}
	if m.Header.Get("Bcc") != "" {
		t.Error("words of others became a header")
	}
	var text [4096]byte
	n, _ := base64.NewDecoder(base64.StdEncoding, m.Body).Read(text[:])
	for _, want := range []string{"failing: grüße", "havre why prod.shop.web"} {
		if !strings.Contains(string(text[:n]), want) {
			t.Errorf("no %q in %s", want, text[:n])
		}
	}
}

func TestMailThatCannotGoSaysWhy(t *testing.T) {
	plain, secure := openOffice(t, false), openOffice(t, true)
	wrong := write(t, filepath.Join(t.TempDir(), "password"), "wrong\n")
	gone := "localhost:1"
	for want, m := range map[string]*alert.Mail{
		"no STARTTLS":        {Server: plain.addr},
		"certificate":        {Server: secure.addr}, // signed by nobody whom the machine knows
		"wrong password":     {Server: secure.addr, CA: secure.ca, User: "havre", PasswordFile: wrong},
		"connection refused": {Server: gone},
		"no such file":       {Server: secure.addr, CA: "/nowhere/root.pem"},
	} {
		err := sender.Send(t.Context(), by(m), notice)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	if n := len(plain.taken()) + len(secure.taken()); n > 0 {
		t.Errorf("%d mails went out", n)
	}
	if err := sender.Send(t.Context(), by(&alert.Mail{Server: plain.addr, TLS: "none"}), notice); err != nil {
		t.Errorf("asked for without TLS: %v", err)
	}
}

func TestWebhooksAreSignedAndNumbered(t *testing.T) {
	r := openReceiver(t)
	key := write(t, filepath.Join(t.TempDir(), "key"), "the key\n")
	c := alert.Channel{Name: "chat", Webhook: &alert.Webhook{URL: r.url, SecretFile: key}}
	if err := sender.Send(t.Context(), c, notice); err != nil {
		t.Fatal(err)
	}
	got := r.taken()[0]
	if s := got.header.Get(notify.SignatureHeader); s != "sha256="+notify.Sign("the key", got.header.Get(notify.TimeHeader), got.body) {
		t.Errorf("signature %q", s)
	}
	if notify.Sign("the key", "1", []byte("a")) == notify.Sign("the key", "2", []byte("a")) || notify.Sign("k", "1", nil) == notify.Sign("l", "1", nil) {
		t.Error("the signature is not of key, time and body")
	}
	if n := got.header.Get(notify.NumberHeader); n != "7.abc" {
		t.Errorf("number %q", n)
	}
	var m notify.Message
	if err := json.Unmarshal(got.body, &m); err != nil || m.About != "prod.shop.web" || m.State != "unwell" || m.Host != "tower" {
		t.Errorf("%s, %v", got.body, err)
	}
}

func TestAWebhookThatIsNotTakenIsAnError(t *testing.T) {
	r := openReceiver(t)
	r.fail = 1
	c := alert.Channel{Name: "chat", Webhook: &alert.Webhook{URL: r.url}}
	if err := sender.Send(t.Context(), c, notice); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("answered 503: %v", err)
	}
	c.Webhook.URL = r.url + "/away"
	if err := sender.Send(t.Context(), c, notice); err == nil || !strings.Contains(err.Error(), "302") {
		t.Errorf("sent on elsewhere: %v", err)
	}
	if n := len(r.taken()); n > 0 {
		t.Errorf("%d were taken", n)
	}
}
