package compose

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"havre/internal/dialect/source"
	"havre/internal/problem"
)

// stride moves the lines of nodes that came from another file than their
// tree: a place with a line beyond it is of the file with that number. No
// file that is read has so many lines.
const stride = 1 << 23

// extender puts services of other files, which extends names, beside those
// that extend them: the library then finds them in the same file.
type extender struct {
	*includer
	files   []string          // by number; the first is nobody's
	all     forest            // of all files
	fetched map[string]*tree  // trees by name
	grafts  map[string]string // what a service of a file is called in a tree
	dirs    map[string]string // where the paths of a graft start
}

func newExtender(r *source.Reading, dir string, vars variables) *extender {
	i := &includer{reach: &reach{Reading: r, dir: dir}, table: newTable(), vars: vars, seen: map[string]bool{}}
	return &extender{includer: i, files: []string{""}, fetched: map[string]*tree{}, grafts: map[string]string{}, dirs: map[string]string{}}
}

// forest reads all files, and those that they name.
func (e *extender) forest(texts []source.Text) forest {
	var all forest
	for _, text := range texts {
		if name, err := filepath.Rel(e.dir, text.Name); err == nil {
			e.seen[filepath.ToSlash(name)] = true
		}
		for _, t := range parse(e.Reading, text) {
			all = append(all, e.grow(t, 0)...)
		}
	}
	all.cut()
	e.all = all
	for _, t := range all {
		e.extend(t)
	}
	return all
}

// rebase lets all relative paths start from the project's directory.
func (e *extender) rebase(f forest) {
	for _, t := range f {
		_, services := child(t.root, "services")
		if services != nil && services.Kind == yaml.MappingNode {
			for _, pair := range pairs(services) {
				dir, grafted := e.dirs[pair[0].Value]
				if !grafted {
					dir = t.dir
				}
				rebase(pair[1], dir)
			}
		}
		for _, section := range []string{"configs", "secrets"} {
			_, declared := child(t.root, section)
			if declared == nil || declared.Kind != yaml.MappingNode || t.dir == "." {
				continue
			}
			for _, pair := range pairs(declared) {
				if _, file := child(pair[1], "file"); file != nil {
					move(file, t.dir)
				}
			}
		}
	}
}

// prune takes out the services that are only there to be extended.
func (e *extender) prune(p *types.Project) {
	for name := range e.dirs {
		delete(p.Services, name)
		delete(p.DisabledServices, name)
	}
}

// origin is where a service stands.
type origin struct {
	file, service string
}

// branch is a service that is in one tree now and came from another.
type branch struct {
	service  *yaml.Node
	services *yaml.Node // of the tree that it is in
	in, from tree
	cuts     [][]string // of those that extend it
}

// extend follows the extends of all services of one tree.
func (e *extender) extend(t tree) {
	_, services := child(t.root, "services")
	if services == nil || services.Kind != yaml.MappingNode {
		return
	}
	for _, pair := range pairs(services) {
		e.follow(branch{pair[1], services, t, t, t.cutsOf(pair[0].Value)}, nil)
	}
}

// follow grafts what one service extends, if that is of another file.
func (e *extender) follow(b branch, trail []origin) {
	_, extends := child(b.service, "extends")
	if extends == nil || empty(extends) {
		return
	}
	base, file := extends, (*yaml.Node)(nil)
	if extends.Kind == yaml.MappingNode {
		_, base = child(extends, "service")
		_, file = child(extends, "file")
	}
	_, here := child(b.services, e.name(base))
	if base == nil || base.Kind != yaml.ScalarNode || file == nil && len(trail) == 0 && len(b.cuts) == 0 && here != nil {
		return // the same file, or not understood: for the library
	}
	name, ok := e.graft(b, base, file, trail)
	if !ok {
		remove(b.service, "extends")
		return
	}
	renamed := *base
	renamed.Value, renamed.Style = name, yaml.DoubleQuotedStyle
	*extends = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: extends.Line, Column: extends.Column,
		Content: []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: "service", Line: base.Line, Column: base.Column}, &renamed}}
}

