package alert

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"havre/internal/api"
)

// Situation is what rules judge.
type Situation struct {
	Now          time.Time
	Services     map[string]State     // by environment.project.service
	Certificates map[string]time.Time // by host: when it ends
	DiskPath     string
	DiskPercent  int               // used; -1: unknown
	Lines        map[string]int    // by rule: lines that matched within its window
	Parts        map[string]string // the engine, the ingress: why it does not answer
	Blind        bool              // services, their certificates and their lines are not known yet
	Broken       string            // why a changed configuration does not count; "": it does
}

// State is how a service is.
type State struct {
	State, Says string
	Looping     string // how it ends again and again; "": it does not
}

// Alert is something that is wrong, by one rule.
type Alert struct {
	Name  string // rule/subject
	Rule  string
	About string // a service in full, a host, a path
	Says  string
	Since time.Time // it is wrong
	Begun time.Time // it lasted long enough to be told; zero: not yet
	Told  time.Time // when it was told last; zero: never
}

// Silence keeps what matches from being told until then. Name is an alert's, a
// rule's, or what alerts are about; "*" is everything.
type Silence struct {
	Name  string
	Until time.Time
}

// Matches tells whether the silence is about a.
func (s Silence) Matches(a Alert) bool {
	return s.Name == "*" || s.Name == a.Name || s.Name == a.Rule || s.Name == a.About || strings.HasPrefix(a.About, strings.TrimSuffix(s.Name, "/")+".")
}

// Notice is what is to be told by one channel.
type Notice struct {
	ID      int64     `json:"id"`
	Channel string    `json:"channel"`
	Alert   string    `json:"alert"`
	Rule    string    `json:"rule"`
	About   string    `json:"about"`
	State   string    `json:"state"` // unwell; well: it is over; test
	Says    string    `json:"says"`
	Since   time.Time `json:"since"`
	Made    time.Time `json:"made"`
	Again   bool      `json:"again,omitempty"` // it was told before
	Tries   int       `json:"-"`
	Next    time.Time `json:"-"` // not before
}

// Verdict is what a judgement comes to.
type Verdict struct {
	Alerts  []Alert // all that are wrong now
	Notices []Notice
	Events  []api.Event
}

// Judge compares a situation with the alerts that there were.
func (c Config) Judge(s Situation, before []Alert, silences []Silence) Verdict {
	old := map[string]Alert{}
	for _, a := range before {
		old[a.Name] = a
	}
	var v Verdict
	for _, r := range c.InForce() {
		found := r.wrongs(s)
		for _, about := range slices.Sorted(maps.Keys(found)) {
			a := Alert{Name: r.Name + "/" + about, Rule: r.Name, About: about, Since: s.Now}
			if b, there := old[a.Name]; there {
				a = b
				delete(old, a.Name)
			}
			a.Says = found[about]
			if a.Begun.IsZero() && s.Now.Sub(a.Since) >= r.lasts() {
				a.Begun = s.Now
				v.Events = append(v.Events, event(a, "unwell", a.Says))
			}
			again := !a.Told.IsZero()
			due := !again || c.Every() > 0 && s.Now.Sub(a.Told) >= c.Every()
			if !a.Begun.IsZero() && due && !silent(a, silences, s.Now) {
				told := c.notices(r, a, Notice{State: "unwell", Says: a.Says, Again: again, Made: s.Now})
				if len(told) > 0 {
					a.Told = s.Now
				}
				v.Notices = append(v.Notices, told...)
			}
			v.Alerts = append(v.Alerts, a)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		a := old[name]
		if when := c.rule(a.Rule).When; s.Blind && !slices.Contains([]string{Disk, Node, Configuration}, when) {
			v.Alerts = append(v.Alerts, a)
			continue
		}
		if !a.Begun.IsZero() {
			v.Events = append(v.Events, event(a, "well", "it is over"))
		}
		if !a.Told.IsZero() { // who heard the one hears the other, silent or not
			v.Notices = append(v.Notices, c.notices(c.rule(a.Rule), a, Notice{State: "well", Says: "it is over; it was: " + a.Says, Made: s.Now})...)
		}
	}
	return v
}

func (c Config) rule(name string) Rule {
	for _, r := range c.InForce() {
		if r.Name == name {
			return r
		}
	}
	return Rule{Name: name} // it was taken out of the configuration meanwhile
}

func (c Config) notices(r Rule, a Alert, n Notice) []Notice {
	var all []Notice
	for _, ch := range c.Channels {
		if len(r.Channels) == 0 || slices.Contains(r.Channels, ch.Name) {
			n.Channel, n.Alert, n.Rule, n.About, n.Since, n.Next = ch.Name, a.Name, a.Rule, a.About, a.Since, n.Made
			all = append(all, n)
		}
	}
	return all
}

func event(a Alert, state, says string) api.Event {
	e := api.Event{Kind: api.AlertEvent, State: state, Says: a.Name + ": " + says}
	if parts := strings.SplitN(a.About, ".", 3); len(parts) == 3 && (a.Rule != Certificate) && !strings.Contains(parts[2], ".") {
		e.Environment, e.Project, e.Service = parts[0], parts[1], parts[2]
	}
	return e
}

func silent(a Alert, silences []Silence, now time.Time) bool {
	return slices.ContainsFunc(silences, func(s Silence) bool { return now.Before(s.Until) && s.Matches(a) })
}

// wrongs is what a rule finds wrong: what it is about, and what to say.
func (r Rule) wrongs(s Situation) map[string]string {
	found := map[string]string{}
	switch r.When {
	case Down, CrashLoop:
		for name, st := range s.Services {
			if r.Service != "" && r.Service != name {
				continue
			}
			if r.When == Down && (st.State == "failing" || st.State == "starting") {
				found[name] = st.State + ": " + st.Says
			}
			if r.When == CrashLoop && st.Looping != "" {
				found[name] = "it starts again and again: " + st.Looping
			}
		}
	case Certificate:
		for host, end := range s.Certificates {
			if left := end.Sub(s.Now); left < time.Duration(or(r.Days, 7))*24*time.Hour {
				found[host] = fmt.Sprintf("its certificate ends on %s", end.UTC().Format("2006-01-02 15:04 UTC"))
			}
		}
	case Disk:
		if s.DiskPercent >= or(r.Percent, 90) {
			found[s.DiskPath] = fmt.Sprintf("its disk is full to %d %%", s.DiskPercent)
		}
	case Node:
		for part, says := range s.Parts {
			found[part] = "it does not answer: " + says
		}
	case Configuration:
		if s.Broken != "" {
			found["server"] = "the changed configuration is not taken up, the former one stays: " + s.Broken
		}
	case Log:
		if n := s.Lines[r.Name]; n >= or(r.Count, 10) {
			found[r.Service] = fmt.Sprintf("%d lines match %s within %s", n, r.Expression(), r.Window())
		}
	}
	return found
}
