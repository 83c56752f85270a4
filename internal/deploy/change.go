package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/spec"
)

// Outcome is what a declaration leads to: the plan to show, and the record to
// keep if it is carried out.
type Outcome struct {
	Plan   api.Plan
	Record project.Record
	Same   bool // the record is as it was

	pulls []string // images that are pulled first, so that what they will be is not known yet
}

// settled tells whether there is nothing to fetch and nothing to remember.
func (o Outcome) settled() bool { return o.Same && len(o.pulls) == 0 && len(o.Plan.Unbuilt) == 0 }

// Declare compares a declaration with what is remembered. It looks at nothing
// but its arguments; old is the zero Record for a new project.
// Errors: problem.List of Conflict and Invalid problems.
func Declare(old project.Record, want spec.Project, found Found, now time.Time) (Outcome, error) {
	services := make([]spec.Service, 0, len(want.Services))
	for _, s := range want.Services {
		services = append(services, complete(s, found.Images[s.Name]))
	}
	name(services)
	keepPorts(services, old, found.Taken)
	wrong := givePorts(services, found.Taken)
	for _, s := range services {
		if p := s.Crowds(); p != nil { // its image may have volumes, too
			wrong = append(wrong, p)
		}
	}
	full := want
	full.Services = services
	wrong = append(wrong, nestedVolumes(services)...)
	wrong = append(wrong, project.ClashingHosts(old, services, found.Hosts, found.Suffix)...)
	if len(wrong) > 0 {
		return Outcome{}, wrong
	}
	return declaration{want, full, found, now}.outcome(old), nil
}

// declaration is what a person wants, as written and with everything filled in.
type declaration struct {
	want, full spec.Project
	found      Found
	now        time.Time
}

// name gives the target of a link the names by which its sources call it.
func name(services []spec.Service) {
	for _, s := range services {
		for _, l := range s.Links {
			i := slices.IndexFunc(services, func(t spec.Service) bool { return t.Name == l.To })
			if i >= 0 && l.Alias != "" && l.Alias != l.To && !slices.Contains(services[i].Aliases, l.Alias) {
				services[i].Aliases = append(slices.Clone(services[i].Aliases), l.Alias)
			}
		}
	}
}

func (d declaration) outcome(old project.Record) Outcome {
	r := old
	r.Name, r.Declared, r.Removed, r.Links = d.want.Name, d.want, false, d.found.Links
	r.Services = slices.Clone(old.Services)
	plan := api.Plan{Environment: r.Environment, Project: r.Name}
	order, _ := spec.StartOrder(d.want)
	for _, n := range order {
		s, _ := d.full.Service(n)
		declared, _ := d.want.Service(n)
		// Variables of links are part of how a container runs.
		s.Environment = fromList(variables(d.full, s, d.found.Linked))
		next := project.Rollout{State: project.Pending, Spec: s, Files: filesOf(d.want, s), Secrets: secretsOf(d.want, s, d.found.Secrets), Image: d.found.Images[n], Created: d.now, Declared: &declared}
		next.Digest = service.Digest(s, next.Image.ID, next.Files, next.Secrets)
		c := take(&r, n, next, old.Removed)
		plan.Changes, plan.Notes = append(plan.Changes, c), slices.Concat(plan.Notes, sharing(c, s), unheard(c, s), blind(c, r.Service(n), &next))
	}
	for i := range r.Services {
		s := &r.Services[i]
		if _, still := d.want.Service(s.Name); !still && !s.Removed {
			plan.Changes = append(plan.Changes, api.Change{Verb: "remove", Service: s.Name, Why: []string{"it is no longer declared"}})
			s.Removed = true
		}
	}
	slices.SortFunc(r.Services, func(a, b project.Service) int { return strings.Compare(a.Name, b.Name) })
	return Outcome{Plan: plan, Record: r, Same: plan.Nothing() && sameJSON(old, r)}
}

