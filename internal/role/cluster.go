package role

import (
	"context"
	"errors"
	"io"
	"time"

	"havre/internal/api"
	"havre/internal/deploy"
	"havre/internal/logbook"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/spec"
	"havre/internal/swarm"
)

// cluster puts swarm's methods into the words the domain asks in.
type cluster struct{ engine *swarm.Swarm }

// nothing is a path that no image has: a volume that begins with it is empty,
// and belongs to the service's user.
const nothing = "/.havre-nothing"

func (c cluster) EnsureVolume(ctx context.Context, v service.Volume) (string, bool, error) {
	if v.Bare {
		v.Path = nothing
	}
	return c.engine.EnsureVolume(ctx, swarm.VolumeUse{
		Volume: swarm.Volume{Environment: v.Environment, Project: v.Project, Name: v.Name},
		Image:  v.Image, Path: v.Path, User: v.User, Kept: v.Kept,
	})
}

func (c cluster) StartHook(ctx context.Context, d service.Desired, duty service.Duty, command []string) error {
	return c.engine.StartHook(ctx, d, duty, command)
}

func (c cluster) HookEnding(ctx context.Context, container string) (service.Task, error) {
	return c.engine.HookEnding(ctx, container)
}

func (c cluster) RemoveHook(ctx context.Context, h service.Hook) error {
	return c.engine.RemoveHook(ctx, h)
}

func (c cluster) SettleVolume(ctx context.Context, environment string, p spec.ProjectID, name string) error {
	return c.engine.SettleVolume(ctx, swarm.Volume{Environment: environment, Project: p, Name: name})
}

func (c cluster) EnsureConfig(ctx context.Context, environment string, p spec.ProjectID, f service.File) (service.File, error) {
	var err error
	f.ConfigID, f.ConfigName, err = c.engine.EnsureConfig(ctx, environment, p, f)
	return f, err
}

func (c cluster) TidyConfigs(ctx context.Context) error { return c.engine.TidyConfigs(ctx) }

func (c cluster) Volumes(ctx context.Context, environment string, p spec.ProjectID) ([]string, error) {
	all, err := c.engine.Volumes(ctx, environment, p)
	var names []string
	for _, v := range all {
		names = append(names, v.Name)
	}
	return names, err
}

func (c cluster) RemoveVolume(ctx context.Context, environment string, p spec.ProjectID, name string) error {
	return c.engine.RemoveVolume(ctx, swarm.Volume{Environment: environment, Project: p, Name: name})
}

func (c cluster) VolumeUse(ctx context.Context, v service.Volume, most int64) (service.VolumeUse, error) {
	return c.engine.VolumeUse(ctx, swarm.Volume{Environment: v.Environment, Project: v.Project, Name: v.Name}, most)
}

func (c cluster) CleanVolume(ctx context.Context, v service.Volume, what service.Cleaning) (bytes, files int64, err error) {
	return c.engine.CleanVolume(ctx, swarm.Volume{Environment: v.Environment, Project: v.Project, Name: v.Name}, what)
}

// printed reads a container's log for the domain.
func (c cluster) printed(ctx context.Context, container string, r project.Reading, yield func(api.Line) error) error {
	for l, err := range c.engine.Logs(ctx, container, swarm.LogOptions{Since: r.Since, Tail: r.Tail, Follow: r.Follow}) {
		if problem.KindOf(err) == problem.NotFound {
			return nil // the engine forgot the container meanwhile
		}
		if err != nil {
			return err
		}
		if err := yield(api.Line{Time: l.Time, Stream: string(l.Stream), Text: l.Text}); err != nil {
			return err
		}
	}
	return nil
}

// LastLines are the last n lines a container printed.
func (c cluster) LastLines(ctx context.Context, container string, n int) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var lines []string
	for l, err := range c.engine.Logs(ctx, container, swarm.LogOptions{Tail: n}) {
		if err != nil {
			return lines, err
		}
		lines = append(lines, l.Text)
	}
	return lines, nil
}

// keeper keeps what containers printed before they go.
type keeper struct {
	cluster
	book *logbook.Book
}

// mostLines is how many last lines of a container are looked at: enough to fill
// its share with short ones.
const mostLines = 20_000

