package servertest

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/server"
)

// images gives Fake's images the methods that would clash with its services'.
type images struct{ f *Fake }

// addImage tags a new image; the caller holds mu or is alone.
func (f *Fake) addImage(env, name string, size int64) api.Image {
	made := api.Image{Name: name, Environment: env, ID: fmt.Sprintf("sha256:%064x", len(f.images)+1), Size: size, Created: f.now()}
	if i := f.image(env, name); i >= 0 {
		f.images[i] = made
	} else {
		f.images = append(f.images, made)
	}
	return made
}

func (f *Fake) image(env, name string) int {
	return slices.IndexFunc(f.images, func(i api.Image) bool { return i.Environment == env && i.Name == tagged(name) })
}

// tagged adds the tag that Docker means when none is written.
func tagged(name string) string {
	if !strings.Contains(name[strings.LastIndex(name, "/")+1:], ":") {
		return name + ":latest"
	}
	return name
}

// List gives the images and who uses them.
func (i images) List(_ context.Context, environment string) ([]api.Image, error) {
	i.f.mu.Lock()
	defer i.f.mu.Unlock()
	var list []api.Image
	for _, img := range i.f.images {
		if environment == "" || environment == img.Environment {
			img.UsedBy = i.f.users(img)
			list = append(list, img)
		}
	}
	return list, nil
}

func (f *Fake) users(img api.Image) []string {
	var names []string
	for _, k := range f.kept {
		if k.env == img.Environment && tagged(k.spec.Image) == img.Name {
			names = append(names, k.full())
		}
	}
	return names
}

// Remove takes a name away.
func (i images) Remove(_ context.Context, environment, name string) (api.Removed, error) {
	i.f.mu.Lock()
	defer i.f.mu.Unlock()
	at := i.f.image(environment, name)
	if at < 0 {
		return api.Removed{}, problem.New(problem.NotFound, "no image %s in %s", name, environment).With("list them with: havre image ls")
	}
	if users := i.f.users(i.f.images[at]); len(users) > 0 {
		return api.Removed{}, problem.New(problem.Conflict, "%s uses the image %s", strings.Join(users, ", "), name).With("remove the service first")
	}
	i.f.images = slices.Delete(i.f.images, at, at+1)
	return api.Removed{Gone: []string{"image " + tagged(name)}}, nil
}

// Load takes any tar under a name.
func (i images) Load(_ context.Context, environment, name string, archive io.Reader) (api.Image, error) {
	files, size, err := contents(archive)
	if err != nil {
		return api.Image{}, problem.New(problem.Invalid, "this is not an image archive").Because(err).With("make one with docker save, or havre image bootstrap")
	}
	if len(files) == 0 {
		return api.Image{}, problem.New(problem.Invalid, "the archive is empty").With("make one with docker save")
	}
	if name == "" {
		return api.Image{}, problem.New(problem.Invalid, "the image has no name").With("give it one with: havre image load --name NAME")
	}
	i.f.mu.Lock()
	defer i.f.mu.Unlock()
	return i.f.addImage(environment, tagged(name), size), nil
}

// Build wants the Dockerfile in the context and prints the files it was given.
func (i images) Build(_ context.Context, o api.BuildOptions, context io.Reader, report server.Report) (api.Image, error) {
	files, size, err := contents(context)
	if err != nil {
		return api.Image{}, problem.New(problem.Invalid, "the build context is no tar").Because(err)
	}
	wanted := o.Dockerfile
	if wanted == "" {
		wanted = "Dockerfile"
	}
	if _, ok := files[wanted]; !ok {
		return api.Image{}, problem.New(problem.NotFound, "no %s in the build context", wanted).With("name it with -f")
	}
	report(api.Progress{Line: fmt.Sprintf("options: target=%q args=%v nocache=%v", o.Target, o.Args, o.NoCache)})
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		report(api.Progress{Line: "file: " + name})
	}
	if strings.Contains(files[wanted], "RUN false") {
		return api.Image{}, problem.New(problem.Failed, "build %s: RUN false ended with code 1", o.Name).With("see the lines above")
	}
	i.f.mu.Lock()
	defer i.f.mu.Unlock()
	return i.f.addImage(o.Environment, tagged(o.Name), size), nil
}

func contents(from io.Reader) (files map[string]string, size int64, err error) {
	files = map[string]string{}
	t := tar.NewReader(from)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return files, size, nil
		}
		if err != nil {
			return nil, 0, err
		}
		text, err := io.ReadAll(t)
		if err != nil {
			return nil, 0, err
		}
		files[h.Name] = string(text)
		size += int64(len(text))
	}
}

// Know makes an image be there.
func (f *Fake) Know(environment, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.addImage(environment, tagged(name), 4<<20)
}

// Pull takes an image in from a registry that has everything but what is named missing.
func (i images) Pull(_ context.Context, environment, name string, report server.Report) (api.Image, error) {
	if strings.Contains(name, "missing") {
		return api.Image{}, problem.New(problem.Failed, "pull image %s: manifest unknown", name).With("look at the name and the tag")
	}
	report(api.Progress{Line: "aabbccddeeff: Pull complete"})
	i.f.mu.Lock()
	defer i.f.mu.Unlock()
	return i.f.addImage(environment, tagged(name), 7), nil
}
