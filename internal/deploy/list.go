package deploy

import (
	"context"
	"maps"
	"slices"
	"strings"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
)

// List says how services are: all, or those of an environment or a project.
// Errors: NotFound when there is no such project or environment.
func (d *Deployer) List(ctx context.Context, environment, name string) ([]api.Service, error) {
	records, err := d.Records.Projects(ctx)
	if err != nil {
		return nil, err
	}
	if environment != "" {
		if err := d.there(environment); err != nil {
			return nil, err
		}
	}
	view, out := d.view(records), d.Loop.Outside()
	list := []api.Service{}
	hit := name == ""
	for _, r := range records {
		if r.Removed || environment != "" && r.Environment != environment || name != "" && !strings.EqualFold(r.Name, name) {
			continue
		}
		hit = true
		for _, s := range r.Present() {
			list = append(list, project.Status(r, s, view, out))
		}
	}
	if !hit {
		return nil, problem.New(problem.NotFound, "no project is named %s", name).With("list what there is with: havre ps")
	}
	return list, nil
}

// Find says how one service is.
// Errors: NotFound; Conflict when the name could mean several.
func (d *Deployer) Find(ctx context.Context, t api.Target) (api.Service, error) {
	ref, records, err := d.find(ctx, t)
	if err != nil {
		return api.Service{}, err
	}
	return project.Status(*ref.Record, ref.Service, d.view(records), d.Loop.Outside()), nil
}

// Declared gives a project as it was applied last, with what rollbacks and
// scaling changed since.
// Errors: NotFound; Conflict when the name could mean several.
func (d *Deployer) Declared(ctx context.Context, t api.Target) (api.Declared, error) {
	t.Project = true
	ref, _, err := d.find(ctx, t)
	if err != nil {
		return api.Declared{}, err
	}
	return api.Declared{Environment: ref.Record.Environment, ID: ref.Record.ID, Project: ref.Record.Declared}, nil
}

// Why explains one service, with the last lines that bear on it.
// Errors: NotFound; Conflict when the name could mean several.
func (d *Deployer) Why(ctx context.Context, t api.Target) (api.Why, error) {
	ref, records, err := d.find(ctx, t)
	if err != nil {
		return api.Why{}, err
	}
	why, from := project.Why(ref, d.view(records), d.Loop.Outside())
	if from != "" && len(why.Lines) == 0 {
		if lines, err := d.Machine.LastLines(ctx, from, 15); err == nil {
			why.Lines = lines
		}
		if len(why.Lines) == 0 {
			why.Lines = project.KeptLines(ref.Service.Current()) // the container may be gone by now
		}
	}
	return why, nil
}

// Containers gives the containers of what t names, newest first, with the
// names people know them by. ended ones too when asked for.
func (d *Deployer) Containers(ctx context.Context, t api.Target, ended bool) ([]Container, error) {
	ref, _, err := d.find(ctx, t)
	if err != nil {
		return nil, err
	}
	var all []Container
	for _, s := range meant(ref) {
		of := project.Observed(d.Loop.View().Snapshot, s.ID)
		for _, n := range slices.Backward(slices.Sorted(maps.Keys(of))) {
			o := of[n]
			for _, task := range o.Tasks {
				if task.Container != "" && (ended || !task.State.Ended()) {
					all = append(all, Container{ID: task.Container, Service: s.Name, Environment: ref.Record.Environment, Slot: task.Slot, Rollout: o.Rollout, Serving: o.Rollout == s.Active, Running: task.State == "running" || task.State == "starting"})
				}
			}
		}
	}
	return all, nil
}

// Container is one container of a service.
type Container struct {
	ID          string
	Service     string
	Environment string
	Slot        int
	Rollout     int
	Serving     bool // of the rollout that serves
	Running     bool // one can go into it

	kept *project.Page // where its lines are, when the engine has it no more
}

// Use is a service and the image it was declared with.
type Use struct {
	Environment string
	Image       string // as declared, perhaps without a tag
	Service     string // its full name
}

// Uses tells which images the services are declared with.
func (d *Deployer) Uses(ctx context.Context) ([]Use, error) {
	records, err := d.Records.Projects(ctx)
	if err != nil {
		return nil, err
	}
	var uses []Use
	for _, r := range records {
		for _, s := range r.Present() {
			if t := s.Rollout(s.Target); t != nil {
				uses = append(uses, Use{r.Environment, t.Spec.Image, r.Environment + "." + r.Name + "." + s.Name})
			}
		}
	}
	return uses, nil
}

// History gives the rollouts of a service that are remembered, newest first.
// Errors: NotFound; Conflict when the name could mean several.
func (d *Deployer) History(ctx context.Context, t api.Target) ([]api.Rollout, error) {
	ref, _, err := d.find(ctx, t)
	if err != nil {
		return nil, err
	}
	return History(ref.Service), nil
}

// History says of each remembered rollout how it fared and what it changed,
// newest first.
func History(s *project.Service) []api.Rollout {
	all := []api.Rollout{}
	for i := range s.Rollouts {
		ro := &s.Rollouts[i]
		shown := api.Rollout{
			Number: ro.Number, State: string(fate(ro)), Reason: ro.Reason, Lines: ro.Lines, Back: ro.Back,
			Image: ro.Spec.Image, ImageID: ro.Image.ID, Replicas: ro.Spec.Replicas, Created: ro.Created, Started: ro.Started,
		}
		if had := former(s, i); had != nil {
			shown.Changes = changes(had, ro)
		}
		all = append(all, shown)
	}
	slices.Reverse(all)
	return all
}

// former is what the i-th rollout is compared with: the newest one before it
// that served, for one that failed changed nothing; when none did the one before.
func former(s *project.Service, i int) *project.Rollout {
	for j := range slices.Backward(s.Rollouts[:i]) {
		if s.Rollouts[j].Served() {
			return &s.Rollouts[j]
		}
	}
	if i == 0 {
		return nil
	}
	return &s.Rollouts[i-1]
}

// changes names what differs between two rollouts.
func changes(had, next *project.Rollout) []string {
	names := append(Differences(had.Spec, next.Spec), imageChange(had.Image, next.Image)...)
	if !slices.EqualFunc(had.Files, next.Files, sameFile) {
		names = append(names, "files")
	}
	return append(names, secretChanges(had.Secrets, next.Secrets)...)
}

// fate is how a rollout fared. One that failed stays so in history, though
// its service was asked for something else since.
func fate(r *project.Rollout) project.RolloutState {
	if r.State == project.Retired && r.Reason != "" && !r.Overtaken() {
		return project.Failed
	}
	return r.State
}
