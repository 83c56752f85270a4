package role

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/adopt"
	"havre/internal/api"
	"havre/internal/client"
	"havre/internal/disk"
	"havre/internal/dockercall"
	"havre/internal/problem"
	"havre/internal/spec"
)

// Imports is what imports are carried out with on this machine, by root.
type Imports struct {
	layout Layout
	server *client.Client
}

// OpenImports is for root, while Havre is up.
// Errors: Denied when not root; Unavailable when Havre is not up.
func OpenImports(l Layout) (*Imports, error) {
	if os.Geteuid() != 0 {
		return nil, problem.New(problem.Denied, "only root imports what others run").With("run it with sudo")
	}
	if l.running("guard") == 0 {
		return nil, problem.New(problem.Unavailable, "Havre is not up").With("havre up --detach, then again")
	}
	if err := os.MkdirAll(filepath.Join(l.Data, "import"), 0o700); err != nil {
		return nil, err
	}
	server, err := client.New(client.Config{URL: "unix://" + l.ServerSocket()})
	if err != nil {
		return nil, err
	}
	return &Imports{l, server}, nil
}

// Hold keeps others from the import of one project until release is called.
// Errors: Busy while somebody else has it.
func (m *Imports) Hold(name string) (release func(), err error) {
	if !spec.ValidName(name) {
		return nil, problem.New(problem.Invalid, "%q cannot name a project", name).With("choose another name with -p")
	}
	lock, err := os.OpenFile(filepath.Join(m.layout.Data, "import", "."+name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		busy := problem.New(problem.Busy, "the import of %s is under way already", name).With("wait until it is done")
		return nil, errors.Join(busy, lock.Close())
	}
	return func() { lock.Close() }, nil
}

// Look shows what others run.
func (m *Imports) Look(ctx context.Context, what dockercall.ForeignList) (dockercall.Foreign, error) {
	var found dockercall.Foreign
	err := m.ask(ctx, dockercall.ForeignListPath, what, &found)
	return found, err
}

// Names tells what names of images mean in an environment.
func (m *Imports) Names(ctx context.Context, environment string) (map[string]dockercall.ImageID, error) {
	all, err := m.server.Images(ctx, environment)
	named := map[string]dockercall.ImageID{}
	for _, i := range all {
		named[i.Name] = dockercall.ImageID(i.ID)
	}
	return named, err
}

// backWithin is how long is waited for a guard or a server that ended: the
// supervisor starts it again.
const backWithin = 30 * time.Second

// again asks until it is answered. All that an import asks may be asked twice.
func again(ctx context.Context, ask func() error) error {
	waiting, stop := context.WithTimeout(ctx, backWithin)
	defer stop()
	for {
		err := ask()
		if problem.KindOf(err) != problem.Unavailable {
			return err
		}
		select {
		case <-waiting.Done():
			return err
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func (m *Imports) ask(ctx context.Context, path string, what, answer any) error {
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return again(ctx, func() error { return m.askOnce(ctx, path, text, answer) })
}

// askOnce makes a call of the guard's. Root is known by the socket's credentials.
func (m *Imports) askOnce(ctx context.Context, path string, text []byte, answer any) error {
	var d net.Dialer
	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", m.layout.GuardSocket())
	}}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://guard"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := web.Do(r)
	if err != nil {
		return problem.New(problem.Unavailable, "the guard does not answer").Because(err).With("is Havre up? havre status; then again: it goes on where it was")
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return problem.New(problem.Unavailable, "the guard's answer broke off").Because(err).With("again: it goes on where it was")
	}
	if resp.StatusCode == http.StatusOK {
		return json.Unmarshal(body, answer)
	}
	var said struct{ Message, Rule string }
	if json.Unmarshal(body, &said) != nil || said.Message == "" {
		said.Message = string(body)
	}
	p := problem.New(guardKinds[resp.StatusCode], "%s", said.Message)
	if p.Kind == "" {
		p.Kind = problem.Failed
	}
	p.Rule = said.Rule
	return p
}

var guardKinds = map[int]problem.Kind{
	http.StatusBadRequest: problem.Invalid, http.StatusNotFound: problem.NotFound, http.StatusConflict: problem.Conflict,
	http.StatusForbidden: problem.Denied, http.StatusServiceUnavailable: problem.Unavailable,
}

// Tag gives an image a name in the environment.
func (m *Imports) Tag(ctx context.Context, environment string, i adopt.Image) error {
	ref, err := dockercall.MakeRef(dockercall.Environment(environment), i.Name)
	if err != nil {
		return err
	}
	return m.ask(ctx, dockercall.ForeignTagPath, dockercall.ForeignTag{Image: i.ID, As: ref}, &struct{}{})
}

// Switch stops an object or lets it run again.
func (m *Imports) Switch(ctx context.Context, o adopt.Object, on bool) error {
	return m.ask(ctx, dockercall.ForeignSwitchPath, dockercall.ForeignSwitch{Container: o.Container, Service: o.Service, On: on}, &struct{}{})
}

// Move moves data into a volume, or back once no container mounts it.
func (m *Imports) Move(ctx context.Context, v dockercall.Volume, from adopt.Move, back bool) error {
	ctx, stop := context.WithTimeout(ctx, 24*time.Hour)
	defer stop()
	what := dockercall.ForeignData{
		From: dockercall.VolumeName(from.From), Path: dockercall.Path(from.Path), Back: back,
		Environment: v.Environment, Project: v.Project, Name: v.Name,
	}
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := m.ask(ctx, dockercall.ForeignDataPath, what, &dockercall.ForeignDataAnswer{})
		if err == nil || problem.Of(err).Rule != "volume-in-use" || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(300 * time.Millisecond): // its last container still stops
		}
	}
}

