package swarm

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"havre/internal/dockercall"
	"havre/internal/pattern"
	"havre/internal/problem"
	"havre/internal/service"
	"havre/internal/spec"
)

// registry stands before every image of ours in the engine. It can never be
// looked up (RFC 6761, 6.4), so the engine never asks a hub for our names.
const registry = "havre.invalid/"

var imageID = pattern.New(`^sha256:[0-9a-f]{64}$`)

// leftWithin is how long is waited for containers to be taken away that have
// ended. An engine under load takes seconds.
const leftWithin = 10 * time.Second

// digestTag is how the engine's name of an image by its digest ends.
var digestTag = pattern.New(`:sha256-([0-9a-f]{64})$`)

// engineName is what the engine calls the image of a name in an environment.
//
// Errors: Invalid when there can be no such image.
func engineName(environment, name string) (string, error) {
	if !spec.ValidEnvironment(environment) || !spec.ValidImage(name) {
		return "", problem.New(problem.Invalid, "%q is not an image name", name).With("write it like debian:bookworm, in lower case")
	}
	name = FullName(name)
	// Nor can a digest behind it.
	if repo, digest, found := strings.Cut(name, "@"); found {
		name = repo + ":" + strings.ReplaceAll(digest, ":", "-")
	} else if digestTag.MatchString(name) {
		return "", problem.New(problem.Invalid, "the tag of %q stands for a digest", name).With("name it by another tag")
	}
	// A registry's port cannot be written in the middle of a name.
	if host, rest, found := strings.Cut(name, "/"); found {
		name = strings.ReplaceAll(host, ":", "__") + "/" + rest
	}
	return registry + environment + "/" + name, nil
}

// FullName is name with its tag: one without means latest. With a digest a tag
// says nothing, and is left out.
func FullName(name string) string {
	name, digest, fixed := strings.Cut(name, "@")
	at := strings.LastIndexByte(name, '/') + 1
	last, _, tagged := strings.Cut(name[at:], ":")
	switch {
	case fixed:
		return name[:at] + last + "@" + digest
	case tagged:
		return name
	}
	return name + ":latest"
}

// givenName is engineName for an image that is made or brought here: only a
// registry can say what a digest of it means.
//
// Errors: Invalid when it cannot be named so.
func givenName(environment, name string) (string, error) {
	if strings.Contains(name, "@") {
		return "", problem.New(problem.Invalid, "%q names an image by its digest", name).With("name it by a tag")
	}
	return engineName(environment, name)
}

// Image looks an environment's image up by its name, or by its id.
//
// Errors: NotFound with what to do about it.
func (s *Swarm) Image(ctx context.Context, environment, name string) (service.Image, error) {
	at := name
	if !imageID.MatchString(name) {
		var err error
		if at, err = engineName(environment, name); err != nil {
			return service.Image{}, err
		}
	}
	r, err := s.api.ImageInspect(ctx, at)
	if err = explain(err, "look at image %s", name); problem.KindOf(err) == problem.NotFound {
		return service.Image{}, noImage(environment, name)
	} else if err != nil {
		return service.Image{}, err
	}
	i := imageOf(r.InspectResponse)
	return i, s.conventions(ctx, &i)
}

// conventions adds what an image has at the places that mean something. An
// image never changes, so it is asked about once.
func (s *Swarm) conventions(ctx context.Context, i *service.Image) error {
	s.mu.Lock()
	paths, known := s.paths[i.ID]
	s.mu.Unlock()
	if !known {
		var a dockercall.ConventionsAnswer
		if err := s.call(ctx, dockercall.ConventionsPath, dockercall.Conventions{Image: dockercall.ImageID(i.ID)}, &a); err != nil {
			return err
		}
		paths = a.Paths
		s.mu.Lock()
		if s.paths == nil || len(s.paths) >= mostPaths {
			s.paths = map[string][]string{}
		}
		s.paths[i.ID] = paths
		s.mu.Unlock()
	}
	for _, p := range paths {
		switch {
		case strings.HasPrefix(p, "/vol/"):
			i.Kept = append(i.Kept, p)
		case p == "/dk/container_init", p == "/dk/init_container" && i.Init == "":
			i.Init = p
		}
	}
	return nil
}

// mostPaths bounds how many images' conventions are remembered.
const mostPaths = 1000

