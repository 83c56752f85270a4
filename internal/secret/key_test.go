package secret_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"havre/internal/secret"
)

func key(t *testing.T, content []byte) secret.Key {
	t.Helper()
	f := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(f, content, 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := secret.ReadKey(f)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSealedSecretOpensOnlyWhereItBelongs(t *testing.T) {
	content := secret.NewKeyFile()
	k := key(t, content)
	sealed, err := k.Seal(secret.New("hunter2"), "prod", "db")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("hunter2")) {
		t.Error("it is not sealed")
	}
	if again, _ := k.Seal(secret.New("hunter2"), "prod", "db"); bytes.Equal(again, sealed) {
		t.Error("the same secret gives the same bytes twice")
	}
	if got, err := key(t, content).Open(sealed, "prod", "db"); err != nil || got.Reveal() != "hunter2" {
		t.Errorf("got %q, %v", got.Reveal(), err)
	}
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for what, open := range map[string]func() (secret.Text, error){
		"another key":           func() (secret.Text, error) { return key(t, secret.NewKeyFile()).Open(sealed, "prod", "db") },
		"no key":                func() (secret.Text, error) { return secret.Key{}.Open(sealed, "prod", "db") },
		"another place":         func() (secret.Text, error) { return k.Open(sealed, "prod", "other") },
		"words cut differently": func() (secret.Text, error) { return k.Open(sealed, "prodd", "b") },
		"changed bytes":         func() (secret.Text, error) { return k.Open(changed, "prod", "db") },
		"cut bytes":             func() (secret.Text, error) { return k.Open(sealed[:5], "prod", "db") },
	} {
		if got, err := open(); err == nil || got.Reveal() != "" {
			t.Errorf("%s opens it", what)
		}
	}
	if _, err := (secret.Key{}).Seal(secret.New("x")); err == nil {
		t.Error("no key seals")
	}
}

func TestFingerprintsTellSecretsApartAndNothingElse(t *testing.T) {
	content := secret.NewKeyFile()
	k := key(t, content)
	one := k.Print(secret.New("hunter2"), "prod", "db")
	if len(one) != 32 || key(t, content).Print(secret.New("hunter2"), "prod", "db") != one {
		t.Errorf("%s is not the same again", one)
	}
	for what, other := range map[string]string{
		"another value":         k.Print(secret.New("hunter3"), "prod", "db"),
		"another place":         k.Print(secret.New("hunter2"), "qualif", "db"),
		"words cut differently": k.Print(secret.New("hunter2"), "prodd", "b"),
		"another key":           key(t, secret.NewKeyFile()).Print(secret.New("hunter2"), "prod", "db"),
	} {
		if other == one {
			t.Errorf("%s has the same fingerprint", what)
		}
	}
}

func TestFileWithoutAKeyIsRefused(t *testing.T) {
	for _, content := range []string{"", "abc\n", string(secret.NewKeyFile()[:62]) + "\n", "zz" + string(secret.NewKeyFile()[2:])} {
		f := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(f, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := secret.ReadKey(f); err == nil {
			t.Errorf("%q is a key", content)
		}
	}
}