// Remove takes away what an import has replaced.
func (m *Imports) Remove(ctx context.Context, o adopt.Object, from adopt.Move) error {
	what := dockercall.ForeignRemove{Container: o.Container, Service: o.Service, Volume: dockercall.VolumeName(from.From)}
	if what == (dockercall.ForeignRemove{}) {
		return nil // a directory of the machine: nothing is left of it
	}
	return m.ask(ctx, dockercall.ForeignRemovePath, what, &struct{}{})
}

// Projects is the server, as imports see it.
func (m *Imports) Projects(report client.Report) adopt.Projects { return projects{m.server, report} }

type projects struct {
	server *client.Client
	report client.Report
}

func (p projects) Apply(ctx context.Context, environment string, want spec.Project) error {
	return again(ctx, func() error { return p.server.Apply(ctx, api.Apply{Environment: environment, Project: want}, p.report) })
}

func (p projects) ID(ctx context.Context, environment, name string) (spec.ProjectID, error) {
	var d api.Declared
	err := again(ctx, func() (err error) {
		d, err = p.server.Declared(ctx, api.Target{Environment: environment, Name: name, Project: true})
		return err
	})
	return d.ID, err
}

func (p projects) Remove(ctx context.Context, environment, name string) error {
	return again(ctx, func() error {
		_, err := p.server.Remove(ctx, api.Target{Environment: environment, Name: name, Project: true}, api.Removal{})
		return err
	})
}

func (m *Imports) file(name string) string {
	return filepath.Join(m.layout.Data, "import", name+".json")
}

// Save keeps an import, whole or not at all.
func (m *Imports) Save(i adopt.Import) error {
	text, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return err
	}
	return disk.WriteFile(m.file(i.Project.Name), text, 0o600)
}

// Forget ends an import.
func (m *Imports) Forget(name string) error {
	return errors.Join(os.Remove(m.file(name)), m.settle())
}

func (m *Imports) settle() error {
	dir, err := os.Open(filepath.Join(m.layout.Data, "import"))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Begun finds an import that was begun. Errors: NotFound.
func (m *Imports) Begun(name string) (adopt.Import, error) {
	var i adopt.Import
	if !spec.ValidName(name) {
		return i, problem.New(problem.NotFound, "no import is named %s", name).With("list them with: havre import ls")
	}
	text, err := os.ReadFile(m.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return i, problem.New(problem.NotFound, "no import is named %s", name).With("list them with: havre import ls")
	}
	if err == nil {
		err = json.Unmarshal(text, &i)
	}
	return i, err
}

// All lists the imports that were begun, by name.
func (m *Imports) All() ([]adopt.Import, error) {
	files, err := filepath.Glob(m.file("*"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	all := []adopt.Import{}
	for _, f := range files {
		i, err := m.Begun(strings.TrimSuffix(filepath.Base(f), ".json"))
		if err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	return all, nil
}
