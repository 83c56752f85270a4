package role_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/problem"
	"havre/internal/role"
)

// layout is a data directory with a place for configurations, logs and pids.
func layout(t *testing.T) role.Layout {
	t.Helper()
	l := role.Layout{Data: t.TempDir()}
	for _, dir := range []string{"config", "log", "run/pid"} {
		if err := os.MkdirAll(filepath.Join(l.Data, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEveryRoleStartsWithAnEmptyConfig(t *testing.T) {
	for _, r := range role.Roles {
		l := layout(t)
		for _, text := range []string{"", "{}", "{}\n"} {
			if text != "" {
				write(t, l.Config(r.Name), text)
			}
			if _, err := role.Load(l, r.Name, r.New()); err != nil {
				t.Errorf("%s with %q: %v", r.Name, text, err)
			}
		}
		if r.Does == "" || r.Run == nil {
			t.Errorf("%s is half a role", r.Name)
		}
	}
}

// What is shown can be written down as the configuration.
func TestWhatIsShownIsAConfig(t *testing.T) {
	for _, r := range role.Roles {
		l := layout(t)
		text, err := role.Show(l, r)
		if err != nil {
			t.Fatal(err)
		}
		write(t, l.Config(r.Name), string(text))
		if again, err := role.Show(l, r); err != nil || string(again) != string(text) {
			t.Errorf("%s: %s, %v", r.Name, again, err)
		}
	}
}

func TestBadConfigIsRefusedWithAllItsMistakes(t *testing.T) {
	for name, cases := range map[string]map[string][]string{
		"server": {
			`{"listen":"0.0.0.0:7080","httpPort":0,"httpsPort":70000,"pool":"10.0.0.0/25","every":"1ms","restFirst":"1ms","restMost":"0s","logBytes":-1,"logAge":"1s"}`: {"listen:", "httpPort:", "httpsPort:", "pool:", "every:", "restFirst:", "restMost:", "logBytes:", "logAge:"},
			`{"listen":"nowhere"}`:  {"listen:"},
			`{"pool":"fd00::/16"}`:  {"pool:"},
			`{"every":"sometimes"}`: {"every:"},
			`{"lisen":""}`:          {"lisen"},
			`{}{}`:                  {"something follows"},
			`{"httpPort":"80"}`:     {"httpPort"},
			`[]`:                    {"not a configuration"},
			`{`:                     {"not a configuration"},
		},
		"guard":   {`{"engine":"docker.sock"}`: {"engine:"}, `{"socket":"/x"}`: {"socket"}},
		"ingress": {`{"bind":"all","local":["here","10.0.0.0/8"],"pool":""}`: {"bind:", "local:", "pool:"}},
	} {
		r, err := role.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		for text, words := range cases {
			l := layout(t)
			write(t, l.Config(name), text)
			_, err := role.Load(l, name, r.New())
			if problem.KindOf(err) != problem.Invalid {
				t.Errorf("%s %s: %v", name, text, err)
				continue
			}
			for _, w := range words {
				if !strings.Contains(err.Error(), w) || !strings.Contains(err.Error(), l.Config(name)) {
					t.Errorf("%s %s: %q or the file is missing in %v", name, text, w, err)
				}
			}
		}
	}
}

func TestOverrideTakesAFileThatHoldsNothing(t *testing.T) {
	l := layout(t)
	r, err := role.Find("server")
	if err != nil {
		t.Fatal(err)
	}
	write(t, l.Config("server"), "null")
	if err := role.Override(l, r, map[string]any{"httpPort": 8080}); err != nil {
		t.Error(err)
	}
}

func TestOverrideChangesSomeKeysOrNone(t *testing.T) {
	l := layout(t)
	r, err := role.Find("server")
	if err != nil {
		t.Fatal(err)
	}
	write(t, l.Config("server"), `{"every":"2m"}`)
	if err := role.Override(l, r, map[string]any{"httpPort": 8080}); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(l.Config("server"))
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range []map[string]any{{"httpPort": 0}, {"nothing": 1}, {"listen": 7}, nil} {
		if err := role.Override(l, r, keys); len(keys) > 0 && problem.KindOf(err) != problem.Invalid {
			t.Errorf("%v: %v", keys, err)
		}
		if after, _ := os.ReadFile(l.Config("server")); string(after) != string(before) {
			t.Errorf("%v changed it to %s", keys, after)
		}
	}
	shown, err := role.Show(l, r)
	var c role.ServerConfig
	if err != nil || json.Unmarshal(shown, &c) != nil || c.Every != "2m" || c.HTTPPort != 8080 || c.HTTPSPort != 443 {
		t.Errorf("%s, %v", shown, err)
	}
	if left, _ := filepath.Glob(filepath.Join(l.Data, "config", ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFindKnowsTheRoles(t *testing.T) {
	if r, err := role.Find("guard"); err != nil || r.Name != "guard" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := role.Find("gard"); problem.KindOf(err) != problem.NotFound {
		t.Errorf("got %v", err)
	}
}

// Who may be broken into must be nobody: only the guard is root.
func TestOnlyTheGuardIsRoot(t *testing.T) {
	for _, r := range role.Roles {
		if (r.As == "") != (r.Name == "guard") {
			t.Errorf("%s runs as %q", r.Name, r.As)
		}
		if len(r.Caps) > 0 && r.Name != "ingress" {
			t.Errorf("%s has capabilities %v", r.Name, r.Caps)
		}
	}
}

func TestALogIsTextOrJSON(t *testing.T) {
	for _, r := range role.Roles {
		for form, good := range map[string]bool{"text": true, "json": true, "xml": false} {
			c := r.New()
			if err := json.Unmarshal([]byte(`{"log":"`+form+`"}`), c); err != nil {
				t.Fatal(err)
			}
			if wrong := c.Validate(); (len(wrong) == 0) != good {
				t.Errorf("%s with %s: %v", r.Name, form, wrong)
			}
		}
	}
}