// take puts one declared service into the record and says what changes.
func take(r *project.Record, name string, next project.Rollout, gone bool) api.Change {
	c := api.Change{Service: name, Ports: project.PortWords(next.Spec)}
	s := r.Service(name)
	if s == nil {
		r.Services = append(r.Services, project.Service{ID: spec.ServiceID(project.NewID()), Name: name})
		s = &r.Services[len(r.Services)-1]
	}
	s.Rollouts = slices.Clone(s.Rollouts)
	had := s.Rollout(s.Target)
	fresh := had == nil || s.Removed || gone
	switch {
	case !fresh && had.Digest == next.Digest && had.State != project.Failed:
		c.Verb, c.Rollout, c.Why = sameContainers(had.Spec, next.Spec), had.Number, Differences(had.Spec, next.Spec)
		if c.Verb == "scale" {
			had.Again(next.Created)
		}
		had.Spec, had.Declared = next.Spec, next.Declared
		s.Forgive()
		return c
	case fresh:
		c.Verb = "create"
		s.Active, s.Stopped, s.Removed = 0, false, false
	default:
		c.Verb, c.Why = "update", changes(had, &next)
		if len(c.Why) == 0 {
			c.Why = []string{"the rollout before it failed"}
		}
		c.Because = stopsFirst(s.Rollout(s.Active), &next)
		c.Stops = c.Because != ""
	}
	had.Overtake()
	c.Volumes = volumesOf(next.Spec)
	if !fresh {
		there := volumesOf(had.Spec)
		c.Volumes = slices.DeleteFunc(c.Volumes, func(name string) bool { return slices.Contains(there, name) })
	}
	next.Number = s.Last() + 1
	c.Rollout = next.Number
	s.Target = next.Number
	s.Add(next)
	return c
}

// stopsFirst says why the rollout that serves has to stop before next starts;
// "" when both may run at once, or none serves.
func stopsFirst(serves, next *project.Rollout) string {
	switch {
	case serves == nil || !serves.Spec.Excludes(next.Spec):
		return ""
	case serves.Spec.WritesData() && next.Spec.WritesData():
		return "both write to a volume"
	case next.Spec.Order == spec.StopFirst:
		return "update_config.order says so"
	}
	return fmt.Sprintf("update_config.order of r%d said so", serves.Number)
}

// unheard tells who asks for start-first that it cannot be: a file's own volumes
// are known where it is read, those of an image only here.
func unheard(c api.Change, s spec.Service) []problem.Problem {
	if c.Verb == "keep" || s.Order != spec.StartFirst || !s.WritesData() {
		return nil
	}
	p := problem.New(problem.Invalid, "%s asks for order: start-first and writes to volumes (%s), so an update stops the old one first; connections are held meanwhile", s.Name, strings.Join(volumesOf(s), ", ")).
		With("mount them read-only where the service only reads, or take the order out")
	return []problem.Problem{*p}
}

func sameContainers(had, next spec.Service) string {
	switch {
	case had.Replicas != next.Replicas:
		return "scale"
	case len(Differences(had, next)) > 0:
		return "route"
	}
	return "keep"
}

func sameFile(a, b spec.File) bool {
	return a.Name == b.Name && a.Mode == b.Mode && slices.Equal(a.Content, b.Content)
}

func imageChange(had, next service.Image) []string {
	if had.ID == next.ID {
		return nil
	}
	return []string{"image content"}
}

// Differences names the fields that differ, in the declaration's words.
func Differences(had, next spec.Service) []string {
	var fields []string
	a, b := reflect.ValueOf(had), reflect.ValueOf(next)
	for i := range a.NumField() {
		if !same(a.Field(i), b.Field(i)) {
			tag, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
			fields = append(fields, tag)
		}
	}
	return fields
}

// same takes nil and empty for one, as records that were stored do.
func same(a, b reflect.Value) bool {
	if k := a.Kind(); (k == reflect.Slice || k == reflect.Map) && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return sameJSON(a.Interface(), b.Interface())
}

func sameJSON(a, b any) bool {
	x, err := json.Marshal(a)
	if err != nil {
		panic(fmt.Sprintf("what is remembered is always JSON: %v", err)) // only types of ours, all marshallable
	}
	y, err := json.Marshal(b)
	return err == nil && bytes.Equal(x, y)
}

func filesOf(p spec.Project, s spec.Service) []spec.File {
	var files []spec.File
	for _, m := range s.Mounts {
		if f, ok := p.File(m.Source); ok && m.Kind == spec.Config {
			files = append(files, f)
		}
	}
	return files
}

func volumesOf(s spec.Service) []string {
	var names []string
	for _, m := range s.Mounts {
		if m.Kind == spec.Volume {
			names = append(names, m.Source)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func fromList(list []string) map[string]string {
	m := map[string]string{}
	for _, v := range list {
		name, value, _ := strings.Cut(v, "=")
		m[name] = value
	}
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}
