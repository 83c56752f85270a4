// Package dialect reads what people write, in whatever language, into projects.
// It runs on the person's own machine: it reads the files that are named, and
// those that they name, and nothing else; it starts nothing and asks nobody.
package dialect

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"havre/internal/dialect/compose"
	"havre/internal/dialect/geard"
	"havre/internal/dialect/normal"
	"havre/internal/dialect/source"
	"havre/internal/problem"
	"havre/internal/secret"
	"havre/internal/spec"
)

// Compose and Geard are the dialects, as Result names them.
const (
	Compose = "compose"
	Geard   = "geard"
)

// maxFile is the most that one file may have. It keeps a wrong -f from eating
// the memory.
const maxFile = 4 << 20

// Request says what to read. Only Files is needed.
type Request struct {
	Files      []string          // paths; "-" is Stdin; several Compose files are merged, the last one wins
	Stdin      []byte            // the content of "-"
	Project    string            // the project's name, in place of the files'
	Dir        string            // what relative paths in the files start from; "" is the first file's directory
	Env        map[string]string // for ${VARIABLES}; a .env file in Dir is read too, and yields to it
	PortOffset int               // added to every external port that is not 0
}

// Build says how an image is made that a project needs.
type Build = source.Build

// Fill says with what a new volume begins.
type Fill = source.Fill

// Result is a project without mistakes.
type Result struct {
	Project spec.Project
	Secrets map[string]secret.Text // what its own secrets hold, by name
	Builds  []Build                // how images are made that are not there yet, by service
	Fills   []Fill                 // with what new volumes begin, those of directories that have something
	Notes   []*problem.Problem     // what the person should know, each with its place
	LeftOut []string               // services of the files of which no profile is chosen
	Dialect string                 // Compose or Geard
	held    map[string]source.Held // where the secrets have what they hold from
}

// Normal writes the project of files as Write does. What only the files know
// is in it: how images are built, and where secrets have their values from.
func (r Result) Normal() (text []byte, beyond []string, err error) {
	w, err := normal.Write(r.Project, normal.Files{Builds: r.Builds, Held: r.held})
	return w.Text, w.Beyond, err
}

// Read reads files into a project.
// Errors: a problem.List of Invalid and NotFound with all mistakes, each with
// its place and remedy; the context's error when it is done.
func Read(ctx context.Context, q Request) (Result, error) {
	texts, err := load(q)
	if err != nil {
		return Result{}, err
	}
	var r *source.Reading
	result := Result{Dialect: Compose}
	switch at := slices.IndexFunc(texts, func(t source.Text) bool { return geard.Looks(t.Content) }); {
	case at >= 0 && len(texts) > 1:
		return Result{}, single(texts[at].Name)
	case at >= 0:
		result.Dialect = Geard
		r = geard.Read(texts[0], geard.ProjectName(texts[0].Name))
		if texts[0].Name == stdin && q.Project == "" {
			r.Refuse(problem.Place{File: stdin}, "a deployment from standard input has no name", "give the project a name")
			r.Project.Name = "unnamed"
		}
	default:
		r = compose.Read(ctx, compose.Request{Texts: texts, Dir: q.Dir, Project: q.Project, Env: q.Env})
	}
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if q.Project != "" {
		r.Project.Name = q.Project
		r.Origins["name"] = problem.Place{}
	}
	finish(r, q.PortOffset)
	result.Notes = source.Tidy(r.Notes)
	if len(r.Mistakes) > 0 {
		return Result{Notes: result.Notes, Dialect: result.Dialect}, source.Tidy(r.Mistakes)
	}
	result.Project, result.Secrets, result.Builds, result.Fills = r.Project, r.Secrets, r.Builds, r.Fills
	result.LeftOut, result.held = r.LeftOut, r.Held
	return result, nil
}

