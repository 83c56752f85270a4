package compose

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"

	"havre/internal/dialect/source"
	"havre/internal/problem"
	"havre/internal/spec"
)

// Bounds on files that files name.
const (
	maxNamed = 50 // files
	maxChain = 10 // one naming the next
)

// reach reads the other files that a file names. From below the project's
// directory no link leads out of it.
type reach struct {
	*source.Reading
	dir   string
	count int
}

// read reads a file. The name is relative to the project's directory.
func (r *reach) read(at problem.Place, name string) ([]byte, bool) {
	content, err := r.bytes(name)
	if err != nil {
		r.Refuse(at, fmt.Sprintf("%s cannot be read: %s", name, reason(err)), "name a readable file of this machine")
	}
	return content, err == nil
}

func (r *reach) bytes(name string) ([]byte, error) {
	if r.count++; r.count > maxNamed {
		return nil, fmt.Errorf("more than %d files are named", maxNamed)
	}
	if strings.Contains(name, ":/") || strings.HasPrefix(name, "git@") {
		return nil, errors.New("it is not on this machine")
	}
	dir, local := r.dir, name
	if !filepath.IsLocal(name) { // named as being elsewhere
		dir, local = filepath.Dir(r.path(name)), filepath.Base(name)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(local) // lets no link lead out
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > spec.MaxFile {
		return nil, fmt.Errorf("it is no file of at most %d bytes", spec.MaxFile)
	}
	return root.ReadFile(local)
}

// path is where a file is on this machine.
func (r *reach) path(name string) string {
	if path.IsAbs(name) {
		return name
	}
	return filepath.Join(r.dir, name)
}

// open reads the trees of a file.
func (r *reach) open(at problem.Place, name string) []tree {
	content, ok := r.read(at, name)
	if !ok {
		return nil
	}
	return parse(r.Reading, source.Text{Name: r.path(name), Content: content})
}

// includer puts the trees of included files before those that include them.
type includer struct {
	*reach
	table
	vars variables
	seen map[string]bool
}

// grow follows the includes of one tree.
func (i *includer) grow(t tree, depth int) forest {
	key, list := child(t.root, "include")
	if key == nil || empty(list) {
		return forest{t}
	}
	remove(t.root, "include")
	if list.Kind != yaml.SequenceNode || depth >= maxChain {
		i.Refuse(t.place(key), "include must be a list, and not go in circles", "begin each file with -")
		return forest{t}
	}
	var grown forest
	for _, item := range list.Content { // of two that say the same thing the first one counts
		grown = append(i.item(t, item, depth), grown...)
	}
	return append(grown, t)
}

// item reads the files of one entry: a path, or {path, project_directory, env_file}.
func (i *includer) item(t tree, item *yaml.Node, depth int) forest {
	named := map[string][]string{"path": i.texts(t, item)}
	if item.Kind == yaml.MappingNode {
		for _, pair := range pairs(item) {
			if _, known := i.fields["include[]."+pair[0].Value]; !known {
				i.Refuse(t.place(pair[0]), "unknown field "+pair[0].Value+" in include", "use path, project_directory or env_file")
			}
			named[pair[0].Value] = i.texts(t, pair[1])
		}
	}
	files := named["path"]
	if len(files) == 0 {
		i.Refuse(t.place(item), "include names no file", "write the path of a Compose file")
		return nil
	}
	dir := path.Dir(t.below(files[0]))
	if home := named["project_directory"]; len(home) > 0 {
		dir = t.below(home[0])
	}
	var grown forest
	vars := i.variables(t, item, dir, named["env_file"])
	for _, name := range files {
		name = t.below(name)
		if i.seen[name] {
			continue
		}
		i.seen[name] = true
		for _, found := range i.open(t.place(item), name) {
			found.dir, found.vars, found.from = dir, vars, item
			if key, _ := child(found.root, "name"); key != nil {
				i.Warn(found.place(key), "name has no effect in a file that is included", leaveOut)
				remove(found.root, "name")
			}
			grown = append(grown, i.grow(found, depth+1)...)
		}
	}
	return grown
}

// variables are those of the including file, then those of the files named,
// else of .env beside the included one.
func (i *includer) variables(t tree, item *yaml.Node, dir string, files []string) variables {
	if len(files) == 0 && dir == t.dir {
		return t.vars
	}
	all, outer := variables{}, t.variables(i.vars)
	parse := func(name string, content []byte) {
		lookup := func(v string) (string, bool) { value, ok := outer[v]; return value, ok }
		if err := assign(i.Reading, source.Text{Name: name, Content: content}, all, lookup); err != nil {
			i.Refuse(t.place(item), fmt.Sprintf("%s cannot be read: %s", name, plain(err, name)), "write one NAME=value on each line")
		}
	}
	for _, name := range files {
		if content, ok := i.read(t.place(item), t.below(name)); ok {
			parse(name, content)
		}
	}
	if len(files) == 0 {
		if content, err := i.bytes(path.Join(dir, ".env")); err == nil {
			parse(path.Join(dir, ".env"), content)
		}
	}
	maps.Copy(all, outer)
	return all
}

// texts are one text or a list of them, with variables put in.
func (i *includer) texts(t tree, n *yaml.Node) []string {
	var all []string
	switch {
	case n == nil:
	case n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			all = append(all, i.text(t, item))
		}
	case n.Kind == yaml.ScalarNode && !empty(n):
		all = []string{i.text(t, n)}
	}
	return all
}

