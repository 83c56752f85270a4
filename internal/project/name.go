package project

import (
	"strings"

	"havre/internal/problem"
)

// Ref is a service, or a whole project when Service is nil.
type Ref struct {
	Record  *Record
	Service *Service
}

// String is the full name: environment.project.service.
func (r Ref) String() string {
	s := r.Record.Environment + "." + r.Record.Name
	if r.Service != nil {
		s += "." + r.Service.Name
	}
	return s
}

// FindService finds the one service that name means: "service",
// "project.service" or "environment.project.service".
// Errors: NotFound; Conflict when it could mean several.
func FindService(records []Record, name string) (Ref, error) {
	parts := strings.Split(name, ".")
	var hits []Ref
	for i := range records {
		for _, s := range records[i].Present() {
			full := []string{records[i].Environment, records[i].Name, s.Name}
			if len(parts) <= 3 && endsWith(full, parts) {
				hits = append(hits, Ref{&records[i], s})
			}
		}
	}
	ref, err := one(hits, "service", name)
	if len(hits) == 0 {
		err = astray(records, name, err)
	}
	return ref, err
}

// astray helps who named no service: with the project of that name, or with
// the service that was probably meant.
func astray(records []Record, name string, err error) error {
	p := problem.Of(err)
	if ref, e := FindProject(records, name); e == nil {
		return p.With("%s is a project; all of it is %s/", ref, ref.Record.Name)
	}
	var known []string
	for i := range records {
		for _, s := range records[i].Present() {
			known = append(known, s.Name, records[i].Name+"."+s.Name, Ref{&records[i], s}.String())
		}
	}
	if near := problem.Nearest(name, known); near != "" {
		return p.With("did you mean %s? See what there is with: havre ps", near)
	}
	return err
}

// FindProject finds the one project that name means: "project" or
// "environment.project".
// Errors: NotFound; Conflict when it could mean several.
func FindProject(records []Record, name string) (Ref, error) {
	var hits []Ref
	for i, r := range records {
		if !r.Removed && r.Called(strings.TrimSuffix(name, "/")) {
			hits = append(hits, Ref{Record: &records[i]})
		}
	}
	return one(hits, "project", name)
}

// Called tells whether name, "project" or "environment.project", can mean r.
func (r *Record) Called(name string) bool {
	parts := strings.Split(name, ".")
	return len(parts) <= 2 && endsWith([]string{r.Environment, r.Name}, parts)
}

func endsWith(full, parts []string) bool {
	tail := full[len(full)-len(parts):]
	for i := range parts {
		if !strings.EqualFold(tail[i], parts[i]) {
			return false
		}
	}
	return true
}

func one(hits []Ref, what, name string) (Ref, error) {
	switch len(hits) {
	case 1:
		return hits[0], nil
	case 0:
		return Ref{}, problem.New(problem.NotFound, "no %s is named %s", what, name).With("list what there is with: havre ps")
	}
	var names []string
	for _, h := range hits {
		names = append(names, h.String())
	}
	return Ref{}, problem.New(problem.Conflict, "%s could mean %s", name, strings.Join(names, " or ")).With("write more of the name, as %s", names[0])
}
