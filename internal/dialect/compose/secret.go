package compose

import (
	"fmt"
	"io"
	"path"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"

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
		r.Refuse(at, fmt.Sprintf("secret %s is not declared", s.Source), "add it at the top of the file, below secrets:")
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
		return r.uploads.secret(at, s.File)
	case s.Environment != "":
		value, ok := r.vars[s.Environment]
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
func (u *uploads) secret(at problem.Place, source string) (secret.Text, bool) {
	f, ok := u.open(at, source)
	if !ok {
		return secret.Text{}, false
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, spec.MaxSecret+1))
	if err != nil {
		u.Refuse(at, fmt.Sprintf("%s cannot be read: %s", source, reason(err)), "name a readable file")
		return secret.Text{}, false
	}
	if u.passed(at, 0, len(content)) {
		return secret.Text{}, false
	}
	u.size += len(content)
	return secret.New(string(content)), true
}
