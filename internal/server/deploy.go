package server

import (
	"context"
	"net/http"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/spec"
)

// wanted reads and checks a project. The client has checked it too, with the
// lines of the person's file; here nobody is taken at their word.
func wanted(w http.ResponseWriter, r *http.Request) (api.Apply, error) {
	var want api.Apply
	if err := read(w, r, &want); err != nil {
		return want, err
	}
	if want.Environment == "" {
		want.Environment = spec.DefaultEnvironment
	}
	var wrong problem.List
	if !spec.ValidEnvironment(want.Environment) {
		wrong = append(wrong, problem.New(problem.Invalid, "%q cannot name an environment", want.Environment).
			With("use lower-case letters, digits and -"))
	}
	for _, m := range spec.Validate(want.Project) {
		p := *m.Problem
		p.Says = m.Path + ": " + p.Says
		wrong = append(wrong, &p)
	}
	return want, wrong.AsError()
}

func (s *Server) plan(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Deployer == nil {
		return absent("deployer")
	}
	want, err := wanted(w, r)
	if err != nil {
		return err
	}
	p, err := s.set.Backend.Deployer.Plan(r.Context(), want)
	if err != nil {
		return err
	}
	if p.Changes == nil {
		p.Changes = []api.Change{}
	}
	return answer(w, p)
}

func (s *Server) apply(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Deployer == nil {
		return absent("deployer")
	}
	want, err := wanted(w, r)
	if err != nil {
		return err
	}
	return s.progress(w, r, func(ctx context.Context, report Report) (*api.Image, error) {
		return nil, s.set.Backend.Deployer.Apply(ctx, want, report)
	})
}

// turn is start, stop or restart, of a service or a whole project.
func (s *Server) turn(verb func(Switcher, context.Context, api.Target, Report) error, project bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if s.set.Backend.Switcher == nil {
			return absent("switcher")
		}
		t, err := target(r, project)
		if err != nil {
			return err
		}
		return s.progress(w, r, func(ctx context.Context, report Report) (*api.Image, error) {
			return nil, verb(s.set.Backend.Switcher, ctx, t, report)
		})
	}
}

func (s *Server) down(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Downer == nil {
		return absent("downer")
	}
	return s.progress(w, r, func(ctx context.Context, report Report) (*api.Image, error) {
		return nil, s.set.Backend.Downer.Down(ctx, report)
	})
}

func (s *Server) remove(project bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if s.set.Backend.Remover == nil {
			return absent("remover")
		}
		t, err := target(r, project)
		if err != nil {
			return err
		}
		volumes, err := truth(r, "volumes")
		if err != nil {
			return err
		}
		force, err := truth(r, "force")
		if err != nil {
			return err
		}
		return s.removed(w, r, func(ctx context.Context) (api.Removed, error) {
			return s.set.Backend.Remover.Remove(ctx, t, api.Removal{Volumes: volumes, Force: force})
		})
	}
}

// removed lets a removal end even when its reader goes away: half of it would
// be worse than either.
func (s *Server) removed(w http.ResponseWriter, r *http.Request, take func(context.Context) (api.Removed, error)) error {
	var gone api.Removed
	whole, err := s.outlive(r, func(ctx context.Context) (err error) {
		gone, err = take(ctx)
		return err
	})
	if err != nil || !whole {
		return err
	}
	if gone.Gone == nil {
		gone.Gone = []string{}
	}
	return answer(w, gone)
}
