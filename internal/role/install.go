package role

import (
	"bytes"
	_ "embed" // the unit
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"havre/internal/disk"
	"havre/internal/problem"
)

// unit is the systemd unit; why it is as it is: docs/decisions/0021.
//
//go:embed havre.service
var unit string

// profiles are for AppArmor; why they are as they are stands in them.
//
//go:embed havre.apparmor
var profiles string

// unitMark begins the units that are ours to write over and to remove.
const unitMark = "# Written by havre install."

// Where things go below the root of the machine.
const (
	unitFile    = "/etc/systemd/system/havre.service"
	wantedLink  = "/etc/systemd/system/multi-user.target.wants/havre.service"
	packageUnit = "/lib/systemd/system/havre.service"
	ownProgram  = "/usr/local/bin/havre"
	profileFile = "/etc/apparmor.d/havre"
)

// systemPaths are where a program stays, so that a unit may name it.
var systemPaths = []string{"/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/bin", "/sbin"}

// InstallOptions say where Havre is installed.
type InstallOptions struct {
	Root   string // the machine's root directory, or an image of one; default "/"
	Data   string // the data directory
	DryRun bool   // only say what would be done
}

// Installed is what an installation or its removal did.
type Installed struct {
	Did  []string `json:"did"`  // one line for each change; none when all was so already
	Next []string `json:"next"` // what is left to do for the person
	Unit string   `json:"unit"` // the text of the unit; none when it is removed
}

// installation is one under way.
type installation struct {
	root string
	dry  bool
	Installed
}

func (i *installation) at(path string) string { return filepath.Join(i.root, path) }

// live tells whether the machine under the root is this one, run by systemd.
func (i *installation) live() bool {
	info, err := os.Stat("/run/systemd/system")
	return i.root == "/" && err == nil && info.IsDir()
}

// do carries one change out unless this is a rehearsal, and notes it.
func (i *installation) do(what string, change func() error) error {
	if !i.dry {
		if err := change(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	i.Did = append(i.Did, what)
	return nil
}

func (i *installation) systemctl(args ...string) error {
	line := "systemctl " + strings.Join(args, " ")
	return i.do(line, func() error {
		out, err := exec.Command("systemctl", args...).CombinedOutput()
		if err != nil {
			return problem.New(problem.Failed, "%s", strings.TrimSpace(string(out))).Because(err).With("see: journalctl -u havre")
		}
		return nil
	})
}

func newInstallation(o InstallOptions) (*installation, error) {
	root := filepath.Clean("/" + strings.TrimPrefix(o.Root, "/"))
	if o.Root != "" && !filepath.IsAbs(o.Root) {
		return nil, problem.New(problem.Invalid, "the root %q is not an absolute path", o.Root).With("write the whole path")
	}
	if os.Geteuid() != 0 && !o.DryRun && root == "/" {
		return nil, problem.New(problem.Denied, "only root may change what a machine starts").With("run it with sudo, or look first with --dry-run")
	}
	return &installation{root: root, dry: o.DryRun, Installed: Installed{Did: []string{}, Next: []string{}}}, nil
}

// plainPath is a path that systemd takes for what it is, without quotes.
var plainPath = regexp.MustCompile(`^/[A-Za-z0-9._/+@-]+$`)

// Unit is the text of the systemd unit for a program and a data directory.
// Errors: Invalid for a path that is not absolute, clean and plain.
func Unit(program, data string) (string, error) {
	for _, p := range []string{program, data} {
		if !plainPath.MatchString(p) || filepath.Clean(p) != p {
			return "", problem.New(problem.Invalid, "the path %q cannot stand in a systemd unit", p).With("use an absolute path of letters, digits and ._+@-")
		}
	}
	return strings.NewReplacer("@PROGRAM@", program, "@DATA@", data).Replace(unit), nil
}

// Install has systemd start Havre at each boot, and start it now: it puts the
// running program into /usr/local/bin unless it lies in a system path, writes
// the unit, and enables it. What is so already is left alone. Where systemd
// does not run, Next says how Havre is started.
// Errors: Denied when not root; Conflict when the unit is somebody else's;
// Invalid for a path.
func Install(o InstallOptions) (Installed, error) {
	i, err := newInstallation(o)
	if err != nil {
		return Installed{}, err
	}
	program, fresh, err := i.program()
	if err != nil {
		return i.Installed, err
	}
	if i.Unit, err = Unit(program, o.Data); err != nil {
		return i.Installed, err
	}
	changed, err := i.writeUnit()
	if err != nil {
		return i.Installed, err
	}
	if err := i.writeProfiles(o.Data); err != nil {
		return i.Installed, err
	}
	if err := i.enable(); err != nil {
		return i.Installed, err
	}
	return i.Installed, i.begin(Layout{o.Data}, fresh || changed)
}

// program gives the path for the unit, after copying the program there if need be.
func (i *installation) program() (path string, fresh bool, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", false, err
	}
	if i.root == "/" && slices.Contains(systemPaths, filepath.Dir(self)) {
		return self, false, nil
	}
	text, err := os.ReadFile(self)
	if err != nil {
		return "", false, err
	}
	to := i.at(ownProgram)
	if have, err := os.ReadFile(to); err == nil && bytes.Equal(have, text) {
		return ownProgram, false, nil
	}
	return ownProgram, true, i.do("copied the program to "+to, func() error { return putFile(to, text, 0o755) })
}

func putFile(file string, text []byte, mode uint32) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return disk.WriteFile(file, text, mode)
}

