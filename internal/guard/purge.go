package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"time"

	"havre/internal/dockercall"
	"havre/internal/policy"
	"havre/internal/problem"
)

// purge removes everything of this instance's, in the order in which one
// thing lets go of the next, and the swarm, if Havre made it and nobody else
// uses it. What fails stays, and the first failure is told; purge may be called
// again.
func (g *Guard) purge(r *http.Request, _ *dockercall.Purge) (dockercall.PurgeAnswer, error) {
	ctx, stop := context.WithTimeout(r.Context(), 3*time.Minute)
	defer stop()
	removed := []string{}
	for _, noun := range purged {
		names, err := g.purgeNoun(ctx, noun)
		removed = append(removed, names...)
		if err != nil {
			return dockercall.PurgeAnswer{}, fmt.Errorf("purge: %w", err)
		}
		// A network that goes while a task of it still stops stays behind as
		// a ghost (Engine 20.10).
		if noun.name == "service" {
			g.tasksGone(ctx)
		}
	}
	images, err := g.purgeImages(ctx)
	removed = append(removed, images...)
	if err != nil {
		return dockercall.PurgeAnswer{}, fmt.Errorf("purge images: %w", err)
	}
	volumes, err := g.purgeVolumes()
	removed = append(removed, volumes...)
	if err != nil {
		return dockercall.PurgeAnswer{}, fmt.Errorf("purge volumes: %w", err)
	}
	if err := g.unprotect(ctx); err != nil {
		return dockercall.PurgeAnswer{}, err
	}
	left, err := g.leaveSwarm(ctx)
	if err != nil {
		return dockercall.PurgeAnswer{}, fmt.Errorf("leave the swarm that Havre made: %w", err)
	}
	if left != "" {
		removed = append(removed, "swarm "+string(left))
	}
	return dockercall.PurgeAnswer{Removed: removed}, nil
}

// noun is a sort of object that purge removes.
type noun struct {
	name, list, path, query string
	look                    string // behind the id, to look at one
	labels                  func(json.RawMessage) map[string]string
	id                      string
}

var purged = []noun{
	{"service", "/services", "/services/", "", "", labelsAt("Spec", "Labels"), "ID"},
	{"container", "/containers/json?all=1", "/containers/", "force=1&v=1", "/json", labelsAt("Labels"), "Id"},
	{"config", "/configs", "/configs/", "", "", labelsAt("Spec", "Labels"), "ID"},
	{"secret", "/secrets", "/secrets/", "", "", labelsAt("Spec", "Labels"), "ID"},
	{"network", "/networks", "/networks/", "", "", labelsAt("Labels"), "Id"},
}

func (g *Guard) purgeNoun(ctx context.Context, n noun) ([]string, error) {
	ids, err := g.owned(ctx, n)
	if problem.KindOf(err) == problem.Unavailable && n.name != "container" {
		return nil, nil // no swarm, nothing of a swarm
	}
	var removed []string
	for _, id := range ids {
		if err := g.removeUntilGone(ctx, n, id); err != nil {
			return removed, fmt.Errorf("%s %s: %w", n.name, id, err)
		}
		removed = append(removed, n.name+" "+id)
	}
	return removed, err
}

// tasksGone waits until the tasks of removed services have stopped, for a
// while: what does not stop is removed as a container next.
func (g *Guard) tasksGone(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	containers := noun{list: "/containers/json", labels: labelsAt("Labels"), id: "Id"}
	tasks := noun{list: "/tasks", labels: labelsAt("Spec", "ContainerSpec", "Labels"), id: "ID"}
	for {
		left, err := g.owned(ctx, tasks)
		running, err2 := g.owned(ctx, containers)
		if err == nil && err2 == nil && (len(left) == 0 || len(running) == 0) || !wait(ctx, 200*time.Millisecond) {
			return
		}
	}
}

// removeUntilGone removes an object that others may still hold for a moment,
// and looks whether it is gone.
func (g *Guard) removeUntilGone(ctx context.Context, n noun, id string) error {
	for {
		err := g.engine.call(ctx, dockercall.Wire{Method: http.MethodDelete, Path: n.path + id, Query: n.query}, nil)
		if problem.KindOf(err) == problem.NotFound {
			return nil
		}
		if err == nil && problem.KindOf(g.engine.get(ctx, n.path+id+n.look, "", nil)) == problem.NotFound {
			return nil
		}
		if !wait(ctx, 200*time.Millisecond) {
			return errors.Join(err, ctx.Err())
		}
	}
}

// owned lists the ids of a noun that are this instance's.
func (g *Guard) owned(ctx context.Context, n noun) ([]string, error) {
	u, err := url.Parse(n.list)
	if err != nil {
		return nil, err
	}
	var items []json.RawMessage
	if err := g.engine.get(ctx, u.Path, u.RawQuery, &items); err != nil {
		return nil, err
	}
	var ids []string
	for _, item := range items {
		var o map[string]json.RawMessage
		var id string
		if policy.Owned(g.instance, n.labels(item)) && json.Unmarshal(item, &o) == nil && json.Unmarshal(o[n.id], &id) == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// purgeImages takes the names in havre.invalid away; an image that has
// another name stays under that.
func (g *Guard) purgeImages(ctx context.Context) ([]string, error) {
	var images []struct{ RepoTags []string }
	if err := g.engine.get(ctx, "/images/json", "", &images); err != nil {
		return nil, err
	}
	var removed []string
	for _, i := range images {
		ours, _ := refs(i.RepoTags)
		names := make([]string, 0, len(ours)+1)
		for _, r := range ours {
			names = append(names, string(r))
		}
		for _, t := range i.RepoTags {
			if len(t) > len(portalRepo) && t[:len(portalRepo)+1] == portalRepo+":" {
				names = append(names, t)
			}
		}
		for _, name := range names {
			w := dockercall.Wire{Method: http.MethodDelete, Path: "/images/" + name}
			if err := unlessMissing(g.engine.call(ctx, w, nil)); err != nil {
				return removed, err
			}
			removed = append(removed, "image "+name)
		}
	}
	return removed, nil
}

func (g *Guard) purgeVolumes() ([]string, error) {
	g.volumes.Lock()
	defer g.volumes.Unlock()
	all, err := g.allVolumes()
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(g.bounds.volumes())
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var removed []string
	for _, v := range all {
		if err := root.RemoveAll(within(v)); err != nil {
			return removed, err
		}
		removed = append(removed, "volume "+within(v))
	}
	if g.set.NoRemount {
		return removed, nil
	}
	if err := errors.Join(release(g.bounds.readOnly()), release(g.bounds.volumes())); err != nil {
		return removed, err
	}
	if err := os.Remove(g.bounds.readOnly()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return removed, err
	}
	return removed, nil
}
