package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"havre/internal/dialect/source"
	"havre/internal/problem"
)

// blame finds all that is wrong once the whole could not be loaded. The
// library stops at the first mistake and gives no places, so it gets each
// field of each section by itself. What is wrong is taken out, so that the
// rest can be read on.
type blame struct {
	*checker
	library
	tries int
}

// maxTries bounds the loads that are spent on finding mistakes.
const maxTries = 400

const listed = "docs/reference/compose.md says what can be written here"

// find looks through all trees; whole is why they could not be loaded.
func (b *blame) find(ctx context.Context, whole error) {
	before := len(b.Mistakes)
	for i, t := range b.forest {
		b.index = i
		for _, pair := range pairs(t.root) {
			section, entries := pair[0], pair[1]
			if entries.Kind != yaml.MappingNode {
				b.value(ctx, t.root, []*yaml.Node{section})
				continue
			}
			for _, name := range pairs(entries) {
				b.entry(ctx, entries, []*yaml.Node{section, name[0]})
			}
		}
	}
	if len(b.Mistakes) == before {
		_, at := b.forest.find(pathIn(whole.Error())...)
		if at.File == "" {
			at = b.Origins[""]
		}
		b.Refuse(at, said(whole), listed)
	}
}

// entry looks at one service, volume, network or config.
func (b *blame) entry(ctx context.Context, entries *yaml.Node, path []*yaml.Node) {
	_, entry := child(entries, path[1].Value)
	if entry.Kind != yaml.MappingNode {
		b.value(ctx, entries, path)
		return
	}
	for _, field := range pairs(entry) {
		if field[0].Value != "extends" {
			b.value(ctx, entry, append(path[:2:2], field[0]))
		}
	}
}

// value loads what parent holds at the end of path until nothing in it is
// wrong any more, or it is taken out itself.
func (b *blame) value(ctx context.Context, parent *yaml.Node, path []*yaml.Node) {
	key := path[len(path)-1]
	_, value := child(parent, key.Value)
	for {
		err := b.alone(ctx, path, value)
		if err == nil {
			return
		}
		if b.part(wrapped(path, value), len(path), err) || b.list(ctx, path, value) {
			continue
		}
		b.accuse(key, key.Value, value, err)
		if b.guess(value, err) {
			continue
		}
		remove(parent, key.Value)
		names := make([]string, len(path))
		for i, n := range path {
			names[i] = n.Value
		}
		b.gone[join(names)] = taken{at: b.place(key)}
		return
	}
}

// alone loads one value under its path and nothing else.
func (b *blame) alone(ctx context.Context, path []*yaml.Node, value *yaml.Node) error {
	if b.tries++; b.tries > maxTries || ctx.Err() != nil {
		return nil
	}
	_, err := b.load(ctx, forest{{file: b.forest[b.index].file, root: wrapped(path, value)}})
	return err
}

func wrapped(path []*yaml.Node, value *yaml.Node) *yaml.Node {
	for _, key := range slices.Backward(path) {
		value = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{key, value}}
	}
	return value
}

// part takes out the part that the message names, if that is below depth.
func (b *blame) part(n *yaml.Node, depth int, err error) bool {
	var parent, name *yaml.Node
	deep := 0
	for _, word := range pathIn(err.Error()) {
		key, value := child(n, word)
		if i, e := strconv.Atoi(word); e == nil && n.Kind == yaml.SequenceNode && i >= 0 && i < len(n.Content) {
			key, value = n.Content[i], n.Content[i]
		}
		if key == nil {
			break
		}
		parent, name, n, deep = n, key, value, deep+1
	}
	if deep <= depth {
		return false
	}
	label := name.Value
	if parent.Kind == yaml.SequenceNode {
		label = "this item"
	}
	b.accuse(name, label, n, err)
	switch {
	case b.guess(n, err): // others need it: what lacks it would be wrong, too
	case parent.Kind == yaml.SequenceNode:
		parent.Content = slices.DeleteFunc(parent.Content, func(i *yaml.Node) bool { return i == name })
	default:
		remove(parent, name.Value)
	}
	return true
}

// list takes out the items of a list that are wrong by themselves.
func (b *blame) list(ctx context.Context, path []*yaml.Node, list *yaml.Node) bool {
	none := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	if list.Kind != yaml.SequenceNode || b.alone(ctx, path, none) != nil {
		return false // it should be no list at all
	}
	var good []*yaml.Node
	for _, item := range list.Content {
		err := b.alone(ctx, path, &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{item}})
		if err == nil {
			good = append(good, item)
			continue
		}
		b.accuse(item, path[len(path)-1].Value, item, err)
	}
	some := len(good) < len(list.Content)
	list.Content = good
	return some
}

