// Package deploy turns what a person declares or asks for into rollouts: it says
// what would change, records it, and follows it until it came true. The loop
// carries out what is recorded; package project judges how services fare. The
// answers of the API are made here.
package deploy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/spec"
)

// Images finds images by name.
type Images interface {
	// Errors: NotFound when the environment has no such image.
	Image(ctx context.Context, environment, name string) (service.Image, error)
}

// Loop makes what was recorded come true.
type Loop interface {
	Poke()
	View() project.View
	Outside() project.Outside
}

// Machine is what the machine itself has.
type Machine interface {
	Holder(ctx context.Context, port project.Port) (who string, taken bool) // a program that is not ours and has the port
	LastLines(ctx context.Context, container string, n int) ([]string, error)
}

// Volumes looks after kept data.
type Volumes interface {
	VolumeUse(ctx context.Context, v service.Volume, most int64) (service.VolumeUse, error)
	CleanVolume(ctx context.Context, v service.Volume, c service.Cleaning) (bytes, files int64, err error)
	Volumes(ctx context.Context, environment string, p spec.ProjectID) ([]string, error)
	RemoveVolume(ctx context.Context, environment string, p spec.ProjectID, name string) error
}

// Deployer answers what people ask of projects.
type Deployer struct {
	Records      project.Records
	Images       Images
	Registry     Registry // nil pulls nothing
	Offline      bool     // it is nil because somebody wants it so
	Loop         Loop
	Machine      Machine
	Volumes      Volumes
	Logbook      Logbook // nil keeps nothing
	Vault        Vault
	Rights       Rights             // nil grants nothing
	Certificates Certifier          // nil has none to mount
	Disks        Disks              // nil has room enough
	Environments []string           // those that there are
	Addresses    *project.Addresses // locked while ports, networks and names are given

	fillings sync.Mutex      // guards filling
	filling  map[string]bool // volumes by project's id and name
}

// Plan says what Apply would do, and changes nothing.
// Errors: problem.List of Invalid, NotFound and Conflict problems.
func (d *Deployer) Plan(ctx context.Context, want api.Apply) (api.Plan, error) {
	o, err := d.declare(ctx, want, true)
	return o.Plan, err
}

// Apply remembers the declaration, and reports until it came true or failed.
// What it has reported as its plan is remembered even if nobody listens on.
// Errors: as Plan; Unavailable when a disk is nearly full; Failed with the
// reason when a service did not get healthy.
func (d *Deployer) Apply(ctx context.Context, want api.Apply, report func(api.Progress)) error {
	if want.Environment == "" {
		want.Environment = spec.DefaultEnvironment
	}
	o, err := d.declare(ctx, want, true) // mistakes show before anything is pulled
	if err == nil && len(o.pulls) > 0 {
		err = d.fetch(ctx, want, report)
	}
	if err == nil && !o.settled() {
		o, err = d.remember(ctx, want)
	}
	if err != nil {
		return err
	}
	report(api.Progress{Plan: &o.Plan})
	d.Loop.Poke()
	w := watch{project: o.Record.ID}
	if !o.Plan.Nothing() {
		w.since = time.Now()
	}
	if err := d.follow(ctx, w, report); err != nil {
		return err
	}
	return d.arrived(ctx, o.Record.ID, o.Plan)
}

// remember saves the declaration. One at a time, so that no two projects are
// given the same port, network or name.
func (d *Deployer) remember(ctx context.Context, want api.Apply) (Outcome, error) {
	d.Addresses.Lock()
	defer d.Addresses.Unlock()
	for try := 0; ; try++ {
		o, err := d.declare(ctx, want, false)
		if err != nil || o.Same {
			return o, err
		}
		if err := d.room(); err != nil {
			return o, err
		}
		if err := d.keep(ctx, o.Record, want); err != nil { // before anything refers to them
			return o, err
		}
		err = d.Records.SaveProject(ctx, o.Record)
		if problem.KindOf(err) == problem.Busy && try < tries { // the loop wrote between our reading and saving
			continue
		}
		return o, err
	}
}

// tries is how often a change is done anew when someone else was quicker.
const tries = 10