func noImage(environment, name string) error {
	return problem.New(problem.NotFound, "there is no image %s in environment %s", name, environment).
		With("load it with: havre image load; build it with: havre image build; or make a base image with: havre image bootstrap %s", name)
}

func imageOf(i image.InspectResponse) service.Image {
	made, _ := time.Parse(time.RFC3339Nano, i.Created) // an image may have none
	out := service.Image{ID: i.ID, Size: i.Size, Created: made, Platform: i.Os + "/" + i.Architecture}
	c := i.Config
	if c == nil {
		return out
	}
	out.User, out.Labels = c.User, c.Labels
	out.Health = c.Healthcheck != nil && len(c.Healthcheck.Test) > 0 && c.Healthcheck.Test[0] != "NONE"
	if out.Health {
		out.Start = c.Healthcheck.StartPeriod
	}
	for path := range c.Volumes {
		out.Volumes = append(out.Volumes, path)
	}
	for port := range c.ExposedPorts {
		number, protocol, _ := strings.Cut(port, "/")
		if n, err := strconv.ParseUint(number, 10, 16); err == nil && (protocol == "tcp" || protocol == "") {
			out.Ports = append(out.Ports, uint16(n))
		}
	}
	slices.Sort(out.Volumes)
	slices.Sort(out.Ports)
	out.Ports = slices.Compact(out.Ports)
	return out
}

// Tag is a name of an image in an environment.
type Tag struct {
	Name    string // as people write it, always with a tag
	ID      string // sha256:…
	Size    int64  // in bytes
	Created time.Time
}

// Images lists the names of an environment's images, sorted.
func (s *Swarm) Images(ctx context.Context, environment string) ([]Tag, error) {
	r, err := s.api.ImageList(ctx, client.ImageListOptions{})
	if err != nil {
		return nil, explain(err, "list images")
	}
	var all []Tag
	for _, i := range r.Items {
		for _, t := range i.RepoTags {
			if name, in := strings.CutPrefix(t, registry+environment+"/"); in && !strings.HasPrefix(name, shelf+":") {
				all = append(all, Tag{plainName(name), i.ID, i.Size, time.Unix(i.Created, 0)})
			}
		}
	}
	slices.SortFunc(all, func(a, b Tag) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// plainName is what people call an image of the engine.
func plainName(name string) string {
	name = digestTag.ReplaceAllString(name, "@sha256:$1")
	if host, rest, found := strings.Cut(name, "/"); found {
		return strings.ReplaceAll(host, "__", ":") + "/" + rest
	}
	return name
}

// RemoveImage takes a name away, and the image when it was its last. It is
// no error when there is none.
//
// Errors: Conflict while a container uses the image; one of a service that was
// just removed is waited for.
func (s *Swarm) RemoveImage(ctx context.Context, environment, name string) error {
	at, err := engineName(environment, name)
	if err != nil {
		return err
	}
	remove := func() error {
		_, err := s.api.ImageRemove(ctx, at, client.ImageRemoveOptions{PruneChildren: true})
		if err = explain(err, "remove image %s", name); problem.KindOf(err) == problem.NotFound {
			return nil
		}
		return err
	}
	err = remove()
	for until := time.Now().Add(leftWithin); problem.KindOf(err) == problem.Conflict && time.Now().Before(until); err = remove() {
		if !s.soonLeft(ctx, at) {
			return remove() // it may have been left since
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(emptyLook):
		}
	}
	return err
}

// soonLeft tells whether nobody uses an image but containers that have ended
// and whose swarm service is gone: the engine is about to take them away.
func (s *Swarm) soonLeft(ctx context.Context, at string) bool {
	used, err := s.api.ImageInspect(ctx, at)
	if err != nil {
		return false
	}
	all, err := s.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours(labelKind)})
	if err != nil {
		return false
	}
	services, err := s.api.ServiceList(ctx, client.ServiceListOptions{Filters: ours(labelKind)})
	if err != nil {
		return false
	}
	users := 0
	for _, c := range all.Items {
		if c.ImageID != used.ID {
			continue
		}
		service := c.Labels[labelSwarmService]
		there := slices.ContainsFunc(services.Items, func(s swarm.Service) bool { return s.ID == service })
		if service == "" || there || !over(c.State) && c.State != container.StateRemoving {
			return false
		}
		users++
	}
	return users > 0
}
