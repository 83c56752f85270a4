// Package compose reads files of the Compose Specification. The official
// library reads their forms; a pass of our own over the YAML, by a table of
// every field, finds all mistakes with their lines and says what is not
// honoured, so that nothing is dropped silently.
package compose

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"havre/internal/dialect/source"
	"havre/internal/problem"
	"havre/internal/spec"
)

// Request says what to read.
type Request struct {
	Texts   []source.Text     // the files, the first one first
	Dir     string            // where relative paths start; "" is the first file's directory
	Project string            // the name, in place of the files'
	Env     map[string]string // for ${VARIABLES}; goes before .env in Dir
}

// reader turns the library's types into ours.
type reader struct {
	*checker
	dir     string
	project *types.Project
	uploads *uploads
	awaited map[string]bool // services that others wait for to complete
}

// Read reads Compose files into a project. Mistakes of spec.Validate are not
// looked for.
func Read(ctx context.Context, q Request) *source.Reading {
	quiet()
	r := source.NewReading(q.Texts[0].Name)
	dir := q.Dir
	if dir == "" {
		dir = filepath.Dir(q.Texts[0].Name)
	}
	vars := environment(r, dir, q.Env)
	e := newExtender(r, dir, vars)
	defer e.settle()
	f := e.forest(q.Texts)
	c := newChecker(r, vars, f)
	r.Project.Name = c.name(dir, q.Project)
	c.vars["COMPOSE_PROJECT_NAME"] = r.Project.Name
	if services, at := f.find("services"); len(f) > 0 && (services == nil || empty(services)) {
		r.Refuse(at, "the file has no services", "declare at least one under services:")
	}
	c.hold()
	c.check()
	e.rebase(f)
	if len(f) == 0 {
		if len(r.Mistakes) == 0 {
			r.Refuse(problem.Place{File: q.Texts[0].Name}, "the file is empty", "begin it with services:")
		}
		return r
	}
	p := c.library(ctx)
	if p == nil || ctx.Err() != nil {
		return r
	}
	e.prune(p)
	rd := &reader{checker: c, dir: dir, project: p, uploads: newUploads(r, dir), awaited: awaited(p)}
	rd.uploads.look(p)
	rd.services()
	r.Project.Files = slices.DeleteFunc(rd.uploads.files, func(f spec.File) bool { return !mounted(r.Project, f) })
	return r
}

// mounted tells whether a service mounts a file. Another mount may lie above it.
func mounted(p spec.Project, f spec.File) bool {
	return slices.ContainsFunc(p.Services, func(s spec.Service) bool {
		return slices.ContainsFunc(s.Mounts, func(m spec.Mount) bool { return m.Kind == spec.Config && m.Source == f.Name })
	})
}

// library loads the checked trees; when that fails it loads what is left of
// them once the mistakes are out. nil when nothing can be read.
func (c *checker) library(ctx context.Context) *types.Project {
	l := library{vars: c.vars, name: "x", profiles: chosen(c.vars["COMPOSE_PROFILES"])}
	p, err := l.load(ctx, c.forest)
	if err == nil {
		return p
	}
	(&blame{checker: c, library: l}).find(ctx, err)
	p, err = l.load(ctx, c.forest)
	if err != nil {
		return nil
	}
	return p
}

// chosen are the profiles of a list with commas.
func chosen(list string) []string {
	all := strings.Split(list, ",")
	for i, name := range all {
		all[i] = strings.TrimSpace(name)
	}
	return all
}

// environment is what variables stand for: the caller's, then those of .env.
func environment(r *source.Reading, dir string, env map[string]string) variables {
	vars := variables{}
	file := filepath.Join(dir, ".env")
	if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Size() <= spec.MaxFile {
		content, err := os.ReadFile(file)
		if err == nil {
			err = assign(r, source.Text{Name: file, Content: content}, vars, func(name string) (string, bool) { value, ok := env[name]; return value, ok })
		}
		if err != nil {
			r.Refuse(problem.Place{File: file}, "the file cannot be read: "+plain(err, file), "write one NAME=value on each line")
		}
	}
	for name, value := range env {
		vars[name] = value
	}
	return vars
}

