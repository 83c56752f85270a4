package guard

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/dockercall"
	"havre/internal/policy"
	"havre/internal/problem"
)

// foreign looks up a container or a swarm service, whoever made it.
func (g *Guard) foreign(ctx context.Context, c dockercall.ContainerID, s dockercall.SwarmID, o *policy.Object) error {
	if c != "" {
		return g.container(ctx, c, o)
	}
	return g.service(ctx, s, o)
}

// foreignList shows containers or services of others, cut to what importing
// looks at.
func (g *Guard) foreignList(r *http.Request, c *dockercall.ForeignList) (dockercall.Foreign, error) {
	answer := dockercall.Foreign{Images: map[dockercall.ImageID]dockercall.ForeignImage{}, Configs: map[dockercall.SwarmID][]byte{}}
	if c.Stack != "" {
		return answer, g.foreignServices(r.Context(), string(c.Stack), &answer)
	}
	query := url.Values{"all": {"1"}}
	if c.Compose != "" {
		query.Set("filters", `{"label":{`+fmt.Sprintf("%q", "com.docker.compose.project="+string(c.Compose))+`:true}}`)
	}
	var all []struct {
		Id    string
		Names []string
	}
	if err := g.engine.get(r.Context(), "/containers/json", query.Encode(), &all); err != nil {
		return answer, err
	}
	for _, one := range all {
		named := slices.ContainsFunc(c.Containers, func(w dockercall.Word) bool { return slices.Contains(one.Names, "/"+string(w)) })
		if c.Compose == "" && !named {
			continue
		}
		var found dockercall.ForeignContainer
		if err := g.engine.get(r.Context(), "/containers/"+one.Id+"/json", "", &found); err != nil {
			return answer, err
		}
		if found.Config.Labels[dockercall.InstanceLabel] != "" {
			return answer, problem.New(problem.Conflict, "%s is a Havre's already", found.Name)
		}
		answer.Containers = append(answer.Containers, found)
		if err := g.foreignImage(r.Context(), string(found.Image), &answer, nil); err != nil {
			return answer, err
		}
	}
	return answer, nil
}

// foreignImage adds an image, by whatever name, and tells its id.
func (g *Guard) foreignImage(ctx context.Context, name string, to *dockercall.Foreign, id *dockercall.ImageID) error {
	var i struct {
		Id dockercall.ImageID
		dockercall.ForeignImage
	}
	err := g.engine.get(ctx, "/images/"+name+"/json", "", &i)
	if problem.KindOf(err) == problem.NotFound {
		return nil // importing says that it is gone
	}
	if err == nil {
		to.Images[i.Id] = i.ForeignImage
		if id != nil {
			*id = i.Id
		}
	}
	return err
}

func (g *Guard) foreignServices(ctx context.Context, stack string, to *dockercall.Foreign) error {
	query := url.Values{"filters": {`{"label":{` + fmt.Sprintf("%q", "com.docker.stack.namespace="+stack) + `:true}}`}}
	if err := g.engine.get(ctx, "/services", query.Encode(), &to.Services); err != nil {
		return err
	}
	for i := range to.Services {
		s := &to.Services[i]
		if s.Spec.Labels[dockercall.InstanceLabel] != "" {
			return problem.New(problem.Conflict, "%s is a Havre's already", s.Spec.Name)
		}
		if err := g.foreignImage(ctx, s.Spec.TaskTemplate.ContainerSpec.Image, to, &s.Image); err != nil {
			return err
		}
		for _, c := range s.Spec.TaskTemplate.ContainerSpec.Configs {
			var config struct{ Spec struct{ Data []byte } }
			if err := g.engine.get(ctx, "/configs/"+string(c.ConfigID), "", &config); err != nil {
				return err
			}
			to.Configs[c.ConfigID] = config.Spec.Data
		}
	}
	return nil
}

func (g *Guard) foreignTag(r *http.Request, c *dockercall.ForeignTag) (struct{}, error) {
	query := url.Values{"repo": {c.As.Repo()}, "tag": {c.As.Tag()}}
	return struct{}{}, g.engine.post(r.Context(), "/images/"+string(c.Image)+"/tag", query.Encode(), nil, nil)
}

// before is how an object was before it was stopped. It is on the disk before
// the engine is told, so that any later call can put it back.
type before struct {
	Running bool
	Restart dockercall.ForeignRestart
	Spec    json.RawMessage `json:",omitempty"` // of a swarm service, whole
}

func (g *Guard) beforeFile(id string) string { return filepath.Join(g.set.Dir, "foreign", id+".json") }

