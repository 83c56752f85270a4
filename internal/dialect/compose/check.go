package compose

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"havre/internal/dialect/source"
	"havre/internal/problem"
)

// extension is Havre's own key on a service.
const extension = "x-havre"

// checker walks the trees by the table: it says what is not honoured, takes it
// out, interpolates what stays, and sets x-havre aside. What is left is for
// the library.
type checker struct {
	*source.Reading
	table
	vars    variables
	forest  forest
	index   int                        // of the tree that is walked
	spanned int                        // ports that ranges stand for
	gone    map[string]taken           // what was taken out and is told of elsewhere
	havre   map[string][]extensionNode // x-havre by service
	files   map[string]extensionNode   // x-havre by config; the last file's
}

// taken is a field that was taken out: where it stood and its value, if short.
type taken struct {
	at    problem.Place
	value string
}

// extensionNode is one x-havre.
type extensionNode struct {
	file string
	node *yaml.Node
}

func newChecker(r *source.Reading, vars variables, f forest) *checker {
	return &checker{Reading: r, table: newTable(), vars: vars, forest: f, gone: map[string]taken{}, havre: map[string][]extensionNode{}, files: map[string]extensionNode{}}
}

// step is where the walk is: the table's path and the person's.
type step struct {
	field string
	names []string
}

func (s step) to(field, name string) step {
	if s.field != "" {
		field = s.field + "." + field
	}
	return step{field, append(slices.Clone(s.names), name)}
}

func (s step) item() step { return step{s.field + "[]", append(slices.Clone(s.names), "[]")} }

func (c *checker) place(n *yaml.Node) problem.Place {
	return problem.Place{File: c.forest[c.index].file, Line: n.Line, Column: n.Column}
}

// check walks all trees.
func (c *checker) check() {
	for i, t := range c.forest {
		c.index = i
		c.value(t.root, step{})
	}
}

// value walks one value. Below a field without children in the table, as
// labels, names are the person's and values are only interpolated.
func (c *checker) value(n *yaml.Node, at step) {
	switch n.Kind {
	case yaml.ScalarNode:
		c.interpolate(n)
		if at.field == "services.*.command" || at.field == "services.*.entrypoint" {
			c.command(n, at.names[2])
		}
		c.mode(n, at)
		if at.field == "services.*.ports[]" || at.field == "services.*.expose[]" {
			c.spans(n)
		}
		c.truth(n, at)
	case yaml.SequenceNode:
		for _, item := range n.Content {
			c.assigned(item, at)
			c.value(item, at.item())
		}
	case yaml.MappingNode:
		c.mapping(n, at)
	}
}

func (c *checker) mapping(n *yaml.Node, at step) {
	known := c.children[at.field]
	if at.field == "services.*.labels" || at.field == "services.*.environment" {
		defer enlist(n)
	}
	for _, pair := range pairs(n) {
		key, value := pair[0], pair[1]
		switch {
		case !c.nameable(n, key, at):
		case len(known) == 0:
			c.value(value, at.to("*", key.Value))
		case strings.HasPrefix(key.Value, "x-") && known[0] != "*":
			c.extended(n, key, value, at)
		default:
			c.field(n, key, value, at)
		}
	}
}

// kinds are the sections whose names are the person's, and what they name.
var kinds = map[string]string{"services": "a service", "networks": "a network", "volumes": "a volume", "configs": "a config", "secrets": "a secret"}

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// nameable refuses the names that the library would blame on what is below.
func (c *checker) nameable(n, key *yaml.Node, at step) bool {
	kind, ok := kinds[at.field]
	if !ok || nameForm.MatchString(key.Value) {
		return true
	}
	c.Refuse(c.place(key), fmt.Sprintf("%q cannot name %s", key.Value, kind), "use letters a to z, digits, - and _")
	remove(n, key.Value)
	return false
}

