package secret_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/secret"
)

func TestSecretsDoNotPrint(t *testing.T) {
	text, sent := secret.New("hunter2"), secret.Sent("hunter2")
	var all strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %08v"} {
		for _, it := range []any{text, &text, struct{ S secret.Text }{text}, struct{ s secret.Text }{text}, []secret.Text{text}, sent, struct{ S secret.Sent }{sent}} {
			if strings.Contains(verb, "T") {
				fmt.Fprintf(&all, verb, it, it)
			} else {
				fmt.Fprintf(&all, verb, it)
			}
		}
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&all, nil), slog.NewJSONHandler(&all, nil)} {
		slog.New(h).Info("x", "text", text, "sent", sent, "group", slog.GroupValue(slog.Any("text", text)))
	}
	j, err := json.Marshal(map[string]any{"s": text})
	if err != nil {
		t.Fatal(err)
	}
	all.Write(j)
	for _, form := range []string{"hunter2", hex.EncodeToString([]byte("hunter2")), base64.StdEncoding.EncodeToString([]byte("hunter2")), "104 117 110"} {
		if strings.Contains(strings.ToLower(all.String()), strings.ToLower(form)) {
			t.Errorf("leaked as %s: %s", form, all.String())
		}
	}
	if text.Reveal() != "hunter2" || sent.Text().Reveal() != "hunter2" {
		t.Error("Reveal must give it")
	}
}

func TestSentSecretArrives(t *testing.T) {
	text, err := json.Marshal(secret.Sent("a\x00b"))
	var back secret.Sent
	if err != nil || json.Unmarshal(text, &back) != nil || back.Text().Reveal() != "a\x00b" {
		t.Errorf("got %q of %s, %v", back.Text().Reveal(), text, err)
	}
}

func TestNothingEqualsTheEmptySecret(t *testing.T) {
	if (secret.Text{}).Equal("") || !secret.New("a").Equal("a") || secret.New("a").Equal("b") {
		t.Error("comparison is wrong")
	}
}

func TestSecretIsTheFirstLineOfItsFile(t *testing.T) {
	f := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(f, []byte("abc\nrest"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := secret.Read(f)
	if err != nil || s.Reveal() != "abc" {
		t.Errorf("got %q, %v", s.Reveal(), err)
	}
}