// writeUnit puts the unit in place, unless a package has brought the same.
func (i *installation) writeUnit() (changed bool, err error) {
	if _, rest, _ := strings.Cut(i.Unit, "\n"); i.packaged(rest) {
		return false, nil
	}
	file := i.at(unitFile)
	have, err := os.ReadFile(file)
	switch {
	case err == nil && string(have) == i.Unit:
		return false, nil
	case err == nil && !strings.HasPrefix(string(have), unitMark):
		return false, problem.New(problem.Conflict, "%s was not written by havre install", file).With("move it away, then again: mv %s %s.old", file, file)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	return true, i.do("wrote "+file, func() error { return putFile(file, []byte(i.Unit), 0o644) })
}

// profileOf names a role's AppArmor profile: two Havres on a machine have their own.
func profileOf(role string, l Layout) string {
	return "havre-" + role + "." + strings.ReplaceAll(strings.Trim(l.Data, "/"), "/", ".")
}

// Profiles is the text of the AppArmor profiles for a data directory.
func Profiles(data string) string {
	_, name, _ := strings.Cut(profileOf("", Layout{data}), ".")
	return strings.NewReplacer("@NAME@", name, "@DATA@", data).Replace(profiles)
}

// writeProfiles puts the profiles where AppArmor loads them at each boot, and
// loads them now where the kernel has it. Where it has not, or does not take
// them, Havre goes without.
func (i *installation) writeProfiles(data string) error {
	file, text := i.at(profileFile), Profiles(data)
	if _, err := os.Stat(filepath.Dir(file)); err != nil {
		return nil // there is no AppArmor
	}
	have, err := os.ReadFile(file)
	same := err == nil && string(have) == text
	switch {
	case same:
	case err == nil && !bytes.HasPrefix(have, []byte(unitMark)):
		i.Next = append(i.Next, file+" was not written by havre install, and is left alone")
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	default:
		if err := i.do("wrote "+file, func() error { return putFile(file, []byte(text), 0o644) }); err != nil {
			return err
		}
	}
	if i.root != "/" || i.dry || !hasAppArmor() || same && loaded(profileOf("server", Layout{data})) {
		return nil
	}
	if out, err := exec.Command("apparmor_parser", "-r", "-W", file).CombinedOutput(); err != nil {
		i.Next = append(i.Next, fmt.Sprintf("AppArmor did not take %s (%v: %s); see: apparmor_parser -r %s", file, err, bytes.TrimSpace(out), file))
	}
	return nil
}

// removeProfiles takes them away again, once nothing runs under them.
func (i *installation) removeProfiles() error {
	file := i.at(profileFile)
	if have, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(have), unitMark) {
		return nil // none of ours
	}
	if i.root == "/" && !i.dry && hasAppArmor() {
		_ = exec.Command("apparmor_parser", "-R", file).Run() // the next boot does without them in any case
	}
	return i.remove(profileFile)
}

