package adopt

import (
	"context"
	"errors"
	"time"

	"havre/internal/dockercall"
	"havre/internal/problem"
	"havre/internal/spec"
)

// Stage is how far an import is. It is saved before what it names begins.
type Stage string

// The stages, in their order; Undoing may follow any but Confirming.
const (
	Reserving  Stage = "reserving"  // images get names, the project gets an id; nothing was stopped
	Moving     Stage = "moving"     // the old ones stop, their data moves
	Starting   Stage = "starting"   // the project starts
	Waiting    Stage = "waiting"    // it runs; somebody should say whether it is right
	Undoing    Stage = "undoing"    // all goes back
	Confirming Stage = "confirming" // the old ones are removed
)

// Import is one that was begun and neither undone nor confirmed: all that is
// needed to go on after a crash, or back.
type Import struct {
	Environment string         `json:"environment"`
	Project     spec.Project   `json:"project"`
	ID          spec.ProjectID `json:"id,omitempty"` // of the project; "" before it has one
	Stage       Stage          `json:"stage"`
	Began       time.Time      `json:"began"`
	Images      []Image        `json:"images"`
	Objects     []Object       `json:"objects"`
	Moves       []Move         `json:"moves"`
}

// Engine does what only root may do, through the guard. Each may be done again.
type Engine interface {
	Tag(ctx context.Context, environment string, i Image) error
	Switch(ctx context.Context, o Object, on bool) error
	Move(ctx context.Context, v dockercall.Volume, m Move, back bool) error
	// Remove takes an object away, or a volume of the engine's that m emptied.
	Remove(ctx context.Context, o Object, m Move) error
}

// Projects is Havre's server.
type Projects interface {
	Apply(ctx context.Context, environment string, p spec.Project) error
	// Errors: NotFound.
	ID(ctx context.Context, environment, name string) (spec.ProjectID, error)
	Remove(ctx context.Context, environment, name string) error
}

// Journal keeps imports on the disk.
type Journal interface {
	Save(Import) error
	Forget(name string) error
}

// Importer carries imports out. Every step may be killed anywhere and is done
// again by the next call.
type Importer struct {
	Engine   Engine
	Projects Projects
	Journal  Journal
	Tell     func(format string, args ...any)
}

func (r Importer) enter(i *Import, s Stage) error {
	i.Stage = s
	return r.Journal.Save(*i)
}

// Carry brings an import from wherever it is to Waiting. When the project
// does not get healthy, all goes back and the reason is the error.
// Errors: Conflict when it is being undone or confirmed.
func (r Importer) Carry(ctx context.Context, i *Import) error {
	switch i.Stage {
	case Undoing:
		return problem.New(problem.Conflict, "the import of %s is being undone", i.Project.Name).With("havre import undo %s", i.Project.Name)
	case Confirming:
		return problem.New(problem.Conflict, "the import of %s is being confirmed", i.Project.Name).With("havre import confirm %s", i.Project.Name)
	case Waiting:
		return nil
	}
	if i.Stage == Reserving || i.Stage == "" {
		if err := r.reserve(ctx, i); err != nil {
			return err
		}
	}
	if i.Stage == Moving {
		if err := r.move(ctx, i); err != nil {
			return r.putBack(ctx, i, err)
		}
	}
	r.Tell("starting %s", i.Project.Name)
	if err := r.Projects.Apply(ctx, i.Environment, i.Project); err != nil {
		return r.putBack(ctx, i, err)
	}
	return r.enter(i, Waiting)
}

// putBack undoes what went wrong, unless somebody only stopped waiting.
func (r Importer) putBack(ctx context.Context, i *Import, why error) error {
	if ctx.Err() != nil {
		return why
	}
	r.Tell("it went wrong; all goes back")
	return errors.Join(why, r.Undo(ctx, i))
}

// reserve does what touches nothing that runs.
func (r Importer) reserve(ctx context.Context, i *Import) error {
	if err := r.enter(i, Reserving); err != nil {
		return err
	}
	for _, image := range i.Images {
		if err := r.Engine.Tag(ctx, i.Environment, image); err != nil {
			return err
		}
	}
	// Declared without replicas, volumes and ports it gets an id and nothing else.
	if err := r.Projects.Apply(ctx, i.Environment, shell(i.Project)); err != nil {
		return err
	}
	id, err := r.Projects.ID(ctx, i.Environment, i.Project.Name)
	if err != nil {
		return err
	}
	i.ID = id
	return r.enter(i, Moving)
}

// shell is a project of which nothing runs.
func shell(p spec.Project) spec.Project {
	hollow := spec.Project{Name: p.Name}
	for _, s := range p.Services {
		hollow.Services = append(hollow.Services, spec.Service{Name: s.Name, Image: s.Image})
	}
	return hollow
}

func (r Importer) move(ctx context.Context, i *Import) error {
	for _, o := range i.Objects {
		r.Tell("stopping %s", o.Name)
		if err := r.Engine.Switch(ctx, o, false); err != nil {
			return err
		}
	}
	for _, m := range i.Moves {
		r.Tell("taking over the data of %s%s", m.From, m.Path)
		if err := r.Engine.Move(ctx, i.volume(m), m, false); err != nil {
			return err
		}
	}
	return r.enter(i, Starting)
}

func (i *Import) volume(m Move) dockercall.Volume {
	return dockercall.Volume{Environment: dockercall.Environment(i.Environment), Project: dockercall.ProjectID(i.ID), Name: dockercall.VolumeName(m.Name)}
}

// Undo puts everything back as it was, with what was written to the data
// meanwhile, and starts the old ones again.
// Errors: Conflict when the old ones are being removed already.
func (r Importer) Undo(ctx context.Context, i *Import) error {
	if i.Stage == Confirming {
		return problem.New(problem.Conflict, "the import of %s was confirmed", i.Project.Name).With("havre import confirm %s", i.Project.Name)
	}
	if err := r.enter(i, Undoing); err != nil {
		return err
	}
	r.Tell("removing %s", i.Project.Name)
	if err := r.Projects.Remove(ctx, i.Environment, i.Project.Name); err != nil && problem.KindOf(err) != problem.NotFound {
		return err
	}
	if i.ID != "" { // before, nothing was moved
		for _, m := range i.Moves {
			r.Tell("giving back the data of %s%s", m.From, m.Path)
			if err := r.Engine.Move(ctx, i.volume(m), m, true); err != nil {
				return err
			}
		}
	}
	for _, o := range i.Objects {
		r.Tell("starting %s", o.Name)
		if err := r.Engine.Switch(ctx, o, true); err != nil {
			return err
		}
	}
	return r.Journal.Forget(i.Project.Name)
}

// Confirm removes the old ones and what is left of their volumes.
// Errors: Conflict when the project does not run yet, or is being undone.
func (r Importer) Confirm(ctx context.Context, i *Import) error {
	if i.Stage != Waiting && i.Stage != Confirming {
		return problem.New(problem.Conflict, "the import of %s is not finished: %s", i.Project.Name, i.Stage).With("begin it again, or: havre import undo %s", i.Project.Name)
	}
	if err := r.enter(i, Confirming); err != nil {
		return err
	}
	for _, o := range i.Objects {
		r.Tell("removing the old %s", o.Name)
		if err := r.Engine.Remove(ctx, o, Move{}); err != nil && problem.KindOf(err) != problem.NotFound {
			return err
		}
	}
	for _, m := range i.Moves {
		if err := r.Engine.Remove(ctx, Object{}, m); m.From != "" && err != nil && problem.KindOf(err) != problem.NotFound {
			return err
		}
	}
	return r.Journal.Forget(i.Project.Name)
}
