package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"havre/internal/dialect/source"
	"havre/internal/problem"
)

// Bounds on a file, so that a few lines of aliases of aliases stay few.
const (
	maxNodes = 20_000
	maxDepth = 60
)

// tree is one YAML document with its aliases and merge keys followed: what the
// rest reads has only mappings, lists and scalars, each with its own place.
type tree struct {
	file string
	root *yaml.Node
	dir  string     // where its relative paths start, from the project's directory
	vars variables  // in place of everybody's, for a file that was included
	cuts [][]string // paths of which earlier files, and services it extends, count no more
	from *yaml.Node // the entry of include that brought it; nil for a file that the person named
}

// grower makes trees of one file.
type grower struct {
	*source.Reading
	file  string
	nodes int
	broke bool // the bounds were passed
}

// parse reads all documents of a file.
func parse(r *source.Reading, t source.Text) []tree {
	var trees []tree
	if at := notText(t.Content); at >= 0 && !bytes.HasPrefix(t.Content, []byte("\xff\xfe")) && !bytes.HasPrefix(t.Content, []byte("\xfe\xff")) {
		r.Refuse(position(t.Name, t.Content, at), "the text is not UTF-8", "save it as UTF-8: iconv -f latin1 -t utf-8")
		return nil
	}
	g := &grower{Reading: r, file: t.Name}
	decoder := yaml.NewDecoder(bytes.NewReader(t.Content))
	for !g.broke {
		var document yaml.Node
		err := decode(decoder, &document)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.Refuse(g.fault(err), "this is not YAML: "+trimmed(err), "look at the indentation, and for a missing quote, colon or bracket")
			break
		}
		if len(document.Content) == 0 || document.Content[0].Tag == "!!null" {
			continue
		}
		root := g.grow(document.Content[0], 0)
		if root.Tag == reset {
			continue
		}
		if root.Kind != yaml.MappingNode {
			r.Refuse(g.place(root), "a Compose file is a mapping", "begin it with services:")
			continue
		}
		trees = append(trees, tree{file: t.Name, root: root, dir: ".", cuts: lift(root, nil)})
	}
	return trees
}

// decode keeps a panic of the library from ending the program.
func decode(d *yaml.Decoder, into *yaml.Node) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the reader gave up: %v", p)
		}
	}()
	return d.Decode(into)
}

var (
	lineInError   = regexp.MustCompile(`line (\d+)(?:, column (\d+))?`)
	prefixOfError = regexp.MustCompile(`^(yaml: )?(line \d+(, column \d+)?: )?`)
)

// fault finds the place in the text of a YAML error, the only form in which
// the library lets all its errors out.
func (g *grower) fault(err error) problem.Place {
	p := problem.Place{File: g.file}
	all := lineInError.FindAllStringSubmatch(err.Error(), -1)
	if len(all) > 0 {
		last := all[len(all)-1]
		p.Line, _ = strconv.Atoi(last[1])
		p.Column, _ = strconv.Atoi(last[2])
	}
	return p
}

func trimmed(err error) string { return prefixOfError.ReplaceAllString(err.Error(), "") }

func (g *grower) place(n *yaml.Node) problem.Place {
	return problem.Place{File: g.file, Line: n.Line, Column: n.Column}
}

// grow copies n with its aliases followed.
func (g *grower) grow(n *yaml.Node, depth int) *yaml.Node {
	g.nodes++
	if n.Kind == yaml.AliasNode && n.Alias != nil && !g.broke && depth <= maxDepth {
		return g.grow(n.Alias, depth+1)
	}
	c := &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.Tag, Value: n.Value, Line: n.Line, Column: n.Column}
	if g.nodes > maxNodes || depth > maxDepth {
		if !g.broke {
			g.Refuse(g.place(n), "the file is too large once its aliases are followed", fmt.Sprintf("keep it below %d values and %d levels", maxNodes, maxDepth))
		}
		g.broke = true
	}
	if g.broke {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null", Line: n.Line, Column: n.Column}
	}
	switch n.Kind {
	case yaml.ScalarNode:
		g.scalar(c)
	case yaml.MappingNode:
		g.mapping(c, n, depth)
	case yaml.SequenceNode:
		for _, item := range n.Content {
			c.Content = append(c.Content, g.grow(item, depth+1))
		}
	}
	return c
}

