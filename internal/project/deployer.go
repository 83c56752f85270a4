package project

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/service"
	"havre/internal/spec"
)

// Records remembers projects.
type Records interface {
	Projects(ctx context.Context) ([]Record, error)
	SaveProject(ctx context.Context, r Record) error
	ForgetProject(ctx context.Context, id spec.ProjectID) error
}

// Images finds images by name.
type Images interface {
	// Errors: NotFound when the environment has no such image.
	Image(ctx context.Context, environment, name string) (service.Image, error)
}

// Loop makes what was recorded come true.
type Loop interface {
	Poke()
	View() View
	Outside() Outside
}

// Machine is what the machine itself has.
type Machine interface {
	Routes() ([]netip.Prefix, error)           // networks it already reaches
	Holder(ctx context.Context, port Port) (who string, taken bool) // a program that is not ours and has the port
	LastLines(ctx context.Context, container string, n int) ([]string, error)
}

// Volumes lists and removes kept data.
type Volumes interface {
	Volumes(ctx context.Context, environment string, p spec.ProjectID) ([]string, error)
	RemoveVolume(ctx context.Context, environment string, p spec.ProjectID, name string) error
}

// Deployer answers what people ask of projects.
type Deployer struct {
	Records      Records
	Images       Images
	Loop         Loop
	Machine      Machine
	Volumes      Volumes
	Environments []string     // those that there are
	Pool         netip.Prefix // of projects' networks
}

// Plan says what Apply would do, and changes nothing.
// Errors: problem.List of Invalid, NotFound and Conflict problems.
func (d *Deployer) Plan(ctx context.Context, want api.Apply) (api.Plan, error) {
	o, err := d.declare(ctx, want)
	return o.Plan, err
}

// Apply remembers the declaration, and reports until it came true or failed.
// What it has reported as its plan is remembered even if nobody listens on.
// Errors: as Plan; Failed with the reason when a service did not get healthy.
func (d *Deployer) Apply(ctx context.Context, want api.Apply, report func(api.Progress)) error {
	var o Outcome
	var err error
	for range 5 { // the loop may write between our reading and saving
		if o, err = d.declare(ctx, want); err != nil {
			return err
		}
		if o.Plan.Nothing() {
			break
		}
		if err = d.Records.SaveProject(ctx, o.Record); problem.KindOf(err) != problem.Busy {
			break
		}
	}
	if err != nil {
		return err
	}
	report(api.Progress{Plan: &o.Plan})
	d.Loop.Poke()
	return d.follow(ctx, o.Record.ID, report)
}

func (d *Deployer) declare(ctx context.Context, want api.Apply) (Outcome, error) {
	if want.Environment == "" {
		want.Environment = spec.DefaultEnvironment
	}
	if !slices.Contains(d.Environments, want.Environment) {
		return Outcome{}, problem.New(problem.NotFound, "no environment is named %s", want.Environment).With("use one of: %s", strings.Join(d.Environments, ", "))
	}
	if wrong := mistakes(want.Project); len(wrong) > 0 {
		return Outcome{}, wrong
	}
	records, err := d.Records.Projects(ctx)
	if err != nil {
		return Outcome{}, err
	}
	old, err := d.former(records, want)
	if err != nil {
		return Outcome{}, err
	}
	found := Found{Images: map[string]service.Image{}, Taken: Ports(records, old.ID), Hosts: Hosts(records, old.ID)}
	var wrong problem.List
	for _, s := range want.Project.Services {
		img, err := d.Images.Image(ctx, want.Environment, s.Image)
		if err != nil && problem.KindOf(err) != problem.NotFound {
			return Outcome{}, err
		}
		if err != nil {
			wrong = append(wrong, problem.Of(fmt.Errorf("service %s: %w", s.Name, err)))
		}
		found.Images[s.Name] = img
	}
	wrong = append(wrong, d.held(ctx, old, want.Project)...)
	if len(wrong) > 0 {
		return Outcome{}, wrong
	}
	return Declare(old, want.Project, found, time.Now().UTC())
}

