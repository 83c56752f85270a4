package compose

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"havre/internal/dialect/source"
	"havre/internal/problem"
	"havre/internal/secret"
	"havre/internal/spec"
)

// inMemory is where secrets are unless the person says otherwise.
const inMemory = "/run/secrets"

// secret mounts one of secrets: as a file in memory.
func (r *reader) secret(at problem.Place, s types.ServiceSecretConfig) []spec.Mount {
	declared, _ := r.forest.find("secrets", s.Source)
	if declared == nil {
		r.Refuse(at, fmt.Sprintf("secret %s is not declared", s.Source), r.meant("secrets", s.Source, "add it at the top of the file, below secrets:"))
		return nil
	}
	if !r.declare(s.Source, r.project.Secrets[s.Source]) {
		return nil
	}
	m := spec.Mount{Kind: spec.SecretFile, Source: s.Source, Target: s.Target, ReadOnly: true}
	if m.Target == "" {
		m.Target = s.Source
	}
	if !path.IsAbs(m.Target) {
		m.Target = path.Join(inMemory, m.Target)
	}
	if s.Mode != nil {
		m.Mode = uint32(*s.Mode) & 0o7777
	}
	m.UID, m.GID = r.number(at, "uid", s.UID), r.number(at, "gid", s.GID)
	return []spec.Mount{m}
}

// number reads a user's or group's number.
func (r *reader) number(at problem.Place, field, text string) uint32 {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		r.Refuse(at, fmt.Sprintf("%s %q is no number", field, text), "write the number; names are known only inside the image")
	}
	return uint32(n)
}

// declare takes a secret into the project once, with what it holds.
func (r *reader) declare(name string, s types.SecretConfig) bool {
	if _, done := r.Project.Secret(name); done {
		return true
	}
	_, at := r.forest.find("secrets", name)
	r.Origins["secrets."+name] = at
	own := spec.Secret{Name: name}
	switch {
	case bool(s.External):
		if own.External = s.Name; own.External == "" {
			own.External = name
		}
		r.Project.Secrets = append(r.Project.Secrets, own)
		return true
	case s.Name != "":
		_, where := r.forest.find("secrets", name, "name")
		r.Warn(where, "name has no effect: a secret is known by its project and its key here", leaveOut)
	}
	value, ok := r.secretValue(at, name, s)
	if !ok {
		return false
	}
	if n := len(value.Reveal()); n < 1 || n > spec.MaxSecret {
		r.Refuse(at, fmt.Sprintf("secret %s has %d bytes", name, n), fmt.Sprintf("give it 1 to %d bytes", spec.MaxSecret))
		return false
	}
	r.Project.Secrets = append(r.Project.Secrets, own)
	r.Secrets[name] = value
	return true
}

// secretValue is what a secret of the file holds.
func (r *reader) secretValue(at problem.Place, name string, s types.SecretConfig) (secret.Text, bool) {
	switch {
	case s.File != "" && s.Environment != "":
		r.Refuse(at, fmt.Sprintf("secret %s has both file: and environment:", name), "keep one of them")
		return secret.Text{}, false
	case s.File != "":
		_, at = r.forest.find("secrets", name, "file")
		r.Held[name] = source.Held{File: r.path(s.File)}
		return r.uploads.secret(at, s.File)
	case s.Environment != "":
		value, ok := r.vars[s.Environment]
		r.Held[name] = source.Held{Variable: s.Environment}
		if !ok {
			_, at = r.forest.find("secrets", name, "environment")
			r.Refuse(at, fmt.Sprintf("secret %s takes variable %s, which is not set", name, s.Environment), "set it in the environment or in .env")
		}
		return secret.New(value), ok
	}
	r.Refuse(at, fmt.Sprintf("secret %s has no content", name), "give it file: or environment:, or make it external: true and run havre secret create "+name)
	return secret.Text{}, false
}

