package role

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/client"
	"havre/internal/disk"
	"havre/internal/problem"
	"havre/internal/secret"
	"havre/internal/thrift"
)

// UpOptions say how Havre starts. What is zero stays as it was, or as the
// default is.
type UpOptions struct {
	Data      string
	Engine    string // Docker's socket
	Listen    string // of the API
	HTTPPort  int    // of domains
	HTTPSPort int
	Detach    bool         // come back when it is ready
	Lock      int          // descriptor of the lock, from the one who detaches us; 0: none
	Say       func(string) // takes lines for people
}

// overrides sorts the options into the roles' configurations.
func (o UpOptions) overrides() map[string]map[string]any {
	set := map[string]map[string]any{"guard": {}, "server": {}}
	if o.Engine != "" {
		set["guard"]["engine"] = o.Engine
	}
	if o.Listen != "" {
		set["server"]["listen"] = o.Listen
	}
	if o.HTTPPort != 0 {
		set["server"]["httpPort"] = o.HTTPPort
	}
	if o.HTTPSPort != 0 {
		set["server"]["httpsPort"] = o.HTTPSPort
	}
	return set
}

// Up makes what is missing on the machine and starts Havre; when it is up
// already, it only waits until it is ready, but when it is another program that
// is up: then that is replaced, and nobody's connection is cut. Without Detach it stays until it
// is told to stop.
// Errors: Denied when not root; Invalid for a configuration; Unavailable when
// Havre does not get ready.
func Up(ctx context.Context, o UpOptions) error {
	l := Layout{o.Data}
	if os.Geteuid() != 0 {
		return problem.New(problem.Denied, "havre up makes system users, directories and firewall rules, which only root may").With("run it with sudo")
	}
	if !filepath.IsAbs(l.Data) {
		return problem.New(problem.Invalid, "the data directory %q is not an absolute path", l.Data).With("write it as %s", DefaultData)
	}
	if err := forAll(); err != nil {
		return err
	}
	server, ingress, err := accounts()
	if err != nil {
		return err
	}
	if err := l.prepare(server, ingress); err != nil {
		return err
	}
	if err := l.bounds(server, ingress); err != nil {
		return err
	}
	for name, keys := range o.overrides() {
		r, err := Find(name)
		if err != nil {
			return err
		}
		if err := Override(l, r, keys); err != nil {
			return err
		}
	}
	lock, err := o.lock(l)
	if problem.KindOf(err) == problem.Busy {
		if replaced, derr := l.displace(); derr != nil {
			return derr
		} else if replaced {
			lock, err = l.lock()
		}
	}
	if problem.KindOf(err) == problem.Busy {
		if err := o.ready(ctx, l, "Havre was up already; changed settings count after: havre down, havre up."); err != nil {
			return err
		}
		// A supervisor that was just killed holds its lock a moment longer.
		if lock, err = l.lock(); problem.KindOf(err) == problem.Busy {
			return nil
		}
	}
	if err != nil {
		return err
	}
	if err := l.hindrance(); err != nil {
		_ = lock.Close() // nothing was written
		return err
	}
	if o.Detach {
		return o.detach(ctx, l, lock)
	}
	defer lock.Close()
	return o.stay(ctx, l)
}

// lock takes the supervisor's lock, or over from the one who detached us: it is
// never free in between.
func (o UpOptions) lock(l Layout) (*os.File, error) {
	if o.Lock == 0 {
		return l.lock()
	}
	unix.CloseOnExec(o.Lock) // the roles live longer than we do
	return os.NewFile(uintptr(o.Lock), "lock"), nil
}

// stay supervises until a signal comes.
func (o UpOptions) stay(ctx context.Context, l Layout) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := l.remember("up", os.Getpid()); err != nil {
		return err
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		if err := o.ready(ctx, l, ""); err != nil && ctx.Err() == nil {
			o.Say(problem.Of(err).Error())
		}
	}()
	go thrift.Keep(ctx, sparing)
	err := Supervise(ctx, l)
	stop()
	<-told
	return err
}

// forAll says whether the roles' users may run the program.
func forAll() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	info, err := os.Stat(program)
	if err != nil {
		return err
	}
	if info.Mode()&0o005 != 0o005 {
		return problem.New(problem.Invalid, "only its owner may run %s, and Havre's parts run as other users", program).With("chmod 755 %s", program)
	}
	return nil
}

