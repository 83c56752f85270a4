package normal

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"havre/internal/spec"
)

func secretMount(m spec.Mount) *yaml.Node {
	one := mapping{}
	one.put("source", text(m.Source))
	if m.Target != path.Join(inMemory, m.Source) {
		one.put("target", text(m.Target))
	}
	one.put("uid", owner(m.UID))
	one.put("gid", owner(m.GID))
	if m.Mode != 0 {
		one.put("mode", octal(m.Mode))
	}
	return one.node()
}

// owner is a user's or group's number, if it is not root's.
func owner(id uint32) *yaml.Node {
	if id == 0 {
		return nil
	}
	return text(strconv.FormatUint(uint64(id), 10))
}

// secrets declares the secrets. What the project's own hold is never written:
// each takes a variable that whoever applies the file has to set.
func (w *writer) secrets() *yaml.Node {
	all, taken := mapping{}, map[string]bool{}
	for _, s := range w.project.Secrets {
		one := mapping{}
		switch {
		case w.files.Held[s.Name].File != "":
			one.put("file", text(w.files.Held[s.Name].File))
		case w.files.Held[s.Name].Variable != "":
			one.put("environment", text(w.files.Held[s.Name].Variable))
		case s.External == "":
			name := variableOf(s.Name, taken)
			one.put("environment", text(name))
			w.lost("what the secret %s holds is not written: set the variable %s to it when the file is applied", s.Name, name)
		case s.External != s.Name:
			one.put("external", yes(true))
			one.put("name", text(s.External))
		default:
			one.put("external", yes(true))
		}
		all.put(s.Name, one.node())
	}
	return all.some()
}

var notInVariables = regexp.MustCompile(`[^A-Z0-9_]`)

// variableOf names a variable after a secret: DB_PASSWORD after db.password.
func variableOf(secret string, taken map[string]bool) string {
	base := notInVariables.ReplaceAllString(strings.ToUpper(secret), "_")
	name := base
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s_%d", base, n)
	}
	taken[name] = true
	return name
}
