package role_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"havre/internal/problem"
	"havre/internal/role"
	"havre/internal/secret"
)

// theirs is who owns the server's directory in these tests.
const theirs = 65534

// rooted gives a data directory whose server is theirs. Who is not root cannot
// make one, and is told so by TestDirectoriesAreClosedToOthers.
func rooted(t *testing.T) (role.Layout, bool) {
	t.Helper()
	l := role.Layout{Data: filepath.Join(t.TempDir(), "data")}
	if os.Geteuid() != 0 {
		return l, false
	}
	must(t, l.Prepare(theirs, theirs))
	return l, true
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// A server that was broken into put a link in the token's place: havre up read
// the first line of any file and sent it to the server with the next command.
func TestTokenIsReadFromNoOtherFile(t *testing.T) {
	l, root := rooted(t)
	if !root {
		return
	}
	token, err := l.AdminToken(theirs)
	if err != nil || len(token.Reveal()) != 64 {
		t.Fatalf("the token has %d letters, %v", len(token.Reveal()), err)
	}
	outside := filepath.Join(t.TempDir(), "shadow")
	for what, put := range map[string]func() error{
		"a link":               func() error { return os.Symlink(outside, l.Token()) },
		"another name of it":   func() error { return os.Link(outside, l.Token()) },
		"a file of root's":     func() error { return os.WriteFile(l.Token(), []byte(strings.Repeat("x", 64)), 0o400) },
		"a file of more lines": func() error { return own(l.Token(), "root:$y$j9T$abcdefghijklmnop:1:0\nuser:x:2\n", 0o400) },
		"one that is open":     func() error { return own(l.Token(), strings.Repeat("x", 64), 0o444) },
		"a pipe": func() error {
			return errors.Join(syscall.Mkfifo(l.Token(), 0o400), os.Chown(l.Token(), theirs, theirs))
		},
	} {
		must(t, os.Remove(l.Token()), own(outside, strings.Repeat("s", 64), 0o400), put())
		if text, err := l.AdminToken(theirs); problem.KindOf(err) != problem.Denied || text.Reveal() != "" {
			t.Errorf("%s: %q, %v; want it denied", what, text.Reveal(), err)
		}
		must(t, os.RemoveAll(outside))
	}
}

func own(file, text string, mode os.FileMode) error {
	return errors.Join(os.WriteFile(file, []byte(text), 0o600), os.Chown(file, theirs, theirs), os.Chmod(file, mode))
}

// What the server puts in the place of its directories and keys is neither
// given to it nor changed.
func TestStartChangesNothingBehindALinkOfTheServers(t *testing.T) {
	for _, name := range []string{"server/certificate", "server/ca", "server/token", "server/secret.key"} {
		for what, link := range map[string]func(to, from string) error{"link": os.Symlink, "second name": os.Link} {
			l, root := rooted(t)
			if !root {
				return
			}
			outside := filepath.Join(t.TempDir(), "outside")
			switch directory := info(t, filepath.Join(l.Data, name)).IsDir(); {
			case directory && what == "link":
				must(t, os.Mkdir(outside, 0o755))
			case directory: // has one name
				continue
			default:
				must(t, os.WriteFile(outside, []byte("first line\nsecond line\n"), 0o644))
			}
			must(t, os.RemoveAll(filepath.Join(l.Data, name)), link(outside, filepath.Join(l.Data, name)))
			if err := l.Prepare(theirs, theirs); problem.KindOf(err) != problem.Denied {
				t.Errorf("%s is a %s: %v; want it denied", name, what, err)
			}
			if now := info(t, outside); now.Mode().Perm()&0o644 != 0o644 || now.Sys().(*syscall.Stat_t).Uid != 0 {
				t.Errorf("%s is a %s: outside is %v", name, what, now)
			}
		}
	}
}

func info(t *testing.T, file string) os.FileInfo {
	t.Helper()
	i, err := os.Stat(file)
	must(t, err)
	return i
}

// Whoever was killed before the file was given away comes to it the next time.
func TestTokenThatRootKeptIsGivenAway(t *testing.T) {
	l, root := rooted(t)
	if !root {
		return
	}
	must(t, os.Chown(l.Token(), 0, 0), os.Chmod(l.Token(), 0o644), l.Prepare(theirs, theirs))
	if token, err := l.AdminToken(theirs); err != nil || token.Reveal() == "" {
		t.Errorf("the token is %v, %v", token, err)
	}
}

// Through sudo the context goes to a person's home, where the person may have
// put a link.
func TestContextIsWrittenBehindNoLink(t *testing.T) {
	if os.Geteuid() != 0 {
		return
	}
	t.Setenv("SUDO_USER", "")
	home, token := t.TempDir(), secret.New("0123456789abcdef")
	t.Setenv("HOME", home)
	file, err := role.SaveContext("http://127.0.0.1:7080", token)
	if err != nil || file != filepath.Join(home, ".config/havre/context.json") {
		t.Fatalf("%q, %v", file, err)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), token.Reveal()) {
		t.Errorf("%s: %q, %v", file, text, err)
	}
	outside := t.TempDir()
	must(t, os.Rename(filepath.Join(home, ".config"), filepath.Join(outside, ".config")), os.Symlink(filepath.Join(outside, ".config"), filepath.Join(home, ".config")))
	if _, err := role.SaveContext("http://127.0.0.1:7081", token); problem.KindOf(err) != problem.Denied {
		t.Errorf("behind a link: %v", err)
	}
	if gone := role.ForgetContext(token); gone != "" {
		t.Errorf("behind a link it removed the %s", gone)
	}
	must(t, os.Remove(filepath.Join(home, ".config")), os.Rename(filepath.Join(outside, ".config"), filepath.Join(home, ".config")))
	must(t, os.Chown(home, theirs, theirs))
	if _, err := role.SaveContext("http://127.0.0.1:7081", token); problem.KindOf(err) != problem.Denied {
		t.Errorf("in the home of another: %v", err)
	}
	must(t, os.Chown(home, 0, 0))
	if gone := role.ForgetContext(token); gone != "context "+file {
		t.Errorf("it removed %q", gone)
	}
}

