package project

import (
	"context"
	"slices"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
)

// Start starts services that were stopped, with what they need and link to, and
// reports until they are healthy.
// Errors: NotFound; Conflict, also when it is declared as disabled; Failed when
// one does not get healthy.
func (d *Deployer) Start(ctx context.Context, t api.Target, report func(api.Progress)) error {
	ref, records, err := d.find(ctx, t)
	if err != nil {
		return err
	}
	if err := ref.enabled(); err != nil {
		return err
	}
	for _, other := range ref.beyond(LinksOf(records)) {
		if _, err := d.change(ctx, api.Target{Name: other.String()}, func(ref Ref) error { return stop(ref.along(), false) }); err != nil {
			return err
		}
	}
	var along []*Service
	ref, err = d.change(ctx, t, func(ref Ref) error {
		along = ref.along()
		if err := ref.enabled(); err != nil {
			return err
		}
		return stop(along, false)
	})
	if err != nil {
		return err
	}
	w := watch{project: ref.Record.ID, since: time.Now()}
	for _, s := range along {
		w.services = append(w.services, s.ID)
	}
	return d.follow(ctx, w, report)
}

// along are the services a reference means, and those of its project that they
// need or link to, but for those that are not to run.
func (r Ref) along() []*Service {
	all := slices.Clone(r.those())
	for i := 0; i < len(all); i++ {
		declared, _ := r.Record.Declared.Service(all[i].Name)
		for _, name := range towards(declared) {
			if s := r.Record.Service(name); s != nil && !s.Removed && !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return slices.DeleteFunc(all, func(s *Service) bool {
		declared, _ := r.Record.Declared.Service(s.Name)
		return declared.Disabled
	})
}

// beyond are the services of other projects that have to be started, too.
func (r Ref) beyond(l Links) []Ref {
	var all []Ref
	for _, s := range r.along() {
		declared, _ := r.Record.Declared.Service(s.Name)
		for _, link := range declared.Links {
			if to, there := l.target(*r.Record, link); there && to.Service.Stopped {
				all = append(all, to)
			}
		}
	}
	return all
}

// enabled refuses a service that is declared as one that does not run.
// Errors: Conflict.
func (r Ref) enabled() error {
	if r.Service == nil {
		return nil
	}
	declared, _ := r.Record.Declared.Service(r.Service.Name)
	if !declared.Disabled {
		return nil
	}
	return problem.New(problem.Conflict, "%s is declared with status: disabled", r).With("declare it with status: enabled and apply again")
}