// remember keeps how an object was, unless that is known from before.
func (g *Guard) remember(id string, was before) (before, error) {
	if old, err := g.recall(id); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return old, err
	}
	text, err := json.Marshal(was)
	if err != nil {
		return was, err
	}
	file := g.beforeFile(id)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return was, err
	}
	return was, writeWhole(file, text)
}

func (g *Guard) recall(id string) (was before, err error) {
	text, err := os.ReadFile(g.beforeFile(id))
	if err == nil {
		err = json.Unmarshal(text, &was)
	}
	return was, err
}

// writeWhole writes a file that is there whole or not at all.
func writeWhole(file string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(file))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (g *Guard) foreignSwitch(r *http.Request, c *dockercall.ForeignSwitch) (struct{}, error) {
	ctx, stop := context.WithTimeout(r.Context(), 3*time.Minute)
	defer stop()
	switch {
	case c.Service != "" && c.On:
		return struct{}{}, g.resumeService(ctx, string(c.Service))
	case c.Service != "":
		return struct{}{}, g.pauseService(ctx, string(c.Service))
	case c.On:
		return struct{}{}, g.resumeContainer(ctx, string(c.Container))
	}
	return struct{}{}, g.pauseContainer(ctx, string(c.Container))
}

// pauseContainer takes the restart policy away before it stops the container:
// an engine that starts again must not start it beside its successor.
func (g *Guard) pauseContainer(ctx context.Context, id string) error {
	var c dockercall.ForeignContainer
	if err := g.engine.get(ctx, "/containers/"+id+"/json", "", &c); err != nil {
		return err
	}
	if _, err := g.remember(id, before{Running: c.State.Running, Restart: c.HostConfig.RestartPolicy}); err != nil {
		return err
	}
	if err := g.policyOf(ctx, id, dockercall.ForeignRestart{Name: "no"}); err != nil {
		return err
	}
	return g.engine.post(ctx, "/containers/"+id+"/stop", "", nil, nil)
}

func (g *Guard) policyOf(ctx context.Context, id string, p dockercall.ForeignRestart) error {
	return g.engine.post(ctx, "/containers/"+id+"/update", "", map[string]any{"RestartPolicy": p}, nil)
}

func (g *Guard) resumeContainer(ctx context.Context, id string) error {
	was, err := g.recall(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was never stopped by us
	}
	if err == nil {
		err = g.policyOf(ctx, id, was.Restart)
	}
	if err == nil && was.Running {
		err = g.engine.post(ctx, "/containers/"+id+"/start", "", nil, nil)
	}
	if err != nil {
		return err
	}
	return os.Remove(g.beforeFile(id))
}

// swarmService is a swarm service with its specification as it is.
type swarmService struct {
	Version struct{ Index uint64 }
	Spec    json.RawMessage
}

// pauseService takes a swarm service's tasks away and waits until they are
// gone. A global one has no number of replicas: no node is left to it.
func (g *Guard) pauseService(ctx context.Context, id string) error {
	var s swarmService
	if err := g.engine.get(ctx, "/services/"+id, "", &s); err != nil {
		return err
	}
	was, err := g.remember(id, before{Spec: s.Spec})
	if err != nil {
		return err
	}
	spec, err := idle(was.Spec)
	if err == nil {
		err = g.updateService(ctx, id, s.Version.Index, spec)
	}
	if err != nil {
		return err
	}
	for {
		var tasks []struct{ Status struct{ State string } }
		query := url.Values{"filters": {`{"service":{"` + id + `":true}}`}}
		if err := g.engine.get(ctx, "/tasks", query.Encode(), &tasks); err != nil {
			return err
		}
		runs := slices.ContainsFunc(tasks, func(t struct{ Status struct{ State string } }) bool {
			return !slices.Contains([]string{"complete", "shutdown", "failed", "rejected", "orphaned", "remove"}, t.Status.State)
		})
		if !runs {
			return nil
		}
		if !wait(ctx, 200*time.Millisecond) {
			return problem.New(problem.Busy, "the tasks of %s do not stop", id).With("stop them, then again")
		}
	}
}

// idle is a specification under which nothing runs.
func idle(spec json.RawMessage) (json.RawMessage, error) {
	var o map[string]any
	d := json.NewDecoder(bytes.NewReader(spec))
	d.UseNumber()
	if err := d.Decode(&o); err != nil {
		return nil, err
	}
	mode, _ := o["Mode"].(map[string]any)
	if replicated, ok := mode["Replicated"].(map[string]any); ok {
		replicated["Replicas"] = 0
	} else {
		task, _ := o["TaskTemplate"].(map[string]any)
		if task == nil {
			return nil, problem.New(problem.Invalid, "the swarm service has no task")
		}
		task["Placement"] = map[string]any{"Constraints": []string{"node.id==none"}}
	}
	return json.Marshal(o)
}