// secret reads one file, byte for byte. More than a secret may have is not
// read, but counted.
func (u *uploads) secret(at problem.Place, file string) (secret.Text, bool) {
	f, ok := u.open(at, file)
	if !ok {
		return secret.Text{}, false
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, spec.MaxSecret+1))
	if err != nil {
		u.Refuse(at, fmt.Sprintf("%s cannot be read: %s", file, reason(err)), "name a readable file")
		return secret.Text{}, false
	}
	if u.passed(at, 0, len(content)) {
		return secret.Text{}, false
	}
	u.size += len(content)
	return secret.New(string(content)), true
}

// holders are the fields that say what a secret or config holds, with what is
// said of one that has none.
var holders = []struct {
	section, noun string
	fields        []string
	remedy        string
}{
	{"secrets", "secret", []string{"file", "environment", "external"}, "give it file: or environment:, or make it external: true and run havre secret create %s"},
	{"configs", "config", []string{"file", "environment", "content", "external"}, "give %s file:, content: or environment:"},
}

// hold looks whether each secret and each config holds one thing. The library
// would stop at the first that does not, whichever that is. What was told of
// is mended, so that the rest is read.
func (c *checker) hold() {
	for _, h := range holders {
		for _, name := range c.forest.names(h.section) {
			given, odd := c.given(h.section, name, h.fields)
			_, at := c.forest.find(h.section, name)
			switch {
			case len(given) > 1:
				c.both(h.noun, name, given)
			case len(given) == 0 && !odd:
				c.Refuse(at, fmt.Sprintf("%s %s has no content", h.noun, name), fmt.Sprintf(h.remedy, name))
				c.stand(h.section, name)
			}
		}
	}
}

// names are those of a section, in the order of the files.
func (f forest) names(section string) []string {
	var all []string
	for _, t := range f {
		_, n := child(t.root, section)
		if n == nil || n.Kind != yaml.MappingNode {
			continue
		}
		for _, p := range pairs(n) {
			if !strings.HasPrefix(p[0].Value, "x-") && !slices.Contains(all, p[0].Value) {
				all = append(all, p[0].Value)
			}
		}
	}
	return all
}

// holder is a field that says what something holds.
type holder struct {
	parent *yaml.Node
	field  string
	at     problem.Place
}

// given finds those that a secret or config has; odd tells of others, which
// may be misspelt or are refused by themselves.
func (c *checker) given(section, name string, fields []string) (found []holder, odd bool) {
	plain := []string{"name", "labels", extension}
	for _, t := range c.forest {
		_, n := child(t.root, section)
		if _, n = child(n, name); n == nil {
			continue
		}
		odd = odd || n.Kind != yaml.MappingNode && n.Tag != "!!null"
		for _, p := range pairs(n) {
			field := p[0].Value
			switch {
			case p[1].Tag == "!!null", field == "external" && p[1].Value == "false", strings.HasPrefix(field, "x-"):
			case slices.Contains(fields, field):
				if !slices.ContainsFunc(found, func(h holder) bool { return h.field == field }) {
					found = append(found, holder{n, field, problem.Place{File: t.file, Line: p[0].Line, Column: p[0].Column}})
				}
			case !slices.Contains(plain, field):
				odd = true
			}
		}
	}
	return found, odd
}

// both refuses all but the first, and takes them out.
func (c *checker) both(noun, name string, given []holder) {
	for _, h := range given[1:] {
		c.Refuse(h.at, fmt.Sprintf("%s %s has both %s: and %s:", noun, name, given[0].field, h.field), "keep one of them")
		remove(h.parent, h.field)
	}
}

// stand puts something harmless in the place of what a thing should hold.
func (c *checker) stand(section, name string) {
	field, value := "external", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"}
	if section == "configs" {
		field, value = "content", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "-"}
	}
	all := c.forest.all(section, name)
	if len(all) == 0 {
		return
	}
	root := all[0].root
	if root.Kind != yaml.MappingNode {
		root.Kind, root.Tag, root.Value = yaml.MappingNode, "!!map", ""
	}
	remove(root, field)
	root.Content = append(root.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: field}, value)
}
