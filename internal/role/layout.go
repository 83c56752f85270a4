package role

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"havre/internal/disk"
	"havre/internal/problem"
	"havre/internal/secret"
)

// The system users that roles run as.
const (
	ServerUser  = "havre"
	IngressUser = "havre-ingress"
	PortalUser  = "havre-portal" // of the portals' containers; nothing else runs as it
)

// DefaultData is where Havre keeps everything unless it is told otherwise.
const DefaultData = "/var/lib/havre"

// Layout is where things are on the machine.
type Layout struct{ Data string }

// Paths below the data directory. Who owns them is in prepare.
func (l Layout) Config(role string) string  { return filepath.Join(l.Data, "config", role+".json") }
func (l Layout) Log(role string) string     { return filepath.Join(l.Data, "log", role+".log") }
func (l Layout) LogPipe(role string) string { return filepath.Join(l.Data, "run", "log", role) }
func (l Layout) Pid(role string) string     { return filepath.Join(l.Data, "run", "pid", role) }
func (l Layout) GuardDir() string           { return filepath.Join(l.Data, "guard") }
func (l Layout) VolumeDir() string          { return filepath.Join(l.Data, "volume") }
func (l Layout) PortalDir() string          { return filepath.Join(l.Data, "portal") }
func (l Layout) GuardSocket() string        { return filepath.Join(l.Data, "run", "guard.sock") }
func (l Layout) ServerSocket() string       { return filepath.Join(l.Data, "run", "server", "server.sock") }
func (l Layout) IngressSocket() string {
	return filepath.Join(l.Data, "run", "ingress", "ingress.sock")
}
func (l Layout) Database() string       { return filepath.Join(l.Data, "server", "havre.db") }
func (l Layout) Token() string          { return filepath.Join(l.Data, "server", "token") }
func (l Layout) SecretKey() string      { return filepath.Join(l.Data, "server", "secret.key") }
func (l Layout) AuthorityDir() string   { return filepath.Join(l.Data, "server", "ca") }
func (l Layout) PublicDir() string      { return filepath.Join(l.Data, "server", "acme") }
func (l Layout) CertificateDir() string { return filepath.Join(l.Data, "server", "certificate") }
func (l Layout) LogbookDir() string     { return filepath.Join(l.Data, "server", "logbook") }
func (l Layout) AccessDir() string      { return filepath.Join(l.Data, "ingress", "access") }
func (l Layout) Table() string          { return filepath.Join(l.Data, "ingress", "table.json") }

// account is a system user in numbers.
type account struct{ uid, gid int }

func (a account) owner() disk.Owner { return disk.Owner{UID: a.uid, GID: a.gid} }

// accounts makes the system users that are missing.
func accounts() (server, ingress account, err error) {
	if server, err = systemUser(ServerUser); err != nil {
		return
	}
	if ingress, err = systemUser(IngressUser); err != nil {
		return
	}
	_, err = systemUser(PortalUser)
	return
}

func systemUser(name string) (account, error) {
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		out, cerr := exec.Command("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", name).CombinedOutput()
		if cerr != nil {
			return account{}, problem.New(problem.Failed, "make the system user %s: %s", name, out).Because(cerr).With("make it by hand: useradd --system %s", name)
		}
		u, err = user.Lookup(name)
	}
	if err != nil {
		return account{}, fmt.Errorf("look up system user %s: %w", name, err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return account{}, err
	}
	gid, err := strconv.Atoi(u.Gid)
	return account{uid, gid}, err
}

// part is a directory of the data directory.
type part struct {
	path string
	who  account
	mode uint32 // with the bits 07000
}

// parts are the directories of l, each with its owner and mode.
func parts(server, ingress account) []part {
	root := account{}
	return []part{
		{"", root, 0o711},
		{"config", root, 0o755},
		{"guard", root, 0o700},
		{"volume", root, 0o700},
		{"portal", root, 0o711}, // the guard makes one below it for each environment
		{"server", server, 0o700},
		{"server/ca", server, 0o700},
		{"server/certificate", server, 0o700}, // people put theirs there
		{"ingress", ingress, 0o700},
		{"log", root, 0o700},
		{"run", root, 0o711},
		{"run/pid", root, 0o700},
		{"run/log", root, 0o700},
		{"run/server", server, 0o755},
		{"run/ingress", account{ingress.uid, server.gid}, 0o2750}, // the server talks to the ingress
	}
}

// prepare makes the directories of l. It changes what is there already,
// because a wrong owner is a hole or a failure.
func (l Layout) prepare(server, ingress account) error {
	if err := os.MkdirAll(l.Data, 0o700); err != nil {
		return problem.New(problem.Failed, "make the data directory").Because(err).With("run it as root, or choose another with --data")
	}
	d, err := disk.Open(l.Data)
	if err != nil {
		return err
	}
	defer d.Close()
	for _, p := range parts(server, ingress) {
		err := d.Mkdir(p.path, p.who.owner(), p.mode)
		if errors.Is(err, fs.ErrExist) {
			err = d.Set(p.path, p.who.owner(), p.mode)
		}
		if err != nil {
			return err
		}
	}
	if err := l.closeConfigs(server, ingress); err != nil {
		return err
	}
	if err := once(d, "server/secret.key", server, secret.NewKeyFile()); err != nil {
		return err
	}
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return once(d, "server/token", server, []byte(hex.EncodeToString(b)+"\n"))
}

// mostToken bounds the files that once makes.
const mostToken = 4 << 10

// isToken tells whether a text is one line of what such files hold, so that no
// other file of the machine is taken for one.
func isToken(text []byte) bool {
	line := bytes.TrimSuffix(text, []byte("\n"))
	return len(line) >= 16 && !bytes.ContainsFunc(line, func(r rune) bool { return r <= ' ' || r > '~' })
}

// once makes a file that its owner alone can read, unless it is there. Root
// made it, or may have been killed before it gave it away: then it does so now.
// Errors: Denied when something else stands there.
func once(d *disk.Dir, name string, who account, content []byte) error {
	f, err := d.Regular(name, 0, who.uid)
	if errors.Is(err, fs.ErrNotExist) {
		return d.Write(name, content, who.owner(), 0o400)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostToken))
	if err != nil {
		return err
	}
	if !isToken(text) {
		return problem.New(problem.Denied, "%s does not hold one line without blanks", f.Name()).With("look at it, and bring it back from a backup")
	}
	return errors.Join(f.Chown(who.uid, who.gid), f.Chmod(0o400))
}

// token reads the admin token as root may, out of the server's directory.
// Errors: Denied when something else stands there.
func (l Layout) token(server account) (secret.Text, error) {
	d, err := disk.Open(l.Data)
	if err != nil {
		return secret.Text{}, err
	}
	defer d.Close()
	text, err := d.Read("server/token", server.uid, mostToken)
	if err != nil {
		return secret.Text{}, err
	}
	if !isToken(text) {
		return secret.Text{}, problem.New(problem.Denied, "%s holds no token", l.Token()).With("look at it, and bring it back from a backup")
	}
	return secret.New(strings.TrimSpace(string(text))), nil
}