// accuse says what is wrong with a value, and what would be right.
func (b *blame) accuse(at *yaml.Node, label string, value *yaml.Node, err error) {
	text, remedy := said(err), listed
	written := value.Kind == yaml.ScalarNode && value.Value != "" && len(value.Value) < 80
	if words := choices(text); len(words) > 0 && written {
		text, remedy = fmt.Sprintf("%q is none of its values", value.Value), "use "+source.Either(words)
		if near := problem.Nearest(value.Value, words); near != "" {
			remedy = "did you mean " + near + "?"
		}
	}
	for _, h := range hints {
		if h.about.MatchString(label + ": " + text) {
			remedy = h.remedy
		}
	}
	switch {
	case !written || strings.Contains(text, value.Value):
	case strings.HasPrefix(text, "must be "):
		text += fmt.Sprintf(", and not %q", value.Value)
	default:
		text += fmt.Sprintf(", in %q", value.Value)
	}
	b.Refuse(b.place(at), labelled(label, text), remedy)
}

// guess puts the word that was probably meant in the place of a wrong one.
func (b *blame) guess(value *yaml.Node, err error) bool {
	words := choices(said(err))
	if len(words) == 0 || value.Kind != yaml.ScalarNode || slices.Contains(words, value.Value) {
		return false
	}
	value.Value = cmp.Or(problem.Nearest(value.Value, words), words[0])
	return true
}

// choices are the words that a message of the library offers.
func choices(message string) []string {
	_, list, ok := strings.Cut(message, "must be one of ")
	if !ok {
		return nil
	}
	var words []string
	for _, w := range strings.Split(list, ", ") {
		words = append(words, strings.Trim(w, `'" `))
	}
	return words
}

// hints say how values are written, by what the library says of wrong ones.
var hints = []struct {
	about  *regexp.Regexp
	remedy string
}{
	{regexp.MustCompile(`^(interval|timeout|start_period|start_interval|stop_grace_period|delay|window):`), "write a time with its unit: 30s, 1m30s, 2h"},
	{regexp.MustCompile(`^(mem_limit|mem_reservation|memory|shm_size|size):|invalid s(ize|uffix)`), "write an amount with its unit: 64k, 512m, 2g"},
	{regexp.MustCompile(`^cpus: .*not a number`), "write a number, with a point where it has a fraction: 1.5"},
	{regexp.MustCompile(`^(retries|replicas|scale|pids|pids_limit): .*not a number`), "write a whole number"},
	{regexp.MustCompile(`^ports:`), `write it like "8080:80" or "53:53/udp"; ports are 1 to 65535, and ranges are equally long on both sides`},
	{regexp.MustCompile(`^extra_hosts:`), `write it like "name:192.0.2.1"`},
}

// labelled puts a field's name before a sentence that lacks it.
func labelled(name, text string) string {
	if strings.HasPrefix(text, name+" ") {
		return text
	}
	return name + ": " + text
}

var (
	pathInError   = regexp.MustCompile(`'?\b((?:services|volumes|networks|configs|secrets)[.\[][^\s:'"]+)'?:?\s*`)
	wrapInError   = regexp.MustCompile(`^(validating [^:]*: |.*?failed to cast to expected type: |decoding failed due to the following error\(s\):\s*)`)
	blanksInError = regexp.MustCompile(`\s+`)
)

// pathIn finds the path that a message of the library names. The library gives
// paths in no other form.
func pathIn(message string) []string {
	found := pathInError.FindStringSubmatch(message)
	if found == nil {
		return nil
	}
	return strings.FieldsFunc(found[1], func(c rune) bool { return c == '.' || c == '[' || c == ']' })
}

// said makes one plain sentence of a message of the library, without the path:
// that is shown as the place.
func said(err error) string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) > 0 {
		err = joined.Unwrap()[0]
	}
	var numeric *strconv.NumError
	if errors.As(err, &numeric) {
		return fmt.Sprintf("%q is not a number", numeric.Num)
	}
	text := err.Error()
	if all := pathInError.FindAllStringIndex(text, 2); len(all) == 2 && all[1][0] > 0 && strings.ContainsAny(text[all[0][1]:all[1][0]], "\n") {
		text = text[:all[1][0]] // the next one is told when this one is out
	}
	text = blanksInError.ReplaceAllString(strings.TrimSpace(text), " ")
	text = wrapInError.ReplaceAllString(text, "")
	if short := pathInError.ReplaceAllString(text, ""); short != "" {
		text = short
	}
	return text
}