func (g *Guard) updateService(ctx context.Context, id string, version uint64, spec json.RawMessage) error {
	return g.engine.post(ctx, "/services/"+id+"/update", fmt.Sprintf("version=%d", version), spec, nil)
}

func (g *Guard) resumeService(ctx context.Context, id string) error {
	was, err := g.recall(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was never stopped by us
	}
	var s swarmService
	if err == nil {
		err = g.engine.get(ctx, "/services/"+id, "", &s)
	}
	if err == nil {
		err = g.updateService(ctx, id, s.Version.Index, was.Spec)
	}
	if err != nil {
		return err
	}
	return os.Remove(g.beforeFile(id))
}

// foreignRemove removes what an import has replaced. Of objects only those
// that it stopped, of volumes only those whose data it has.
func (g *Guard) foreignRemove(r *http.Request, c *dockercall.ForeignRemove) (struct{}, error) {
	id, path := string(c.Container), "/containers/"+string(c.Container)
	switch {
	case c.Service != "":
		id, path = string(c.Service), "/services/"+string(c.Service)
	case c.Volume != "":
		place, err := g.engineVolume(r.Context(), c.Volume)
		if err != nil || place == (data{}) {
			return struct{}{}, unlessMissing(err)
		}
		if err := place.gone(); err != nil {
			return struct{}{}, err
		}
		w := dockercall.Wire{Method: http.MethodDelete, Path: "/volumes/" + string(c.Volume)}
		return struct{}{}, unlessMissing(g.engine.call(r.Context(), w, nil))
	}
	if _, err := g.recall(id); err != nil {
		return struct{}{}, problem.New(problem.Conflict, "%s was not stopped by an import", id)
	}
	err := unlessMissing(g.engine.call(r.Context(), dockercall.Wire{Method: http.MethodDelete, Path: path}, nil))
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, os.Remove(g.beforeFile(id))
}

// data is a directory with somebody's data, and the names beside it under
// which a copy leaves and comes. Its parent is root's alone.
type data struct{ parent, name string }

func (d data) here() string    { return filepath.Join(d.parent, d.name) }
func (d data) leaving() string { return filepath.Join(d.parent, "."+d.name+".leaving") }
func (d data) coming() string  { return filepath.Join(d.parent, "."+d.name+".coming") }

// gone refuses while any data is left there.
func (d data) gone() error {
	for _, dir := range []string{d.here(), d.leaving()} {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			return problem.New(problem.Conflict, "there is still data in %s", dir).With("import it, or move it away")
		}
	}
	return nil
}

// foreignData moves data of others into a volume or back.
func (g *Guard) foreignData(r *http.Request, c *dockercall.ForeignData) (dockercall.ForeignDataAnswer, error) {
	g.volumes.Lock()
	defer g.volumes.Unlock()
	var answer dockercall.ForeignDataAnswer
	theirs := data{filepath.Dir(string(c.Path)), filepath.Base(string(c.Path))}
	if c.From != "" {
		var err error
		if theirs, err = g.engineVolume(r.Context(), c.From); err != nil {
			return answer, err
		}
	}
	root, err := os.OpenRoot(g.bounds.volumes())
	if err != nil {
		return answer, err
	}
	defer root.Close()
	project := string(c.Environment) + "/" + string(c.Project)
	for _, dir := range []string{string(c.Environment), project} {
		if err := mkdir(root, dir, 0o700); err != nil {
			return answer, err
		}
	}
	ours := data{filepath.Join(g.bounds.volumes(), project), string(c.Name)}
	from, to := theirs, ours
	if c.Back {
		from, to = ours, theirs
	}
	if there, err := from.any(); err != nil || !there {
		if there, err := to.any(); err == nil && !there {
			return answer, problem.New(problem.NotFound, "there is no directory %s", from.here())
		}
		return answer, err
	}
	used, err := g.mountedAt(r.Context(), theirs.here())
	if err == nil && len(used) > 0 {
		err = problem.New(problem.Conflict, "a container that runs mounts %s", theirs.here()).With("stop it, or import it too")
	}
	if err == nil {
		answer.How, err = transfer(r.Context(), from, to)
	}
	return answer, err
}