// mapping copies the pairs of n, then what its merge keys add.
func (g *grower) mapping(c, n *yaml.Node, depth int) {
	lines := map[string]int{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode && key.Alias != nil {
			key = key.Alias
		}
		if key.Tag == "!!merge" {
			merges = append(merges, value)
			continue
		}
		if key.Kind != yaml.ScalarNode || key.Tag != "!!str" {
			g.Refuse(g.place(key), fmt.Sprintf("the key %s is not text", shown(key)), "put it in quotes")
			continue
		}
		if line, twice := lines[key.Value]; twice {
			g.Refuse(g.place(key), fmt.Sprintf("%s is given twice; first in line %d", key.Value, line), "keep one of them")
			continue
		}
		lines[key.Value] = key.Line
		name := &yaml.Node{Kind: yaml.ScalarNode, Style: key.Style, Tag: key.Tag, Value: key.Value, Line: key.Line, Column: key.Column}
		c.Content = append(c.Content, name, g.grow(value, depth+1))
	}
	for _, m := range merges {
		g.merge(c, m, depth)
	}
}

func shown(key *yaml.Node) string {
	if key.Kind == yaml.ScalarNode && key.Value != "" {
		return strconv.Quote(key.Value)
	}
	return "here"
}

// merge adds the pairs of a mapping, or of a list of mappings, that c has not.
func (g *grower) merge(c, value *yaml.Node, depth int) {
	from := g.grow(value, depth+1)
	switch from.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(from.Content); i += 2 {
			if _, has := child(c, from.Content[i].Value); has == nil {
				c.Content = append(c.Content, from.Content[i], from.Content[i+1])
			}
		}
	case yaml.SequenceNode:
		for _, item := range from.Content {
			if item.Kind == yaml.MappingNode {
				g.merge(c, item, depth)
			}
		}
	default:
		if !g.broke {
			g.Refuse(g.place(value), "<< can only merge mappings", "let it name the anchor of a mapping: <<: *name")
		}
	}
}

// child finds the key and the value called name in a mapping.
func child(n *yaml.Node, name string) (key, value *yaml.Node) {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// pairs are the keys and values of a mapping. They may be removed meanwhile.
func pairs(n *yaml.Node) [][2]*yaml.Node {
	var all [][2]*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		all = append(all, [2]*yaml.Node{n.Content[i], n.Content[i+1]})
	}
	return all
}

// remove takes the key called name out of a mapping.
func remove(n *yaml.Node, name string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			n.Content = append(n.Content[:i:i], n.Content[i+2:]...)
			return
		}
	}
}

// empty tells whether a value asks for nothing.
func empty(n *yaml.Node) bool {
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Tag == "!!null" || n.Value == ""
	case yaml.MappingNode, yaml.SequenceNode:
		return len(n.Content) == 0
	}
	return false
}

// values are what the library reads. It is never given a text: written and
// read again, some texts say something else.
func (t tree) values() (map[string]any, error) {
	var values map[string]any
	err := t.root.Decode(&values)
	return values, err
}

// forest is all documents of all files, in the order in which they count.
type forest []tree

// find gives the value at a path and the place of its key, in the last tree
// that has it; when none has it, the deepest place on the way.
func (f forest) find(path ...string) (*yaml.Node, problem.Place) {
	var best problem.Place
	depth := -1
	for i := len(f) - 1; i >= 0; i-- {
		n, at, deep := f[i].root, problem.Place{File: f[i].file}, 0
		for _, name := range path {
			key, value := child(n, name)
			if key == nil {
				break
			}
			n, at, deep = value, problem.Place{File: f[i].file, Line: key.Line, Column: key.Column}, deep+1
		}
		if deep == len(path) {
			return n, at
		}
		if deep > depth {
			best, depth = at, deep
		}
	}
	return nil, best
}

// all gives every value at a path, with its tree, last first.
func (f forest) all(path ...string) []tree {
	var found []tree
	for i := len(f) - 1; i >= 0; i-- {
		n := f[i].root
		for _, name := range path {
			if _, n = child(n, name); n == nil {
				break
			}
		}
		if n != nil {
			found = append(found, tree{file: f[i].file, root: n})
		}
	}
	return found
}

// join makes a path readable: services.web.ports.
func join(path []string) string { return strings.Join(path, ".") }