// KeepLogs writes a page for each container.
func (k keeper) KeepLogs(ctx context.Context, of []project.Page) error {
	var wrong []error
	for _, p := range of {
		wrong = append(wrong, k.book.Write(p, len(of), func(yield func(api.Line) error) error {
			return k.printed(ctx, p.Container, project.Reading{Tail: mostLines}, yield)
		}))
	}
	return errors.Join(wrong...)
}

// TidyLogs removes pages that are old or not wanted any more.
func (k keeper) TidyLogs(_ context.Context, wanted func(s spec.ServiceID, rollout int) bool) error {
	return k.book.Tidy(wanted, time.Now())
}

// files serves the API's copies.
type files struct{ *backend }

// reach gives a container in which a shelf's path can be copied, and what lets
// go of it.
func (f files) reach(ctx context.Context, s deploy.Shelf) (id string, let func(), err error) {
	if s.Container != "" {
		return s.Container, func() {}, nil
	}
	c := swarm.Carrier{Environment: s.Environment, Project: s.Project, Service: s.Service}
	for _, v := range s.Volumes {
		use, err := f.engine.VolumeUse(ctx, swarm.Volume{Environment: s.Environment, Project: s.Project, Name: v.Source}, 1)
		if problem.KindOf(err) == problem.NotFound {
			continue
		}
		if err != nil {
			return "", nil, err
		}
		c.Binds = append(c.Binds, service.Bind{Source: use.Path, Target: v.Target})
	}
	var wrong []error
	for _, image := range s.Images {
		c.Image = image
		id, err := f.engine.MakeCarrier(ctx, c)
		if err == nil {
			return id, func() { _ = f.engine.RemoveCarrier(context.WithoutCancel(ctx), id) }, nil // the next start removes what stays
		}
		wrong = append(wrong, err)
		if k := problem.KindOf(err); k != problem.NotFound && k != problem.Denied {
			break
		}
	}
	return "", nil, errors.Join(wrong...)
}

// Stat tells what stands at a path.
func (f files) Stat(ctx context.Context, t api.Target, path string) (api.FileStat, error) {
	s, err := f.Shelve(ctx, t, path, false)
	if err != nil {
		return api.FileStat{}, err
	}
	id, let, err := f.reach(ctx, s)
	if err != nil {
		return api.FileStat{}, err
	}
	defer let()
	st, err := f.engine.StatPath(ctx, id, s.Path)
	return api.FileStat{Name: st.Stat.Name, Dir: st.Stat.Mode.IsDir(), Size: st.Stat.Size, Link: st.Stat.LinkTarget, Modified: st.Stat.Mtime.UTC()}, err
}

// Get writes a file or directory as a tar.
func (f files) Get(ctx context.Context, t api.Target, path string, to io.Writer) error {
	s, err := f.Shelve(ctx, t, path, false)
	if err != nil {
		return err
	}
	id, let, err := f.reach(ctx, s)
	if err != nil {
		return err
	}
	defer let()
	archive, err := f.engine.GetArchive(ctx, id, s.Path)
	if err != nil {
		return err
	}
	defer archive.Close()
	_, err = io.Copy(to, archive)
	return err
}

// Fill makes a new volume with what a tar holds. What a try before this one
// left is taken away first: nothing has started on it.
func (f files) Fill(ctx context.Context, t api.Target, from io.Reader) error {
	return f.Deployer.Fill(ctx, t, func(ctx context.Context, l deploy.Filling) error {
		if err := (cluster{f.engine}).RemoveVolume(ctx, l.Environment, l.Project, l.Volume.Name); err != nil {
			return err
		}
		if _, _, err := (cluster{f.engine}).EnsureVolume(ctx, l.Volume); err != nil {
			return err
		}
		id, let, err := f.reach(ctx, l.Shelf)
		if err != nil {
			return err
		}
		defer let()
		if err := f.engine.PutArchive(ctx, id, l.Path, from); err != nil {
			return err
		}
		return (cluster{f.engine}).SettleVolume(ctx, l.Environment, l.Project, l.Volume.Name) // an init would write over it
	})
}

// Put unpacks a tar in a directory.
func (f files) Put(ctx context.Context, t api.Target, path string, from io.Reader) error {
	s, err := f.Shelve(ctx, t, path, true)
	if err != nil {
		return err
	}
	id, let, err := f.reach(ctx, s)
	if err != nil {
		return err
	}
	defer let()
	return f.engine.PutArchive(ctx, id, s.Path, from)
}