func (i *includer) text(t tree, n *yaml.Node) string {
	text, _, err := t.variables(i.vars).expand(n.Value)
	if err != nil {
		i.Refuse(t.place(n), fmt.Sprintf("%q cannot be filled in: %v", shorten(n.Value), err), "set the variable in the environment or in .env")
	}
	return filepath.ToSlash(text)
}

// variables are the tree's own, else those of all.
func (t tree) variables(all variables) variables {
	if t.vars != nil {
		return t.vars
	}
	return all
}

// below is a path of the tree's, from the project's directory.
func (t tree) below(name string) string {
	if path.IsAbs(name) {
		return name
	}
	return path.Join(t.dir, name)
}

func (t tree) place(n *yaml.Node) problem.Place {
	return problem.Place{File: t.file, Line: n.Line, Column: n.Column}
}

// rebase lets the relative paths of a service start from the project's
// directory, where they started from another. Variables are put in before.
func rebase(service *yaml.Node, dir string) {
	if dir == "." || service.Kind != yaml.MappingNode {
		return
	}
	for _, field := range []string{"env_file", "label_file"} {
		_, n := child(service, field)
		for _, item := range each(n) {
			if _, p := child(item, "path"); p != nil {
				item = p
			}
			move(item, dir)
		}
	}
	rebaseBuild(service, dir)
	_, volumes := child(service, "volumes")
	for _, item := range each(volumes) {
		_, kind := child(item, "type")
		_, source := child(item, "source")
		switch {
		case item.Kind == yaml.ScalarNode && strings.HasPrefix(item.Value, "."):
			from, rest, _ := strings.Cut(item.Value, ":")
			item.Value = moved(from, dir) + ":" + rest
		case kind != nil && kind.Value == "bind" && source != nil:
			move(source, dir)
		}
	}
}

// rebaseBuild moves the context of a build, also one that is not written.
func rebaseBuild(service *yaml.Node, dir string) {
	_, build := child(service, "build")
	switch {
	case build == nil:
	case build.Kind == yaml.ScalarNode && !remote(build.Value):
		move(build, dir)
	case build.Kind == yaml.MappingNode:
		_, context := child(build, "context")
		if context == nil {
			context = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "."}
			build.Content = append(build.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "context"}, context)
		}
		if !remote(context.Value) {
			move(context, dir)
		}
	}
}

// each are the items of a list; one that is no list is its only item.
func each(n *yaml.Node) []*yaml.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.SequenceNode:
		return n.Content
	}
	return []*yaml.Node{n}
}

func move(n *yaml.Node, dir string) {
	if n.Kind == yaml.ScalarNode && n.Value != "" && !path.IsAbs(n.Value) && !strings.HasPrefix(n.Value, "~") {
		n.Value = moved(n.Value, dir)
	}
}

// moved is a relative path that starts in dir, from the project's directory.
func moved(name, dir string) string {
	if path.IsAbs(dir) {
		return path.Join(dir, name)
	}
	return "./" + path.Join(dir, name)
}