// graft puts the service called base of a file beside b and gives its new name.
func (e *extender) graft(b branch, base, file *yaml.Node, trail []origin) (string, bool) {
	from, at := b.from, e.real(b.in.place(base))
	if file != nil {
		found := e.fetch(b.from, file)
		if found == nil {
			return "", false
		}
		from = *found
	}
	if file == nil {
		from = e.holder(from, base.Value)
	}
	_, services := child(from.root, "services")
	key, service := child(services, base.Value)
	if service == nil {
		var known []string
		if services != nil {
			for _, pair := range pairs(services) {
				known = append(known, pair[0].Value)
			}
		}
		e.Refuse(at, fmt.Sprintf("no service %s in %s", base.Value, from.file), source.Meant(base.Value, known, "name one that is there"))
		return "", false
	}
	here := origin{from.file, base.Value}
	if slices.Contains(trail, here) || len(trail) >= maxChain {
		e.Refuse(at, fmt.Sprintf("service %s of %s extends itself", base.Value, from.file), "take one extends out")
		return "", false
	}
	id := fmt.Sprintf("%s\x00%s\x00%s\x00%q", b.in.file, from.file, base.Value, b.cuts)
	name, done := e.grafts[id]
	if !done {
		name = fmt.Sprintf("%s.%d", base.Value, len(e.grafts)+1)
		e.grafts[id], e.dirs[name] = name, from.dir
		copied := e.copied(service, from.file)
		for _, path := range b.cuts {
			cut(copied, path)
		}
		b.services.Content = append(b.services.Content, e.named(key, name, from.file), copied)
		e.follow(branch{copied, b.services, b.in, from, append(b.cuts[:len(b.cuts):len(b.cuts)], from.cutsOf(base.Value)...)}, append(trail, here))
	}
	return name, true
}

// holder is the tree that declares a service which one of t extends: t itself,
// or a file that was included.
func (e *extender) holder(t tree, service string) tree {
	if _, services := child(t.root, "services"); services != nil {
		if _, here := child(services, service); here != nil {
			return t
		}
	}
	for _, other := range slices.Backward(e.all) {
		_, services := child(other.root, "services")
		if _, there := child(services, service); other.from != nil && there != nil {
			return other
		}
	}
	return t
}

// name is the text of a node, "" of none.
func (e *extender) name(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	return n.Value
}

// fetch reads the file that extends names.
func (e *extender) fetch(home tree, file *yaml.Node) *tree {
	name := home.below(e.text(home, file))
	if found, done := e.fetched[name]; done {
		return found
	}
	e.fetched[name] = nil
	trees := e.open(e.real(home.place(file)), name)
	if len(trees) == 0 {
		return nil
	}
	found := trees[0]
	found.dir, found.vars = path.Dir(name), home.vars
	e.fetched[name] = &found
	return &found
}

// copied copies a service, with its lines moved to the number of its file.
func (e *extender) copied(n *yaml.Node, file string) *yaml.Node {
	c := e.named(n, n.Value, file)
	for _, item := range n.Content {
		c.Content = append(c.Content, e.copied(item, file))
	}
	return c
}

func (e *extender) named(n *yaml.Node, value, file string) *yaml.Node {
	number := slices.Index(e.files, file)
	if number < 0 {
		number = len(e.files)
		e.files = append(e.files, file)
	}
	return &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.Tag, Value: value, Line: n.Line%stride + number*stride, Column: n.Column}
}

// real is the place as the person knows it.
func (e *extender) real(p problem.Place) problem.Place {
	if p.Line >= stride {
		p.File, p.Line = e.files[p.Line/stride], p.Line%stride
	}
	return p
}

// settle gives all places their true files, once all is read.
func (e *extender) settle() {
	for _, p := range e.Mistakes {
		p.Where = e.real(p.Where)
	}
	for _, p := range e.Notes {
		p.Where = e.real(p.Where)
	}
	for path, place := range e.Origins {
		e.Origins[path] = e.real(place)
	}
}
