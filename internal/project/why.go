package project

import (
	"fmt"
	"strings"
	"time"

	"havre/internal/api"
	"havre/internal/service"
)

// Why explains in a sentence why a service is as it is, and what to do. The
// last lines it printed are the caller's to add; from names the container
// whose lines they should be, "" when none would help.
func Why(ref Ref, v View, out Outside) (why api.Why, from string) {
	a := Status(*ref.Record, ref.Service, v, out)
	full := ref.String()
	why = api.Why{Service: full, State: a.State, Says: a.Says, Trouble: a.Trouble}
	cur := ref.Service.Current()
	switch a.State {
	case "healthy":
		why.Says = fmt.Sprintf("%s runs: %d of %d containers are healthy", full, a.Healthy, a.Replicas)
		if a.LastEnd != nil {
			why.Says += fmt.Sprintf("; containers of it ended badly, %d in all, the last at %s because %s", a.Restarts, clock(a.LastEnd.At), a.LastEnd.Says)
		}
		if a.Says != "" {
			why.Says += "; " + a.Says
			why.Lines = LastLines(ref.Service)
		}
		if lastFailure(ref.Service) != "" {
			why.Remedy = "mend it and apply again"
		}
		uncertified(&why, ref, out)
		severed(&why, ref, v)
		return why, ""
	case "stopped":
		why.Remedy = "havre start " + full
	case "idle":
		why.Remedy = "set count or replicas to 1 or more and apply again"
		if cur.Spec.Disabled {
			why.Remedy = "declare it with status: enabled and apply again"
		}
	case "completed":
		why.Says = full + " ran to its end with exit code 0, and its restart policy does not start it again"
	case "starting", "failing":
		if cur == nil {
			why.Remedy = "mend it and apply again"
			break
		}
		from, why.Remedy = trouble(ref, cur, v)
		o := Observed(v.Snapshot, ref.Service.ID)[cur.Number]
		if _, sick := checkTrouble(o, out); sick > 0 && sick == len(o.Live()) {
			from, why.Remedy = o.Live()[0].Container, "read its log: havre logs "+full+"; mend it, or ask it for another path by x-havre.check, and apply again"
		}
		if p := portTrouble(cur.Spec, out); p != "" {
			why.Remedy = "end the program that has the port, or apply again with another port (havre apply --port-offset 10000 shifts them all)"
			from = ""
		}
	}
	if !strings.HasPrefix(why.Says, full) {
		why.Says = full + " " + stateVerb(a.State) + ": " + why.Says
	}
	if cur != nil && cur.Trouble.Resting() && a.State == "failing" {
		why.Says += ", in " + max(0, cur.Trouble.Until.Sub(v.Now)).Round(time.Second).String()
	}
	if a.State == "starting" || a.State == "failing" {
		severed(&why, ref, v)
	}
	if from == "" {
		why.Lines = KeptLines(cur)
	}
	return why, from
}

// severed says which of a service's links lead to a service of another project
// that somebody removed by force.
func severed(why *api.Why, ref Ref, v View) {
	cur := ref.Service.Current()
	if cur == nil || v.Links.refs == nil {
		return
	}
	for _, link := range cur.Spec.Links {
		project, _, outside := link.Outside()
		if _, there := v.Links.Target(*ref.Record, link); !outside || there {
			continue
		}
		why.Says += fmt.Sprintf("; its link to %s leads nowhere: that was removed", link.To)
		mend := fmt.Sprintf("apply project %s again, or take the link out and apply again", project)
		if why.Remedy != "" {
			mend = why.Remedy + "; " + mend
		}
		why.Remedy = mend
	}
}

// uncertified says which of a service's hosts have no public certificate.
func uncertified(why *api.Why, ref Ref, out Outside) {
	for _, at := range sites(ref, out.Suffix) {
		says, ok := out.Certificates[at.host]
		if !ok || at.pass || strings.Contains(why.Says, at.host+": ") {
			continue
		}
		why.Says += "; " + at.host + ": " + says
		if why.Remedy == "" {
			why.Remedy = "see that the name leads to this machine, and that ports 80 and 443 are reached from outside"
		}
	}
}

// KeptLines are the last lines of a rollout that are remembered.
func KeptLines(ro *Rollout) []string {
	switch {
	case ro == nil:
		return nil
	case ro.Trouble != nil && len(ro.Trouble.Lines) > 0:
		return ro.Trouble.Lines
	}
	return ro.Lines
}

func stateVerb(state string) string {
	switch state {
	case "starting":
		return "is not healthy yet"
	case "stopped", "idle":
		return "does not run"
	}
	return "fails"
}

// LastLines are those of the newest rollout.
func LastLines(s *Service) []string {
	if last := s.Rollout(s.Last()); last != nil {
		return last.Lines
	}
	return nil
}

// trouble finds the container that has most to say, and what to do about it.
func trouble(ref Ref, cur *Rollout, v View) (from, remedy string) {
	full := ref.String()
	if g := closed(*ref.Record, ref.Service, v); g != nil && (ref.Service.Active == 0 || ref.Service.Target == ref.Service.Active) {
		if g.full == "" {
			return "", "the command that applied it sends that; when it broke off, apply again from where the directory is"
		}
		return "", "see why that takes so long: havre why " + g.full
	}
	o := Observed(v.Snapshot, ref.Service.ID)[cur.Number]
	tasks := o.Tasks
	if t := cur.Trouble; t.Resting() || tried(t, v.Now) { // the engine may have forgotten it
		tasks = append([]service.Task{t.End}, tasks...)
	}
	for _, t := range tasks { // one that ended badly says more than the next try
		switch {
		case !service.Bad(cur.Spec, t), v.Now.Sub(t.Since) > loopWindow && len(o.Live()) > 0:
		case t.OOM:
			return t.Container, fmt.Sprintf("give it more memory (now %d MiB) and apply again, or find out what it needs it for", cur.Spec.Limits.Memory>>20)
		case t.Health == "unhealthy" && cur.Trouble.Resting():
			return t.Container, "mend what its check finds and apply again, or try it at once: havre restart " + full
		case t.Health == "unhealthy":
			return t.Container, "see what its check does: havre exec " + full + " -- sh"
		case t.Container == "" && strings.Contains(strings.ToLower(t.Error), "no such image"): // the engine's own words, for want of a code
			return "", fmt.Sprintf("build or load %s again, then: havre restart %s", cur.Spec.Image, full)
		case t.Container == "" && strings.Contains(t.Error, "bind source path does not exist"): // as above; all binds are of volumes
			return "", "put the volume's directory back (mount its disk, or restore a backup), then: havre restart " + full + "; to begin with an empty one: havre rm " + full + ", and apply again"
		case t.Container == "":
			return "", "mend what the engine names and apply again"
		case cur.Trouble.Resting():
			return t.Container, "read its log: havre logs " + full + "; mend it and apply again, or try it at once: havre restart " + full
		default:
			return t.Container, "read its log: havre logs " + full + "; mend it and apply again"
		}
	}
	for _, t := range tasks {
		switch {
		case t.State.Ended():
		case t.Health == "unhealthy" || t.Health == "starting":
			return t.Container, "see what its check does: havre exec " + full + " -- sh"
		case t.State == service.Running:
			return t.Container, "see whether it listens on the port that was declared, on all addresses and not only on 127.0.0.1"
		}
	}
	return "", "wait, or look again with: havre why " + full
}
