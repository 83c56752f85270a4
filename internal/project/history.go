package project

import (
	"context"
	"slices"

	"havre/internal/api"
)

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
func History(s *Service) []api.Rollout {
	all := []api.Rollout{}
	for i := range s.Rollouts {
		ro := &s.Rollouts[i]
		shown := api.Rollout{
			Number: ro.Number, State: string(ro.fate()), Reason: ro.Reason, Lines: ro.Lines, Back: ro.Back,
			Image: ro.Spec.Image, ImageID: ro.Image.ID, Replicas: ro.Spec.Replicas, Created: ro.Created, Started: ro.Started,
		}
		if i > 0 {
			shown.Changes = changes(&s.Rollouts[i-1], ro)
		}
		all = append(all, shown)
	}
	slices.Reverse(all)
	return all
}

// changes names what differs between two rollouts.
func changes(had, next *Rollout) []string {
	names := append(Differences(had.Spec, next.Spec), imageChange(had.Image, next.Image)...)
	if !slices.EqualFunc(had.Files, next.Files, sameFile) {
		names = append(names, "files")
	}
	return append(names, secretChanges(had.Secrets, next.Secrets)...)
}

// fate is how a rollout fared. One that failed stays so in history, though
// its service was asked for something else since.
func (r *Rollout) fate() RolloutState {
	if r.State == Retired && r.Reason != "" && r.Reason != overtaken {
		return Failed
	}
	return r.State
}

// served tells whether the rollout once had the traffic.
func (r *Rollout) served() bool { return r.State == Active || r.State == Retired && r.Reason == "" }