// enlist makes a list of labels or variables that begin with x-: in a mapping
// the library would take them for extensions of Compose's.
func enlist(n *yaml.Node) {
	if !slices.ContainsFunc(pairs(n), func(p [2]*yaml.Node) bool { return strings.HasPrefix(p[0].Value, "x-") }) {
		return
	}
	var lines []*yaml.Node
	for _, p := range pairs(n) {
		line := *p[0]
		line.Tag, line.Style = "!!str", yaml.DoubleQuotedStyle
		if p[1].Tag != "!!null" {
			line.Value += "=" + p[1].Value
		}
		lines = append(lines, &line)
	}
	n.Kind, n.Tag, n.Style, n.Content = yaml.SequenceNode, "!!seq", 0, lines
}

// field judges one key of a mapping whose keys the table lists.
func (c *checker) field(n, key, value *yaml.Node, at step) {
	f, ok := c.below(at.field, key.Value)
	if !ok {
		near := c.unknown(key, at)
		if near == "" {
			remove(n, key.Value)
			return
		}
		if k, _ := child(n, near); k != nil {
			remove(n, key.Value)
			return
		}
		key.Value = near // read on as if it were spelt right, to find what else is wrong
		f, _ = c.below(at.field, near)
	}
	name := f.Path[strings.LastIndexByte(f.Path, '.')+1:]
	next := at.to(name, key.Value)
	if f.Verdict == Honoured {
		c.value(value, next)
		return
	}
	c.judge(f, key, value, next)
	remove(n, key.Value)
}

// unknown reports a key that the specification does not have, and gives the
// one that was probably meant.
func (c *checker) unknown(key *yaml.Node, at step) string {
	near := problem.Nearest(key.Value, c.children[at.field])
	remedy := leaveOut
	if near != "" {
		remedy = "did you mean " + near + "?"
	}
	where := "at the top of a Compose file"
	if len(at.names) > 0 {
		where = "in " + strings.ReplaceAll(join(at.names), ".[]", "")
	}
	c.Refuse(c.place(key), fmt.Sprintf("unknown field %s %s", key.Value, where), remedy)
	return near
}

// judge says what there is to say about a field that is not honoured.
func (c *checker) judge(f Field, key, value *yaml.Node, at step) {
	if empty(value) {
		return
	}
	if f.own {
		if value.Kind != yaml.ScalarNode {
			c.Refuse(c.place(value), f.label()+" must be a single value", "write it as one word")
			return
		}
		c.interpolate(value)
		c.gone[join(at.names)] = taken{c.place(key), value.Value}
		return
	}
	said := f.label()
	var wrong []*yaml.Node
	for _, item := range each(value) {
		if item.Kind == yaml.ScalarNode && len(f.Fine)+len(f.Mild) > 0 {
			c.interpolate(item)
		}
		if !slices.Contains(f.Fine, strings.ToLower(item.Value)) {
			wrong = append(wrong, item)
		}
	}
	if len(wrong) == 0 {
		return
	}
	first := func(n *yaml.Node) bool { return !slices.Contains(f.Mild, strings.ToLower(n.Value)) }
	hard := slices.IndexFunc(wrong, first)
	if n := wrong[max(hard, 0)]; n.Kind == yaml.ScalarNode && len(n.Value) < 40 {
		said += ": " + n.Value
	}
	if f.Verdict == Warned || hard < 0 {
		c.Warn(c.place(key), fmt.Sprintf("%s has no effect: %s", said, f.Says), f.Remedy)
		return
	}
	c.Refuse(c.place(key), fmt.Sprintf("%s is refused: %s", said, f.Says), f.Remedy)
}

// extended handles an x- key: x-havre on a service is set aside; all others
// are for other programs, unless they look like a slip.
func (c *checker) extended(n, key, value *yaml.Node, at step) {
	switch {
	case key.Value == extension && at.field == "services.*":
		service := at.names[1]
		c.value(value, at.to(extension, extension))
		c.havre[service] = append(c.havre[service], extensionNode{c.forest[c.index].file, value})
	case key.Value == extension && at.field == "configs.*":
		c.value(value, at.to(extension, extension))
		c.files[at.names[1]] = extensionNode{c.forest[c.index].file, value}
	case key.Value == extension:
		c.Refuse(c.place(key), "x-havre has no meaning here", "write it on a service or a config")
	case problem.Nearest(key.Value[2:], []string{extension[2:]}) != "" && (at.field == "" || at.field == "services.*") && (empty(value) || c.meansHavre(value)):
		c.Warn(c.place(key), key.Value+" has no effect", "did you mean x-havre, on a service?")
	}
	remove(n, key.Value)
}

