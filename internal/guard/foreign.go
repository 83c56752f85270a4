package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

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
