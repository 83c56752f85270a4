package secret_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/secret"
)

func TestSecretsDoNotPrint(t *testing.T) {
	s := secret.New("hunter2")
	j, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	if all := fmt.Sprintf("%v %s %+v %#v %s", s, s, struct{ S secret.Text }{s}, s, j); strings.Contains(all, "hunter2") {
		t.Errorf("leaked: %s", all)
	}
	if s.Reveal() != "hunter2" {
		t.Error("Reveal must give it")
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