// plain takes the file's name out of a message: it stands in the place.
func plain(err error, file string) string {
	text := err.Error()
	if abs, e := filepath.Abs(file); e == nil {
		text = strings.ReplaceAll(text, abs, "")
	}
	text = strings.ReplaceAll(text, file, "")
	return strings.TrimPrefix(text, "failed to read : ")
}

// name finds the project's name as docker compose does: what the caller says,
// COMPOSE_PROJECT_NAME, the last name: of the files, the directory's name.
func (c *checker) name(dir, given string) string {
	c.Origins["name"] = problem.Place{}
	if given != "" {
		return given
	}
	if name := c.vars["COMPOSE_PROJECT_NAME"]; name != "" {
		return name
	}
	for _, t := range c.forest.all("name") {
		name, _, err := c.vars.expand(t.root.Value)
		if err == nil && name != "" {
			_, c.Origins["name"] = c.forest.find("name")
			return loader.NormalizeProjectName(name)
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		abs = dir
	}
	c.Origins["name"] = problem.Place{File: c.Origins[""].File}
	return loader.NormalizeProjectName(filepath.Base(abs))
}

func (r *reader) services() {
	names := make([]string, 0, len(r.project.Services))
	for name := range r.project.Services {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		r.Project.Services = append(r.Project.Services, r.service(name, r.project.Services[name]))
	}
	disabled := make([]string, 0, len(r.project.DisabledServices))
	for name := range r.project.DisabledServices {
		disabled = append(disabled, name)
	}
	slices.Sort(disabled)
	r.LeftOut = disabled
	for _, name := range disabled {
		r.Warn(r.at(name, "profiles"), fmt.Sprintf("service %s is left out: none of its profiles is chosen", name),
			"choose one: COMPOSE_PROFILES="+strings.Join(r.project.DisabledServices[name].Profiles, ","))
	}
	r.clashes()
	r.networks()
}

// at is where a field of a service stands: in the service, else in the one it
// extends, else the service itself.
func (r *reader) at(service string, field ...string) problem.Place {
	_, at := r.look(service, field...)
	return at
}

// look finds the value of a service's field too; nil when there is none.
func (c *checker) look(service string, field ...string) (*yaml.Node, problem.Place) {
	var first problem.Place
	for i, name := range c.chain(service) {
		n, at := c.forest.find(append([]string{"services", name}, field...)...)
		if n != nil {
			return n, at
		}
		if i == 0 {
			first = at
		}
	}
	return nil, first
}

// chain is a service and those it extends, itself first.
func (c *checker) chain(service string) []string {
	names := []string{service}
	for {
		n, _ := c.forest.find("services", names[len(names)-1], "extends")
		if n != nil && n.Kind == yaml.MappingNode {
			_, n = child(n, "service")
		}
		if n == nil || n.Kind != yaml.ScalarNode || slices.Contains(names, n.Value) {
			return names
		}
		names = append(names, n.Value)
	}
}

// items tells where the items of a service's list stand, by what keysOf makes
// of them.
type items struct {
	places map[string]problem.Place
	list   problem.Place
}

// items looks at the list once: there may be many items.
func (c *checker) items(service, field string, keysOf func(*yaml.Node) []string) items {
	found := items{places: map[string]problem.Place{}}
	_, found.list = c.look(service, field)
	for _, name := range c.chain(service) {
		for _, t := range c.forest.all("services", name, field) {
			all := t.root.Content
			if t.root.Kind == yaml.ScalarNode {
				all = []*yaml.Node{t.root}
			}
			for _, n := range all {
				for _, key := range keysOf(n) {
					if _, known := found.places[key]; !known {
						found.places[key] = problem.Place{File: t.file, Line: n.Line, Column: n.Column}
					}
				}
			}
		}
	}
	return found
}

// at is the place of one item; else of the list.
func (i items) at(key string) problem.Place {
	if p, ok := i.places[key]; ok {
		return p
	}
	return i.list
}

// itself is the key of an item that is one word, or the key of a mapping.
func itself(n *yaml.Node) []string { return []string{n.Value} }

// itselfOr is the key of an item that is one word, or a mapping with that word.
func itselfOr(name string) func(*yaml.Node) []string {
	return func(n *yaml.Node) []string {
		if _, value := child(n, name); value != nil {
			return []string{value.Value}
		}
		return itself(n)
	}
}