// declare compares; before pulls it takes images that are still to come for
// empty ones.
func (d *Deployer) declare(ctx context.Context, want api.Apply, before bool) (Outcome, error) {
	if want.Environment == "" {
		want.Environment = spec.DefaultEnvironment
	}
	if err := d.there(want.Environment); err != nil {
		return Outcome{}, err
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
	suffix := d.Loop.Outside().Suffix
	found := Found{Images: map[string]service.Image{}, Taken: project.Ports(records, old.ID), Hosts: project.Hosts(records, old.ID, suffix), Suffix: suffix}
	pulls, unbuilt, wrong, err := d.images(ctx, want, before, found.Images)
	if err != nil {
		return Outcome{}, err
	}
	if found.Secrets, err = d.versions(ctx, old, want); err != nil {
		for _, p := range api.Flat(err) {
			wrong = append(wrong, &p)
		}
	}
	wrong = append(wrong, d.held(ctx, old, want.Project)...)
	ungranted, err := d.ungranted(ctx, want.Project)
	if err != nil {
		return Outcome{}, err
	}
	wrong = append(wrong, ungranted...)
	broken, err := d.connect(records, old, &want.Project, &found)
	if err != nil {
		return Outcome{}, err
	}
	if wrong = append(wrong, broken...); len(wrong) > 0 {
		return Outcome{}, wrong
	}
	o, err := d.free(ctx, old, want.Project, found)
	if err == nil {
		err = d.await(ctx, old, want.Fills, &o)
	}
	if err == nil {
		o.Plan.Notes = append(o.Plan.Notes, remade(records, o)...)
		o.Plan.Notes = append(o.Plan.Notes, retold(records, o)...)
		d.coming(&o.Plan, pulls, want.Project)
		o.pulls, o.Plan.Unbuilt = pulls, unbuilt
	}
	return o, err
}

// images finds the image of each service, and which are still to be pulled or
// built. Services that share one have it looked up once.
func (d *Deployer) images(ctx context.Context, want api.Apply, before bool, found map[string]service.Image) (pulls, unbuilt []string, wrong problem.List, err error) {
	type look struct {
		image service.Image
		err   error
	}
	looked := map[string]look{}
	for _, s := range want.Project.Services {
		l, known := looked[s.Image]
		if !known {
			l.image, l.err = d.Images.Image(ctx, want.Environment, s.Image)
			looked[s.Image] = l
		}
		err := l.err
		if err != nil && problem.KindOf(err) != problem.NotFound {
			return nil, nil, nil, err
		}
		found[s.Name] = l.image
		switch {
		case before && d.due(s, err == nil):
			if !slices.Contains(pulls, s.Image) {
				pulls = append(pulls, s.Image)
			}
		case err != nil && before && slices.Contains(want.Building, s.Image):
			if !slices.Contains(unbuilt, s.Image) {
				unbuilt = append(unbuilt, s.Image)
			}
		case err != nil:
			wrong = append(wrong, d.lacks(s, err))
		}
	}
	return pulls, unbuilt, wrong, nil
}

// free declares with open ports that no other program has either.
func (d *Deployer) free(ctx context.Context, old project.Record, want spec.Project, found Found) (Outcome, error) {
	ours := project.Ports([]project.Record{old}, "")
	for {
		o, err := Declare(old, want, found, time.Now().UTC())
		if err != nil {
			return o, err
		}
		again := false
		for port := range project.Ports([]project.Record{o.Record}, "") {
			if _, mine := ours[port]; mine {
				continue
			}
			if who, taken := d.Machine.Holder(ctx, port); taken {
				found.Taken[port], again = who, true
			}
		}
		if !again {
			return o, nil
		}
	}
}

// there tells whether there is such an environment.
// Errors: NotFound.
func (d *Deployer) there(environment string) error {
	if slices.Contains(d.Environments, environment) {
		return nil
	}
	return problem.New(problem.NotFound, "no environment is named %s", environment).With("use one of: %s", strings.Join(d.Environments, ", "))
}

func mistakes(p spec.Project) problem.List {
	var wrong problem.List
	for _, m := range spec.Validate(p) {
		wrong = append(wrong, m.Problem)
	}
	return wrong
}

// former finds the project's record, or begins one.
func (d *Deployer) former(records []project.Record, want api.Apply) (project.Record, error) {
	for _, r := range records {
		if r.Environment == want.Environment && strings.EqualFold(r.Name, want.Project.Name) {
			return r, nil
		}
	}
	subnet, err := d.unused(records, project.SubnetBits)
	if err != nil {
		return project.Record{}, err
	}
	return project.Record{ID: spec.ProjectID(project.NewID()), Environment: want.Environment, Name: want.Project.Name, Subnet: subnet}, nil
}

// held finds ports that are new to the project and that some other program has,
// or Havre itself.
func (d *Deployer) held(ctx context.Context, old project.Record, p spec.Project) problem.List {
	ours, out := project.Ports([]project.Record{old}, ""), d.Loop.Outside()
	var wrong problem.List
	for _, s := range p.Services {
		for _, want := range s.Ports {
			port := project.Port{Number: want.External, Protocol: want.Protocol}
			if _, mine := ours[port]; mine || want.External == 0 {
				continue
			}
			if flag := out.Serves(port); flag != "" {
				wrong = append(wrong, problem.New(problem.Conflict, "port %d/%s, which %s wants, is Havre's own: it serves the domains of all projects there", port.Number, port.Protocol, s.Name).
					With("write a domain in place of the port: x-havre: {domains: [\"%s.example.org:%d\"]}; or choose another port, like \"%d:%d\"; or move Havre's: havre up %s PORT", strings.ToLower(s.Name), want.Internal, 8000+int(port.Number), want.Internal, flag))
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

// find is the service or project a target names.
// Errors: NotFound; Conflict when it could mean several.
func (d *Deployer) find(ctx context.Context, t api.Target) (project.Ref, []project.Record, error) {
	records, err := d.Records.Projects(ctx)
	if err != nil {
		return project.Ref{}, nil, err
	}
	if t.Environment != "" {
		records = slices.DeleteFunc(records, func(r project.Record) bool { return r.Environment != t.Environment })
	}
	lookup := project.FindService
	if t.Project {
		lookup = project.FindProject
	}
	ref, err := lookup(records, t.Name)
	return ref, records, err
}

// errSkip ends a change that has nothing to change.
var errSkip = errors.New("nothing to change")

// change reads, changes and saves one project's record, again when someone
// else was quicker.
func (d *Deployer) change(ctx context.Context, t api.Target, do func(project.Ref) error) (project.Ref, error) {
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
		if problem.KindOf(err) == problem.Busy && try < tries {
			continue
		}
		d.Loop.Poke()
		return ref, err
	}
}
