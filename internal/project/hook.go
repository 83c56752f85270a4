package project

import (
	"cmp"
	"slices"
	"time"

	"havre/internal/service"
)

// InitCommand is the command that fills new volumes of r; nil is none.
func (r *Rollout) InitCommand() []string {
	switch {
	case len(r.Spec.InitHook) > 0 && r.Spec.InitHook[0] == "":
		return nil
	case len(r.Spec.InitHook) > 0:
		return r.Spec.InitHook
	case r.Image.Init != "":
		return []string{r.Image.Init}
	}
	return nil
}

// hookPatience is how long a hook may take that does not say.
const hookPatience = time.Hour

// HookLimit is how long a hook of r may take.
func (r *Rollout) HookLimit(duty service.Duty) time.Duration {
	if duty == service.Upgrade {
		return cmp.Or(time.Duration(r.Spec.UpgradeTimeout), hookPatience)
	}
	return cmp.Or(time.Duration(r.Spec.InitTimeout), hookPatience)
}

// UpgradeCommand is the command that brings the data of s to the image of r
// before r starts; nil is none, or that there is nothing for it to do: what
// served last had the same image, or r goes back to what was.
func (s *Service) UpgradeCommand(r *Rollout) []string {
	if len(r.Spec.UpgradeHook) == 0 || r.Upgraded || r.Back != 0 || r.Served() {
		return nil
	}
	for _, old := range slices.Backward(s.Rollouts) {
		if old.Number < r.Number && old.Served() {
			if old.Image.ID == r.Image.ID {
				return nil
			}
			return r.Spec.UpgradeHook
		}
	}
	return nil
}
