package role

import (
	"context"
	"errors"
	"io"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/swarm"
)

// files serves the API's copies.
type files struct{ *backend }

// reach gives a container in which a shelf's path can be copied, and what lets
// go of it.
func (f files) reach(ctx context.Context, s project.Shelf) (id string, let func(), err error) {
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
			return id, func() { _ = f.engine.RemoveHook(context.WithoutCancel(ctx), id) }, nil // the next start removes what stays
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