// The address of a webhook stands in the server's configuration, and is a key.
func TestConfigurationsAreClosedToOthers(t *testing.T) {
	l, root := rooted(t)
	if !root {
		return
	}
	for _, name := range []string{"guard", "server", "ingress"} { // as an older Havre left them
		must(t, os.WriteFile(l.Config(name), []byte("{}"), 0o600), os.Chown(l.Config(name), theirs, 0), os.Chmod(l.Config(name), 0o644))
	}
	must(t, l.Prepare(theirs, theirs))
	r, err := role.Find("server")
	must(t, err, role.Override(l, r, map[string]any{"httpPort": 8080}))
	for name, group := range map[string]uint32{"guard": 0, "ingress": theirs} {
		now := info(t, l.Config(name))
		st := now.Sys().(*syscall.Stat_t)
		if now.Mode().Perm() != 0o640 || st.Uid != 0 || st.Gid != group {
			t.Errorf("%s: %v of %d:%d; want it for root and the group %d", name, now.Mode(), st.Uid, st.Gid, group)
		}
	}
	if mode := info(t, l.Config("server")).Mode().Perm(); mode != 0o640 {
		t.Errorf("what havre up wrote has mode %o", mode)
	}
	must(t, os.WriteFile(l.Config("server"), []byte("{}"), 0o600), os.Chmod(l.Config("server"), 0o644))
	for _, c := range role.Diagnose(t.Context(), role.DiagnoseOptions{Data: l.Data}) {
		if c.Name == "data" && strings.Contains(c.Says, "server.json has mode 0644") || strings.Contains(c.Says, "server.json belongs to") {
			return
		}
	}
	t.Error("the doctor does not see that others may read it")
}