// meansHavre tells whether a mapping has a key of x-havre's.
func (c *checker) meansHavre(n *yaml.Node) bool {
	return slices.ContainsFunc(pairs(n), func(p [2]*yaml.Node) bool {
		return slices.Contains(c.children["services.*."+extension], p[0].Value)
	})
}

// truths are the honoured fields that are true or false.
var truths = []string{
	"services.*.read_only", "services.*.init", "services.*.tty", "services.*.stdin_open", "services.*.healthcheck.disable", "services.*.env_file[].required",
	"services.*.depends_on.*.required", "services.*.volumes[].read_only", "services.*.build.no_cache", "secrets.*.external",
}

// truth makes true and false of YAML 1.1's words for them. The library would
// do it too, with a line on the standard error stream.
func (c *checker) truth(n *yaml.Node, at step) {
	if !slices.Contains(truths, at.field) {
		return
	}
	said := n.Value
	switch strings.ToLower(said) {
	case "y", "yes", "on":
		n.Value = "true"
	case "n", "no", "off":
		n.Value = "false"
	default:
		return
	}
	n.Tag, n.Style = "!!bool", 0
	c.Warn(c.place(n), fmt.Sprintf("%s is a word of old YAML, read as %s", said, n.Value), "write "+n.Value)
}

// interpolate puts variables into a text. What cannot be put in becomes empty.
func (c *checker) interpolate(n *yaml.Node) {
	if n.Tag != "!!str" {
		return
	}
	value, unset, err := c.forest[c.index].variables(c.vars).expand(n.Value)
	if err != nil {
		c.Refuse(c.place(n), fmt.Sprintf("%q cannot be filled in: %v", shorten(n.Value), err), "set the variable in the environment or in .env; write $$ for a plain $")
	}
	for _, name := range unset {
		c.Warn(c.place(n), "variable "+name+" is not set and counts as empty", fmt.Sprintf("set it in the environment or in .env, or write ${%s:-default}; write $$ for a plain $", name))
	}
	n.Value = value
}

// assignments are the lists whose items are NAME=value.
var assignments = []string{"services.*.environment", "services.*.labels", "services.*.build.args", "services.*.sysctls"}

// assigned refuses an item that is a mapping, as a colon makes one, and reads
// on as if it were right.
func (c *checker) assigned(item *yaml.Node, at step) {
	if item.Kind != yaml.MappingNode || !slices.Contains(assignments, at.field) {
		return
	}
	line := yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "NAME=value", Line: item.Line, Column: item.Column}
	if len(item.Content) == 2 && item.Content[1].Kind == yaml.ScalarNode {
		line.Value = item.Content[0].Value + "=" + item.Content[1].Value
	}
	c.Refuse(c.place(item), fmt.Sprintf("an item of %s is one text, and this is a mapping", at.names[len(at.names)-1]), "write "+shorten(line.Value))
	*item = line
}

// mode refuses a number of YAML's that only looks like a mode: without a 0 it
// is decimal.
func (c *checker) mode(n *yaml.Node, at step) {
	if at.field != "services.*.configs[].mode" && at.field != "services.*.secrets[].mode" {
		return
	}
	if decimal, err := strconv.Atoi(n.Value); err == nil && n.Tag == "!!int" && looksOctal(n.Value) {
		c.Refuse(c.place(n), fmt.Sprintf("mode %s is a decimal number, which is the mode 0%o", n.Value, decimal), "write 0"+n.Value)
	}
}

// looksOctal tells whether digits make a mode as people give files: the owner
// reads, and nobody may what a nearer one may not.
func looksOctal(digits string) bool {
	mode, err := strconv.ParseUint(digits, 8, 10)
	owner, group, others := mode>>6&7, mode>>3&7, mode&7
	return err == nil && digits[0] != '0' && owner&4 != 0 && group&^owner == 0 && others&^group == 0
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