// Write writes a project as Compose with x-havre, in its normal form: what
// Read makes of the text is the project again. beyond says what plain Compose
// has no words for.
func Write(p spec.Project) (text []byte, beyond []string, err error) {
	w, err := normal.Write(p, normal.Files{})
	return w.Text, w.Beyond, err
}

// stdin stands for standard input among the files.
const stdin = "-"

func single(file string) error {
	return problem.List{problem.New(problem.Invalid, "a deployment JSON cannot be merged with other files").
		With("apply it alone").At(problem.Place{File: file})}
}

func load(q Request) ([]source.Text, error) {
	var texts []source.Text
	var wrong problem.List
	for _, name := range q.Files {
		content, err := q.Stdin, error(nil)
		if name != stdin {
			content, err = read(name)
		}
		if err != nil {
			kind := problem.Invalid
			if os.IsNotExist(err) {
				kind = problem.NotFound
			}
			wrong = append(wrong, problem.New(kind, "cannot read the file: %s", reason(err)).
				With("name a readable file of at most %d bytes with -f", maxFile).At(problem.Place{File: name}))
			continue
		}
		texts = append(texts, source.Text{Name: name, Content: bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))})
	}
	if len(q.Files) == 0 {
		wrong = append(wrong, problem.New(problem.Invalid, "no file is named").With("name one with -f"))
	}
	return texts, wrong.AsError()
}

func reason(err error) string {
	if p, ok := err.(*os.PathError); ok {
		return p.Err.Error()
	}
	return err.Error()
}

func read(name string) ([]byte, error) {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return content, err
}

// finish does what all dialects need: moved ports, order, and the mistakes
// that only show in the whole.
func finish(r *source.Reading, offset int) {
	shift(r, offset)
	slices.SortStableFunc(r.Project.Services, func(a, b spec.Service) int { return strings.Compare(a.Name, b.Name) })
	slices.SortStableFunc(r.Project.Files, func(a, b spec.File) int { return strings.Compare(a.Name, b.Name) })
	for _, s := range r.Project.Services {
		order(r.Origins, "services."+s.Name+".mounts", s.Mounts, func(m spec.Mount) string { return m.Target })
		order(r.Origins, "services."+s.Name+".needs", s.Needs, func(n spec.Need) string { return n.Service })
	}
	slices.SortFunc(r.Project.Secrets, func(a, b spec.Secret) int { return strings.Compare(a.Name, b.Name) })
	for _, m := range spec.Validate(r.Project) {
		m.Problem.Where = r.Origins.Find(m.Path)
		r.Mistakes = append(r.Mistakes, m.Problem)
	}
}

// order sorts what the language writes in several places, so that one project
// has one form, and keeps the origins beside it.
func order[T any](origins source.Origins, field string, list []T, by func(T) string) {
	at := func(i int) string { return fmt.Sprintf("%s[%d]", field, i) }
	was := make([]int, len(list))
	places := make([]problem.Place, len(list))
	for i := range list {
		was[i], places[i] = i, origins.Find(at(i))
	}
	before := slices.Clone(list)
	slices.SortStableFunc(was, func(a, b int) int { return strings.Compare(by(before[a]), by(before[b])) })
	for now, i := range was {
		list[now], origins[at(now)] = before[i], places[i]
	}
}

// shift adds offset to the external ports.
func shift(r *source.Reading, offset int) {
	if offset == 0 {
		return
	}
	for _, s := range r.Project.Services {
		for i := range s.Ports {
			p := &s.Ports[i]
			moved := int(p.External) + offset
			switch {
			case p.External == 0:
			case moved < 1 || moved > math.MaxUint16:
				r.Refuse(r.Origins.Find(fmt.Sprintf("services.%s.ports[%d]", s.Name, i)),
					fmt.Sprintf("port %d moved by %d is %d", p.External, offset, moved), "choose an offset that keeps it in 1 to 65535")
			default:
				p.External = uint16(moved)
			}
		}
	}
}
