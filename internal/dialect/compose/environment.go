package compose

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"

	"havre/internal/dialect/source"
	"havre/internal/problem"
	"havre/internal/spec"
)

// variables are a service's own: those of its env_files, then environment. One
// without a value takes the caller's, or is left out.
func (r *reader) variables(name string, s types.ServiceConfig) map[string]string {
	env := map[string]string{}
	lookup := func(v string) (string, bool) {
		if value, ok := r.vars[v]; ok {
			return value, true
		}
		if value := s.Environment[v]; value != nil {
			return *value, true
		}
		return "", false
	}
	places := r.items(name, "env_file", itselfOr("path"))
	for _, f := range s.EnvFiles {
		r.envFile(places.at(f.Path), f, env, lookup)
	}
	places = r.items(name, "environment", itself)
	for v, value := range s.Environment {
		if value != nil {
			env[v] = *value
			continue
		}
		delete(env, v)
		if given, ok := r.vars[v]; ok {
			env[v] = given
			continue
		}
		r.Warn(places.at(v), "variable "+v+" has no value and is left out", "set it in the environment or in .env, or give it a value")
	}
	if len(env) == 0 {
		return nil
	}
	return env
}

// envFile adds the variables of one file, or labels, when there is no lookup.
func (r *reader) envFile(at problem.Place, f types.EnvFile, env map[string]string, lookup dotenv.LookupFn) {
	field := "env_file"
	if lookup == nil {
		field, lookup = "label_file", func(string) (string, bool) { return "", false }
	}
	const remedy = "name a file with one NAME=value on each line"
	path := f.Path
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	info, err := os.Stat(path)
	switch {
	case os.IsNotExist(err) && !bool(f.Required):
		return
	case err != nil:
		r.Refuse(at, fmt.Sprintf("%s %s cannot be read: %s", field, f.Path, reason(err)), remedy)
		return
	case !info.Mode().IsRegular() || info.Size() > spec.MaxFile:
		r.Refuse(at, fmt.Sprintf("%s %s is no file of at most %d bytes", field, f.Path, spec.MaxFile), remedy)
		return
	}
	content, err := os.ReadFile(path)
	if err != nil {
		r.Refuse(at, fmt.Sprintf("%s %s cannot be read: %s", field, f.Path, reason(err)), remedy)
		return
	}
	if err := assign(r.Reading, source.Text{Name: path, Content: content}, env, lookup); err != nil {
		r.Refuse(at, fmt.Sprintf("%s %s cannot be read: %s", field, f.Path, plain(err, path)), remedy)
	}
}

// quiet keeps the library from writing to the standard error stream by itself:
// what it would say there is said in the person's own places.
var quiet = sync.OnceFunc(func() { logrus.SetOutput(io.Discard) })

// reason is why the system refused, without the path.
func reason(err error) string {
	if p, ok := err.(*os.PathError); ok {
		return p.Err.Error()
	}
	return err.Error()
}