// detach starts a supervisor of its own session and waits until it is ready.
func (o UpOptions) detach(ctx context.Context, l Layout, lock *os.File) error {
	defer lock.Close() // the new one has it, too
	program, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(l.Log("up"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	cmd := exec.Command(program, "up", "--data", l.Data, "--lock", "3")
	cmd.ExtraFiles = []*os.File{lock} // the first one is descriptor 3
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := cmd.Process.Release(); err != nil {
		return err
	}
	return o.ready(ctx, l, "")
}

// patience is how long up waits: an engine's first swarm and network are slow.
const patience = 90 * time.Second

// ready waits until the API answers and all parts are well, and leaves an
// admin context for the person.
func (o UpOptions) ready(ctx context.Context, l Layout, note string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := Load(l, "server", defaultServer())
	if err != nil {
		return err
	}
	api, err := client.New(client.Config{URL: "unix://" + l.ServerSocket()})
	if err != nil {
		return err
	}
	if err := awaitWell(ctx, l, api); err != nil {
		return err
	}
	token, err := l.token(lookUp(ServerUser))
	if err != nil {
		return err
	}
	url := "http://" + c.Listen
	where, err := saveContext(url, token)
	if err != nil {
		o.Say("(no context was saved: " + err.Error() + ")")
	} else {
		o.Say("The admin context is in " + where)
	}
	if note != "" {
		o.Say(note)
	}
	o.Say("Havre is ready at " + url)
	return nil
}

func awaitWell(ctx context.Context, l Layout, server *client.Client) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for says := ""; ; {
		now := l.ails(ctx, server)
		if now == "" {
			return nil
		}
		if ctx.Err() == nil || says == "" { // that time ran out says less than what came before
			says = now
		}
		select {
		case <-ctx.Done():
			return problem.New(problem.Unavailable, "Havre does not get ready: %s%s", says, l.lastWords()).With("read the logs in %s", filepath.Dir(l.Log("x")))
		case <-tick.C:
		}
	}
}

// ails says what keeps Havre from being ready; nothing when it is.
func (l Layout) ails(ctx context.Context, server *client.Client) string {
	if err := l.settled(); err != nil {
		return problem.Of(err).Says
	}
	st, err := server.Status(ctx)
	if err != nil {
		return "the server does not answer"
	}
	var ill []string
	for _, p := range st.Parts {
		if !p.Well {
			ill = append(ill, p.Name+": "+p.Says)
		}
	}
	if len(ill) == 0 && !st.Healthy {
		return "it is not well"
	}
	return strings.Join(ill, "; ")
}

// saveContext writes the context of the person who called, also through sudo.
func saveContext(url string, token secret.Text) (string, error) {
	home, uid, gid, err := person()
	if err != nil {
		return "", err
	}
	who := disk.Owner{UID: uid, GID: gid}
	d, err := openHome(home, uid)
	if err != nil {
		return "", err
	}
	defer d.Close()
	for _, dir := range []string{".config", ".config/havre"} {
		if err := d.Mkdir(dir, who, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	text := fmt.Appendf(nil, "{\n\t\"url\": %q,\n\t\"token\": %q\n}\n", url, token.Reveal())
	return filepath.Join(home, contextFile), d.Write(contextFile, text, who, 0o600)
}

// contextFile is a person's context, below the home.
const contextFile = ".config/havre/context.json"

// openHome opens a person's home.
// Errors: Denied when it is another's, whom root would follow there.
func openHome(home string, uid int) (*disk.Dir, error) {
	d, err := disk.Open(home)
	if err != nil {
		return nil, err
	}
	st, err := d.Stat(".")
	if err == nil && int(st.Uid) != uid {
		err = problem.New(problem.Denied, "the home %s belongs to user %d", home, st.Uid).With("set HAVRE_URL and HAVRE_TOKEN instead")
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// forgetContext removes the person's context if it is of the Havre with this token.
func forgetContext(token secret.Text) (removed string) {
	home, uid, _, err := person()
	if err != nil {
		return ""
	}
	d, err := openHome(home, uid)
	if err != nil {
		return ""
	}
	defer d.Close()
	text, err := d.Read(contextFile, uid, 64<<10)
	var saved struct{ Token string }
	if err != nil || json.Unmarshal(text, &saved) != nil || !token.Equal(saved.Token) || d.Remove(contextFile) != nil {
		return ""
	}
	return "context " + filepath.Join(home, contextFile)
}

func person() (home string, uid, gid int, err error) {
	if name := os.Getenv("SUDO_USER"); name != "" && name != "root" {
		u, err := user.Lookup(name)
		if err != nil {
			return "", 0, 0, err
		}
		uid, _ = strconv.Atoi(u.Uid) // numbers on Unix
		gid, _ = strconv.Atoi(u.Gid)
		return u.HomeDir, uid, gid, nil
	}
	home, err = os.UserHomeDir()
	return home, 0, 0, err
}