func mistakes(p spec.Project) problem.List {
	var wrong problem.List
	for _, m := range spec.Validate(p) {
		wrong = append(wrong, m.Problem)
	}
	for _, s := range p.Services {
		for _, port := range s.Ports {
			if port.Protocol == spec.UDP {
				wrong = append(wrong, problem.New(problem.Invalid, "service %s publishes port %d/udp, and only TCP ports can be published so far", s.Name, port.Internal).With("take the port out; UDP comes with a later release"))
			}
		}
	}
	return wrong
}

// former finds the project's record, or begins one.
func (d *Deployer) former(records []Record, want api.Apply) (Record, error) {
	for _, r := range records {
		if r.Environment == want.Environment && strings.EqualFold(r.Name, want.Project.Name) {
			return r, nil
		}
	}
	used, err := d.Machine.Routes()
	if err != nil {
		return Record{}, err
	}
	for _, r := range records {
		if p, err := netip.ParsePrefix(r.Subnet); err == nil {
			used = append(used, p)
		}
	}
	subnet, err := Subnet(d.Pool, used)
	if err != nil {
		return Record{}, err
	}
	return Record{ID: spec.ProjectID(NewID()), Environment: want.Environment, Name: want.Project.Name, Subnet: subnet.String()}, nil
}

// held finds ports that are new to the project and that some other program has.
func (d *Deployer) held(ctx context.Context, old Record, p spec.Project) problem.List {
	ours := Ports([]Record{old}, "")
	var wrong problem.List
	for _, s := range p.Services {
		for _, want := range s.Ports {
			port := Port{want.External, want.Protocol}
			if _, mine := ours[port]; mine || want.External == 0 {
				continue
			}
			if who, taken := d.Machine.Holder(ctx, port); taken {
				wrong = append(wrong, problem.New(problem.Conflict, "port %d/%s, which %s wants, is taken by %s", port.Number, port.Protocol, s.Name, who).
					With("end that program, choose another port, or shift them all with: havre apply --port-offset 10000"))
			}
		}
	}
	return wrong
}

// step is how often follow looks.
const step = 200 * time.Millisecond

// follow reports how a project's services fare until all are settled.
// Errors: Failed, one problem per service that did not get there.
func (d *Deployer) follow(ctx context.Context, id spec.ProjectID, report func(api.Progress)) error {
	told := map[string]api.Step{}
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		r, err := d.record(ctx, id)
		if err != nil {
			return err
		}
		done, wrong := d.progress(ctx, r, told, report)
		if done {
			return wrong.AsError()
		}
		select {
		case <-ctx.Done():
			return problem.New(problem.Unavailable, "the server stops; the deploy goes on when it is back").With("look with: havre ps")
		case <-tick.C:
		}
	}
}

func (d *Deployer) record(ctx context.Context, id spec.ProjectID) (Record, error) {
	records, err := d.Records.Projects(ctx)
	if err != nil {
		return Record{}, err
	}
	i := slices.IndexFunc(records, func(r Record) bool { return r.ID == id })
	if i < 0 {
		return Record{}, problem.New(problem.Conflict, "the project was removed meanwhile").With("apply it again")
	}
	return records[i], nil
}

// progress reports what changed since told, and whether all is settled.
func (d *Deployer) progress(ctx context.Context, r Record, told map[string]api.Step, report func(api.Progress)) (bool, problem.List) {
	view, out := d.Loop.View(), d.Loop.Outside()
	all := true
	var wrong problem.List
	for _, s := range r.Present() {
		st := progressOf(r, s, view, out)
		if told[s.Name] != st {
			told[s.Name] = st
			report(api.Progress{Service: &st})
		}
		done, ok := ended(r, s, st, view)
		all = all && done
		if done && !ok {
			wrong = append(wrong, d.failure(ctx, Ref{&r, s}, st))
		}
	}
	if !all {
		return false, nil
	}
	for _, p := range wrong {
		for _, line := range r.Service(serviceOf(p)).lastWords() {
			report(api.Progress{Line: serviceOf(p) + " | " + line})
		}
	}
	return true, wrong
}

