package compose

import (
	"encoding/base64"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Compose's own tags: a value is there to take away what earlier files say at
// its path, or to stand in its place.
const (
	reset    = "!reset"
	override = "!override"
)

// known are the tags of scalars that say what they are. Under any other one a
// value is text.
var known = []string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", reset, override}

// scalar makes text of what has a tag of the person's, and of bytes: a tag
// takes no value past what is done with all others.
func (g *grower) scalar(n *yaml.Node) {
	if n.Tag == "!!binary" {
		content, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
		if err != nil {
			g.Refuse(g.place(n), "the value is not base64, as !!binary says", "write what base64 prints, or take the tag out")
		}
		n.Value = string(content)
	}
	if !slices.Contains(known, n.Tag) {
		n.Tag = "!!str"
	}
}

// lift takes Compose's own tags out of a tree, so that nobody else meets them:
// what is reset goes, what overrides is a value as any other. It gives the
// paths of both.
func lift(n *yaml.Node, path []string) [][]string {
	var cuts [][]string
	switch n.Kind {
	case yaml.MappingNode:
		for _, pair := range pairs(n) {
			key, value := pair[0], pair[1]
			here := append(slices.Clone(path), key.Value)
			switch value.Tag {
			case reset:
				remove(n, key.Value)
				cuts = append(cuts, here)
			case override:
				untag(value)
				cuts = append(cuts, here)
			default:
				cuts = append(cuts, lift(value, here)...)
			}
		}
	case yaml.SequenceNode:
		n.Content = slices.DeleteFunc(n.Content, func(item *yaml.Node) bool { return item.Tag == reset })
		for _, item := range n.Content { // the items of lists have no path: nothing of them is in earlier files
			lift(item, nil)
		}
	}
	untagOne(n)
	return cuts
}

// untag makes plain values of all below n: what overrides counts whole.
func untag(n *yaml.Node) {
	untagOne(n)
	for _, child := range n.Content {
		untag(child)
	}
}

func untagOne(n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		n.Tag = "!!map"
	case yaml.SequenceNode:
		n.Tag = "!!seq"
	case yaml.ScalarNode:
		if n.Tag == reset || n.Tag == override {
			n.Tag = "!!str"
		}
	}
}

// cut takes what stands at a path out of a tree.
func cut(n *yaml.Node, path []string) {
	name, rest := path[0], path[1:]
	_, value := child(n, name)
	switch {
	case value == nil:
	case len(rest) == 1 && value.Kind == yaml.SequenceNode && (name == "depends_on" || name == "networks"): // the short form of a mapping
		value.Content = slices.DeleteFunc(value.Content, func(item *yaml.Node) bool { return item.Value == rest[0] })
	case len(rest) == 0, name == "build" && value.Kind == yaml.ScalarNode && slices.Equal(rest, []string{"context"}):
		remove(n, name)
	default:
		cut(value, rest)
	}
}

// cutsOf gives the cuts below one service.
func (t tree) cutsOf(service string) [][]string {
	var cuts [][]string
	for _, path := range t.cuts {
		if len(path) > 2 && path[0] == "services" && path[1] == service {
			cuts = append(cuts, path[2:])
		}
	}
	return cuts
}

// cut carries out the cuts of all trees on those before them.
func (f forest) cut() {
	for i, t := range f {
		for _, earlier := range f[:i] {
			for _, path := range t.cuts {
				cut(earlier.root, path)
			}
		}
	}
}
