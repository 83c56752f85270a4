package project

import (
	"fmt"

	"havre/internal/api"
	"havre/internal/problem"
)

// Progress says how far a service is, for who waits for it.
func Progress(r Record, s *Service, v View, out Outside) api.Step {
	out.Sick = nil // a deploy is done when its containers are well; an app may answer the ingress's check later
	a := Status(r, s, v, out)
	st := api.Step{Name: s.Name, State: a.State, Says: a.Says}
	switch a.State {
	case "failing":
		st.State = "failed"
	case "starting":
		if closed(r, s, v) != nil && (s.Active == 0 || s.Target == s.Active) {
			st.State = "waiting"
		}
	case "idle":
		st.State = "stopped"
	case "healthy":
		if s.Active != s.Target {
			st.State, st.Says = "starting", onTheWay(s)
		}
	}
	return st
}

// onTheWay says how the target takes the place of what serves.
func onTheWay(s *Service) string {
	old, next := s.Rollout(s.Active), s.Rollout(s.Target)
	if old != nil && next != nil && old.Spec.Excludes(next.Spec) {
		return fmt.Sprintf("r%d stops, then r%d starts", s.Active, s.Target)
	}
	return fmt.Sprintf("r%d starts beside r%d", s.Target, s.Active)
}

// End tells whether more will happen to a service.
type End struct {
	Done, OK bool
	Why      string // it is not ok, if the service's own state does not say
}

// Ended tells whether nothing more will happen to s, whose progress is st. A service that waits for
// one that will not come has failed, too; one that serves still has to be seen
// well.
func Ended(r Record, s *Service, st api.Step, v View) End {
	done, ok := s.Settled()
	cur := s.Rollout(s.Target)
	switch {
	case done && ok && cur != nil && cur.Spec.Runs() && !s.Stopped:
		told := !cur.Spec.WritesData() || Observed(v.Snapshot, s.ID)[s.Target].Replicas == cur.Spec.Replicas // else all of them stop first
		return End{Done: st.State == "healthy" && told || st.State == "completed" || st.State == "failed", OK: st.State != "failed"}
	case done:
		return End{Done: true, OK: ok}
	}
	if Observed(v.Snapshot, s.ID)[s.Target].SwarmID != "" {
		return End{} // it has started, so it waits for nobody
	}
	why := stuck(r, s, v)
	return End{Done: why != "", Why: why}
}

// Failure is the problem of a service that has ended without being well: why is
// the reason if its progress st does not say.
func Failure(ref Ref, st api.Step, why string) *problem.Problem {
	s := ref.Service
	reason := st.Says
	if last := s.Rollout(s.Last()); last != nil && last.State == Failed {
		reason = last.Reason
	}
	if why != "" {
		reason = why
	}
	says := fmt.Sprintf("%s did not get healthy: %s", ref, reason)
	switch serves := s.Rollout(s.Active); {
	case serves == nil || s.Last() == s.Active:
	case serves.Trouble.Resting():
		says += fmt.Sprintf("; r%d is tried again at %s", s.Active, clock(serves.Trouble.Until))
	default:
		says += fmt.Sprintf("; r%d serves on", s.Active)
	}
	p := problem.New(problem.Failed, "%s", says).With("havre why %s", ref)
	return p.At(problem.Place{File: s.Name})
}