func (s *Service) lastWords() []string {
	if s == nil {
		return nil
	}
	return lastLines(s)
}

// serviceOf is the service a problem of failure is about.
func serviceOf(p *problem.Problem) string { return p.Where.File }

// ended tells whether nothing more will happen to s. A service that waits for
// one that failed has failed, too; one that serves still has to be seen well.
func ended(r Record, s *Service, st api.Step, v View) (done, ok bool) {
	done, ok = s.Settled()
	cur := s.Rollout(s.Target)
	switch {
	case done && ok && cur != nil && cur.Spec.Runs() && !s.Stopped:
		return st.State == "healthy" || st.State == "completed" || st.State == "failed", st.State != "failed"
	case done:
		return true, ok
	}
	declared, _ := r.Declared.Service(s.Name)
	for _, n := range declared.Needs {
		if t := r.Service(n.Service); t != nil && !met(r, n, v) {
			if settled, well := t.Settled(); settled && !well {
				return true, false
			}
		}
	}
	return false, false
}

func progressOf(r Record, s *Service, v View, out Outside) api.Step {
	a := Status(r, s, v, out)
	st := api.Step{Name: s.Name, State: a.State, Says: a.Says}
	switch a.State {
	case "failing":
		st.State = "failed"
	case "starting":
		if s.Active == 0 && !ready(r, s, v) {
			st.State = "waiting"
		}
	case "idle":
		st.State = "stopped"
	case "healthy":
		if s.Active != s.Target {
			st.State, st.Says = "starting", fmt.Sprintf("r%d starts beside r%d", s.Target, s.Active)
		}
	}
	return st
}

func (d *Deployer) failure(_ context.Context, ref Ref, st api.Step) *problem.Problem {
	s := ref.Service
	reason := st.Says
	if last := s.Rollout(s.Last()); last != nil && last.State == Failed {
		reason = last.Reason
	}
	says := fmt.Sprintf("%s did not get healthy: %s", ref, reason)
	if s.Active != 0 && s.Last() != s.Active {
		says += fmt.Sprintf("; r%d serves on", s.Active)
	}
	p := problem.New(problem.Failed, "%s", says).With("havre why %s", ref)
	return p.At(problem.Place{File: s.Name})
}

// find is the service or project a target names.
// Errors: NotFound; Conflict when it could mean several.
func (d *Deployer) find(ctx context.Context, t api.Target) (Ref, []Record, error) {
	records, err := d.Records.Projects(ctx)
	if err != nil {
		return Ref{}, nil, err
	}
	if t.Environment != "" {
		records = slices.DeleteFunc(records, func(r Record) bool { return r.Environment != t.Environment })
	}
	lookup := FindService
	if t.Project {
		lookup = FindProject
	}
	ref, err := lookup(records, t.Name)
	return ref, records, err
}

// errSkip ends a change that has nothing to change.
var errSkip = errors.New("nothing to change")

// change reads, changes and saves one project's record, again when someone
// else was quicker.
func (d *Deployer) change(ctx context.Context, t api.Target, do func(Ref) error) (Ref, error) {
	for try := 0; ; try++ {
		ref, _, err := d.find(ctx, t)
		if err != nil {
			return ref, err
		}
		if err := do(ref); errors.Is(err, errSkip) {
			return ref, nil
		} else if err != nil {
			return ref, err
		}
		err = d.Records.SaveProject(ctx, *ref.Record)
		if problem.KindOf(err) == problem.Busy && try < 5 {
			continue
		}
		d.Loop.Poke()
		return ref, err
	}
}
