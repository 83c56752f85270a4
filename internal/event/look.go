package event

import (
	"strconv"
	"time"

	"havre/internal/project"
	"havre/internal/service"
)

// Passed is what a pass of the loop saw.
type Passed struct {
	Records      []project.Record
	View         project.View
	Outside      project.Outside
	Certificates map[string]time.Time // by host: when it ends
	Trouble      string               // why the engine could not be looked at; Records and View are empty then
}

// Look makes a sight of what a pass saw. before is the one that it follows: of
// an engine that did not answer nothing else is known.
func Look(before Sight, p Passed) Sight {
	if p.Trouble != "" {
		before.Node = p.Trouble
		return before
	}
	now := Sight{Services: map[string]Service{}, Ports: map[string]string{}, Certificates: p.Certificates}
	for _, r := range p.Records {
		for _, s := range r.Present() {
			now.Services[r.Environment+"."+r.Name+"."+s.Name] = look(r, s, p)
		}
	}
	for port, says := range p.Outside.Listeners {
		name := strconv.Itoa(int(port.Number))
		if port.Protocol == "udp" {
			name += "/udp"
		}
		now.Ports[name] = says
	}
	return now
}

func look(r project.Record, s *project.Service, p Passed) Service {
	st := project.Status(r, s, p.View, p.Outside)
	now := Service{State: st.State, Says: st.Says, Last: s.Last(), Open: map[int]string{}, Reasons: map[int]string{}}
	for _, ro := range s.Rollouts {
		now.Open[ro.Number], now.Reasons[ro.Number] = string(ro.State), ro.Reason
	}
	for _, o := range p.View.Snapshot.Services {
		ro := s.Rollout(o.Rollout)
		if o.ID != s.ID || ro == nil {
			continue
		}
		for _, t := range o.Tasks {
			if service.Bad(ro.Spec, t) {
				now.Endings = append(now.Endings, Ending{Task: t.ID, Rollout: o.Rollout, OOM: t.OOM, Says: service.Ending(t)})
			}
		}
	}
	if st.Trouble != nil && st.State == "failing" {
		now.Looping = st.Trouble.Reason
	}
	if t := st.Trouble; t != nil && t.Rests > 0 { // for as long as its record says so, between tries too
		now.Looping = t.Reason
	}
	return now
}
