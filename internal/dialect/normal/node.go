package normal

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// mapping is a YAML mapping in the order in which it was written.
type mapping struct{ content []*yaml.Node }

// put adds a key, unless its value is nil.
func (m *mapping) put(key string, value *yaml.Node) {
	if value != nil {
		m.content = append(m.content, quoted(key), value)
	}
}

func (m *mapping) keys() []string {
	var keys []string
	for i := 0; i < len(m.content); i += 2 {
		keys = append(keys, m.content[i].Value)
	}
	return keys
}

func (m *mapping) node() *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Content: m.content}
	if len(m.content) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

// some is nil for an empty mapping.
func (m *mapping) some() *yaml.Node {
	if len(m.content) == 0 {
		return nil
	}
	return m.node()
}

// sequence is nil for an empty list.
func sequence(items []*yaml.Node) *yaml.Node {
	if len(items) == 0 {
		return nil
	}
	return &yaml.Node{Kind: yaml.SequenceNode, Content: items}
}

// text is a value of which $ is no variable's.
func text(value string) *yaml.Node { return quoted(strings.ReplaceAll(value, "$", "$$")) }

// some is nil for an empty text.
func some(value string) *yaml.Node {
	if value == "" {
		return nil
	}
	return text(value)
}

func texts(values []string) *yaml.Node {
	var items []*yaml.Node
	short := len(values) < 8
	for _, v := range values {
		items = append(items, text(v))
		short = short && len(v) < 30 && !strings.Contains(v, "\n")
	}
	n := sequence(items)
	if n != nil && short {
		n.Style = yaml.FlowStyle
	}
	return n
}

// bare is what every reader of YAML, old and new, takes for a text.
var bare = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./-]*([:@=][A-Za-z0-9_./-]+)*$`)

var words = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}

// quoted is a string in the plainest style that leaves no doubt.
func quoted(value string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Style: yaml.DoubleQuotedStyle}
	switch {
	case bare.MatchString(value) && !slices.Contains(words, strings.ToLower(value)):
		n.Style = 0
	case block(value):
		n.Style = yaml.LiteralStyle
	}
	return n
}

// block tells whether a text of several lines can stand there as it is.
func block(value string) bool {
	if !strings.Contains(strings.TrimSuffix(value, "\n"), "\n") || strings.HasPrefix(value, " ") || strings.HasPrefix(value, "\n") || strings.HasSuffix(value, "\n\n") {
		return false
	}
	for _, r := range value {
		if r != '\n' && !unicode.IsPrint(r) {
			return false
		}
	}
	return !strings.Contains(value, " \n")
}

// yes is nil for false.
func yes(b bool) *yaml.Node {
	if !b {
		return nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"}
}

// number is nil for zero.
func number(n int64) *yaml.Node {
	if n == 0 {
		return nil
	}
	return integer(n)
}

func integer(n int64) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(n, 10)}
}

func ports(all []uint16) *yaml.Node {
	var items []*yaml.Node
	for _, p := range all {
		items = append(items, integer(int64(p)))
	}
	n := sequence(items)
	if n != nil {
		n.Style = yaml.FlowStyle
	}
	return n
}

func numbers(all []uint16) *yaml.Node {
	var lines []string
	for _, p := range all {
		lines = append(lines, strconv.Itoa(int(p)))
	}
	return texts(lines)
}
