package role

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"

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
func (l Layout) Config(role string) string { return filepath.Join(l.Data, "config", role+".json") }
func (l Layout) Log(role string) string    { return filepath.Join(l.Data, "log", role+".log") }
func (l Layout) Pid(role string) string    { return filepath.Join(l.Data, "run", "pid", role) }
func (l Layout) GuardDir() string          { return filepath.Join(l.Data, "guard") }
func (l Layout) VolumeDir() string         { return filepath.Join(l.Data, "volume") }
func (l Layout) PortalDir() string         { return filepath.Join(l.Data, "portal") }
func (l Layout) GuardSocket() string       { return filepath.Join(l.Data, "run", "guard.sock") }
func (l Layout) ServerSocket() string      { return filepath.Join(l.Data, "run", "server", "server.sock") }
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
	mode os.FileMode // Unix bits
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
		{"server/certificate", server, 0o700}, // people put theirs there
		{"ingress", ingress, 0o700},
		{"log", root, 0o700},
		{"run", root, 0o711},
		{"run/pid", root, 0o700},
		{"run/server", server, 0o755},
		{"run/ingress", account{ingress.uid, server.gid}, 0o2750}, // the server talks to the ingress
	}
}

// prepare makes the directories of l. It changes what is there already,
// because a wrong owner is a hole or a failure.
func (l Layout) prepare(server, ingress account) error {
	for _, d := range parts(server, ingress) {
		p := filepath.Join(l.Data, d.path)
		if err := os.MkdirAll(p, 0o700); err != nil {
			return problem.New(problem.Failed, "make the data directory").Because(err).With("run it as root, or choose another with --data")
		}
		if err := os.Lchown(p, d.who.uid, d.who.gid); err != nil {
			return fmt.Errorf("give %s to its owner: %w", p, err)
		}
		if err := os.Chmod(p, modeOf(d.mode)); err != nil {
			return err
		}
	}
	if err := l.once(l.SecretKey(), server, secret.NewKeyFile()); err != nil {
		return err
	}
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return l.once(l.Token(), server, []byte(hex.EncodeToString(b)+"\n"))
}

// modeOf turns Unix bits into Go's.
func modeOf(m os.FileMode) os.FileMode {
	mode := m & 0o777
	if m&0o2000 != 0 {
		mode |= os.ModeSetgid
	}
	return mode
}

// once makes a file that its owner alone can read, unless it is there. The
// owner is set each time: we may have been killed before we came to it.
func (l Layout) once(file string, who account, content []byte) error {
	_, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		err = writeWhole(file, content, 0o400)
	}
	if err != nil {
		return err
	}
	return os.Lchown(file, who.uid, who.gid)
}
