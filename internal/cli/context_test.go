package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/cli"
	"havre/internal/problem"
)

// saved writes a context file and gives the variables under which it is found.
func saved(t *testing.T, text string, mode os.FileMode, more map[string]string) func(string) string {
	t.Helper()
	home := t.TempDir()
	file := filepath.Join(home, ".config", "havre", "context.json")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	return func(name string) string {
		if name == "HOME" {
			return home
		}
		return more[name]
	}
}

const holding = `{"url": "http://localhost:7080", "token": "saved", "env": "dev"}`

func TestATokenThatOthersCanReadIsNotUsed(t *testing.T) {
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o660: false, 0o644: false} {
		_, token, err := cli.Where(saved(t, holding, mode, nil))
		if ok != (err == nil && token == "saved") {
			t.Errorf("%o: token %q, %v", mode, token, err)
		}
		if !ok && (problem.KindOf(err) != problem.Invalid || !strings.Contains(problem.Of(err).Remedy, "chmod 600")) {
			t.Errorf("%o: %v", mode, err)
		}
	}
	if _, _, err := cli.Where(saved(t, `{"url": "http://localhost:7080", "tokenFile": "/x"}`, 0o644, nil)); err == nil || strings.Contains(err.Error(), "others") {
		t.Errorf("a context without a token of its own: %v", err)
	}
}

// Root with another's home would send the first line of any file to wherever
// that user's context says.
func TestRootReadsNoFileThatTheContextOfAnotherNames(t *testing.T) {
	if os.Geteuid() != 0 {
		return
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("of root's"), 0o600); err != nil {
		t.Fatal(err)
	}
	vars := saved(t, `{"url": "http://localhost:7080", "tokenFile": "`+secret+`"}`, 0o600, nil)
	if _, token, err := cli.Where(vars); err != nil || token != "of root's" {
		t.Errorf("root's own context: %q, %v", token, err)
	}
	if err := os.Chown(filepath.Join(vars("HOME"), ".config/havre/context.json"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, token, err := cli.Where(vars); problem.KindOf(err) != problem.Denied || token != "" {
		t.Errorf("another's: %q, %v; want it denied", token, err)
	}
}

func TestVariablesStandAboveTheSavedContext(t *testing.T) {
	for _, c := range []struct {
		name       string
		vars       map[string]string
		url, token string
	}{
		{"nothing", nil, "http://localhost:7080", "saved"},
		{"another token", map[string]string{"HAVRE_TOKEN": "mine"}, "http://localhost:7080", "mine"},
		{"the same address", map[string]string{"HAVRE_URL": "http://localhost:7080"}, "http://localhost:7080", "saved"},
		{"another address gets no saved token", map[string]string{"HAVRE_URL": "http://localhost:1"}, "http://localhost:1", ""},
		{"both", map[string]string{"HAVRE_URL": "http://localhost:1", "HAVRE_TOKEN": "mine"}, "http://localhost:1", "mine"},
	} {
		url, token, err := cli.Where(saved(t, holding, 0o600, c.vars))
		if err != nil || url != c.url || token != c.token {
			t.Errorf("%s: %q, %q, %v", c.name, url, token, err)
		}
	}
}

func TestAContextThatIsNotUnderstoodIsNotGuessed(t *testing.T) {
	for _, text := range []string{"", "x", "[]", `{"uri": "x"}`, `{"url": 1}`} {
		if _, _, err := cli.Where(saved(t, text, 0o600, nil)); problem.KindOf(err) != problem.Invalid || problem.Of(err).Remedy == "" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWithoutAContextThisMachineIsMeant(t *testing.T) {
	url, token, err := cli.Where(func(string) string { return "" })
	if err != nil || token != "" || url != "http://127.0.0.1:7080" && !strings.HasPrefix(url, "unix:///var/lib/havre/run/") {
		t.Errorf("%q, %q, %v", url, token, err)
	}
}