// packaged tells whether a package's unit holds these lines, below its own first.
func (i *installation) packaged(lines string) bool {
	have, err := os.ReadFile(i.at(packageUnit))
	if err != nil {
		return false
	}
	_, theirs, _ := strings.Cut(string(have), "\n")
	_, err = os.Lstat(i.at(unitFile))
	return theirs == lines && errors.Is(err, fs.ErrNotExist)
}

// enable makes the link that `systemctl enable` would make, which works where
// systemd does not run, too.
func (i *installation) enable() error {
	link, to := i.at(wantedLink), unitFile
	if _, err := os.Stat(i.at(unitFile)); err != nil && !i.dry {
		to = packageUnit
	}
	if have, err := os.Readlink(link); err == nil && have == to {
		return nil
	}
	return i.do("enabled havre.service", func() error {
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			return err
		}
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.Symlink(to, link)
	})
}

// begin has systemd know the unit and start it, where it runs.
func (i *installation) begin(l Layout, changed bool) error {
	up := "havre up --detach"
	if l.Data != DefaultData {
		up += " --data " + l.Data
	}
	if !i.live() {
		if i.root == "/" {
			i.Next = append(i.Next, "systemd does not run here: start Havre now and after each boot with: "+up)
		}
		return nil
	}
	if changed {
		if err := i.systemctl("daemon-reload"); err != nil {
			return err
		}
	}
	active := exec.Command("systemctl", "--quiet", "is-active", "havre.service").Run() == nil
	switch {
	case active && changed:
		i.Next = append(i.Next, "the running Havre is the old one until: systemctl restart havre")
	case active:
	case l.running("up") != 0:
		// To take over by ourselves would cut the connections of people's services.
		i.Next = append(i.Next, "Havre is up without systemd; hand it over with: havre down --data "+l.Data+" && systemctl start havre")
	default:
		return i.systemctl("start", "havre.service")
	}
	return nil
}

// Uninstall undoes Install: Havre is stopped, and started no more. Data stay,
// and services go on.
// Errors: Denied when not root; Conflict when the unit is somebody else's.
func Uninstall(o InstallOptions) (Installed, error) {
	i, err := newInstallation(o)
	if err != nil {
		return Installed{}, err
	}
	text, err := os.ReadFile(i.at(unitFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(i.at(packageUnit)); err == nil {
			return i.Installed, problem.New(problem.Conflict, "Havre was installed as a package").With("apt-get remove havre")
		}
		return i.Installed, nil
	case err != nil:
		return i.Installed, err
	case !strings.HasPrefix(string(text), unitMark):
		return i.Installed, problem.New(problem.Conflict, "%s was not written by havre install", i.at(unitFile)).With("remove it by hand: systemctl disable --now havre")
	}
	program, data := started(string(text))
	if err := i.end(Layout{data}); err != nil {
		return i.Installed, err
	}
	gone := []string{wantedLink, unitFile}
	if program == ownProgram {
		gone = append(gone, ownProgram)
	}
	for _, path := range gone {
		if err := i.remove(path); err != nil {
			return i.Installed, err
		}
	}
	if err := i.removeProfiles(); err != nil {
		return i.Installed, err
	}
	if i.live() {
		return i.Installed, i.systemctl("daemon-reload")
	}
	return i.Installed, nil
}

// end stops Havre, whoever started it.
func (i *installation) end(l Layout) error {
	if i.live() {
		if err := i.systemctl("stop", "havre.service"); err != nil {
			return err
		}
	}
	if i.root != "/" || l.Data == "" || l.running("up") == 0 {
		return nil
	}
	return i.do("stopped Havre", func() error { _, err := Down(l); return err })
}

func (i *installation) remove(path string) error {
	file := i.at(path)
	if _, err := os.Lstat(file); err != nil {
		return nil
	}
	return i.do("removed "+file, func() error { return os.Remove(file) })
}

// started reads the program and the data directory out of our unit.
func started(text string) (program, data string) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(strings.TrimPrefix(line, "ExecStart=")); strings.HasPrefix(line, "ExecStart=") && len(f) == 4 {
			return f[0], f[3]
		}
	}
	return "", ""
}