// any tells whether there is data, whole or half gone.
func (d data) any() (bool, error) {
	here, err := there(d.here())
	if err != nil || here {
		return here, err
	}
	return there(d.leaving())
}

// engineVolume finds where the engine keeps a volume of its own.
// Errors: NotFound; Invalid when it is no plain directory of this machine.
func (g *Guard) engineVolume(ctx context.Context, name dockercall.VolumeName) (data, error) {
	var v struct {
		Name, Driver, Mountpoint string
		Options                  map[string]string
	}
	if err := g.engine.get(ctx, "/volumes/"+string(name), "", &v); err != nil {
		return data{}, err
	}
	if v.Driver != "local" || len(v.Options) > 0 || !strings.HasSuffix(v.Mountpoint, "/volumes/"+string(name)+"/_data") {
		return data{}, problem.New(problem.Invalid, "the volume %s is no plain directory of this machine", name).With("copy its data yourself")
	}
	return data{filepath.Dir(v.Mountpoint), filepath.Base(v.Mountpoint)}, nil
}

// transfer moves a directory: by renaming where that is one step, else by a
// copy that is compared before it counts. At each moment one of from.here,
// from.leaving and to.here is whole, and their names tell which; so it may be
// called again after a crash at any line, and ends the same.
func transfer(ctx context.Context, from, to data) (string, error) {
	start, err := there(from.here())
	if err != nil {
		return "", err
	}
	half, err := there(from.leaving())
	if err != nil {
		return "", err
	}
	end, err := there(to.here())
	switch {
	case err != nil:
		return "", err
	case !start && !half && end:
		return "", nil
	case !start && !half:
		return "", problem.New(problem.NotFound, "there is no directory %s", from.here())
	case start && half:
		return "", problem.New(problem.Conflict, "%s came anew while its data was on the way", from.here()).With("look at both, and move %s away", from.here())
	case start && end:
		if err := os.Remove(to.here()); err != nil { // an empty one holds nothing
			return "", problem.New(problem.Conflict, "there is data in %s and in %s", from.here(), to.here()).With("look at both, and move one away")
		}
		end = false
	}
	if start {
		if err := renameAcross(from.here(), to.here()); err == nil {
			return "renamed", errors.Join(syncDir(to.parent), syncDir(from.parent))
		}
		if err := errors.Join(os.Rename(from.here(), from.leaving()), syncDir(from.parent)); err != nil {
			return "", err
		}
	}
	return "copied", finishCopy(ctx, from, to, end)
}

// finishCopy goes on from where the original lies in from.leaving.
func finishCopy(ctx context.Context, from, to data, arrived bool) error {
	if arrived {
		if err := alike(from.leaving(), to.here()); err != nil {
			return err
		}
		return errors.Join(os.RemoveAll(from.leaving()), syncDir(from.parent))
	}
	if err := os.RemoveAll(to.coming()); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "cp", "-a", "--reflink=auto", "--", from.leaving(), to.coming()).CombinedOutput()
	if err != nil {
		return problem.New(problem.Failed, "copy %s: %s", from.here(), bytes.TrimSpace(out)).Because(err).With("make room, then again; nothing is lost")
	}
	if err := alike(from.leaving(), to.coming()); err != nil {
		return err
	}
	dir, err := os.Open(to.coming())
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Syncfs(int(dir.Fd())), dir.Close(), os.Rename(to.coming(), to.here()), syncDir(to.parent)); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(from.leaving()), syncDir(from.parent))
}

func there(dir string) (bool, error) {
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil && !info.IsDir() {
		err = problem.New(problem.Denied, "%s is not a directory", dir)
	}
	return err == nil, err
}

// alike compares two trees: names, kinds, owners, modes, targets and bytes.
func alike(a, b string) error {
	x, err := fingerprint(a)
	if err != nil {
		return err
	}
	y, err := fingerprint(b)
	if err == nil && !bytes.Equal(x, y) {
		err = problem.New(problem.Conflict, "%s and %s are not the same", a, b).With("look at both; nothing was removed")
	}
	return err
}

func fingerprint(dir string) ([]byte, error) {
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		fmt.Fprintf(sum, "%q %o %d %d %d\n", strings.TrimPrefix(path, dir), st.Mode, st.Uid, st.Gid, st.Rdev)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			fmt.Fprintf(sum, "%q\n", target)
			return err
		case unix.S_IFREG:
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			n, err := io.Copy(sum, f)
			fmt.Fprintf(sum, "\n%d\n", n)
			return err
		}
		return nil
	})
	return sum.Sum(nil), err
}
