package role

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/alert"
	"havre/internal/api"
	"havre/internal/notify"
	"havre/internal/problem"
	"havre/internal/store"
)

// alertsEvery is how often rules are judged and notices tried.
const alertsEvery = 5 * time.Second

// newWatch wires alerts to what this machine knows.
func newWatch(c alert.Config, b *backend, db *store.Store) *alert.Watch {
	file := &alertFile{layout: b.layout}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	l := &lines{b: b, from: map[string]time.Time{}, hits: map[string][]time.Time{}}
	return &alert.Watch{
		Config: c, Reread: file.reread, Keeper: db, Queue: db, Sender: notify.Sender{Host: host, Instance: host}, Happens: b.journal.Wake, Every: alertsEvery, Log: b.log,
		Look: func(ctx context.Context, c alert.Config) (alert.Situation, error) { return b.situation(ctx, c, l) },
	}
}

func (b *backend) situation(ctx context.Context, c alert.Config, l *lines) (alert.Situation, error) {
	s := alert.Situation{Now: time.Now().UTC(), Services: map[string]alert.State{}, Certificates: b.seer.certs.Ends(), DiskPath: b.layout.Data, DiskPercent: fullness(b.layout.Data)}
	s.Parts = b.silentParts(ctx)
	if s.Blind = b.loop.Sight().At.IsZero(); s.Blind {
		return s, nil
	}
	services, err := b.List(ctx, "", "")
	if err != nil {
		return s, err
	}
	seen := b.journal.Current().Services
	for _, a := range services {
		full := a.Environment + "." + a.Project + "." + a.Name
		s.Services[full] = alert.State{State: a.State, Says: a.Says, Looping: seen[full].Looping}
	}
	s.Lines = l.count(ctx, c.InForce())
	return s, nil
}

// alertFile is the server's configuration file, of which alerts are taken up
// while the server runs.
type alertFile struct {
	layout Layout
	read   bool // it was read before
	there  bool
	text   []byte
}

// reread gives what the file says of alerts when it is not what it was. It is
// small, so that it is read whole: no change is overlooked.
// Errors: those of Load; NotFound when it was removed, as editors do for a
// moment.
func (f *alertFile) reread() (c alert.Config, changed bool, err error) {
	text, err := os.ReadFile(f.layout.Config("server"))
	there := !errors.Is(err, fs.ErrNotExist)
	if err != nil && there {
		text = []byte(err.Error()) // which is told once
	}
	if f.read && there == f.there && bytes.Equal(text, f.text) {
		return c, false, nil
	}
	first := !f.read
	f.read, f.there, f.text = true, there, text
	if !there && !first {
		return c, true, problem.New(problem.NotFound, "%s is gone", f.layout.Config("server")).With("write it again, or end the server to do without")
	}
	whole, err := Load(f.layout, "server", defaultServer())
	if err != nil {
		return c, true, err
	}
	return whole.Alert, true, nil
}

// silentParts tells why the engine or the ingress does not answer.
func (b *backend) silentParts(ctx context.Context) map[string]string {
	silent := map[string]string{}
	for _, part := range []func(context.Context) api.Part{b.enginePart, b.ingressPart} {
		soon, cancel := context.WithTimeout(ctx, 5*time.Second)
		if p := part(soon); !p.Well {
			silent[p.Name] = p.Says
		}
		cancel()
	}
	return silent
}

// fullness is how full the disk of a directory is for us, in percent; -1 when
// nobody knows.
func fullness(dir string) int {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil || st.Blocks == 0 {
		return -1
	}
	used := st.Blocks - st.Bfree
	return int(100 * used / (used + st.Bavail)) // as df(1) counts
}

// lines counts lines of logs that match rules.
type lines struct {
	b *backend

	mu   sync.Mutex           // guards what follows
	from map[string]time.Time // by what is counted, as hits
	hits map[string][]time.Time
}

// counted is what a rule counts: one that was changed begins anew.
func counted(r alert.Rule) string {
	return strings.Join([]string{r.Name, r.Service, r.Pattern, r.Within}, "\x00")
}

// mostHits of a rule are remembered; more say nothing more.
const mostHits = 10_000

func (l *lines) count(ctx context.Context, rules []alert.Rule) map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, counts := map[string]int{}, map[string]bool{}
	for _, r := range rules {
		if r.When == alert.Log {
			found[r.Name] = l.rule(ctx, r)
			counts[counted(r)] = true
		}
	}
	maps.DeleteFunc(l.from, func(key string, _ time.Time) bool { return !counts[key] })
	maps.DeleteFunc(l.hits, func(key string, _ []time.Time) bool { return !counts[key] })
	return found
}

// rule reads what came since the last time. A service that is not there has no
// lines.
func (l *lines) rule(ctx context.Context, r alert.Rule) int {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	key, begin := counted(r), time.Now().Add(-r.Window())
	from, re := l.from[key], r.Expression()
	if from.Before(begin) {
		from = begin
	}
	hits, last := l.hits[key], from
	err := l.b.Logs(ctx, api.Target{Name: r.Service}, api.LogOptions{Since: from}, func(line api.Line) error {
		if line.Time.After(from) && len(hits) < mostHits && re.MatchString(line.Text) {
			hits = append(hits, line.Time)
		}
		if line.Time.After(last) {
			last = line.Time
		}
		return nil
	})
	if err == nil {
		l.from[key], l.hits[key] = last, hits
	}
	kept := l.hits[key][:0:0]
	for _, at := range l.hits[key] {
		if at.After(begin) {
			kept = append(kept, at)
		}
	}
	l.hits[key] = kept
	return len(kept)
}

// Alerts tells what is wrong by the rules.
func (b *backend) Alerts(ctx context.Context) (api.Alerts, error) {
	now := time.Now()
	alerts, silences, err := b.db.Alerts(ctx, now)
	if err != nil {
		return api.Alerts{}, err
	}
	waiting, err := b.db.Notices(ctx)
	if err != nil {
		return api.Alerts{}, err
	}
	all := api.Alerts{Waiting: len(waiting)}
	for _, c := range b.watch.Current().Channels {
		all.Channels = append(all.Channels, c.Name)
	}
	for _, s := range silences {
		all.Silences = append(all.Silences, api.Silence{Name: s.Name, Until: s.Until})
	}
	for _, a := range alerts {
		state := "unwell"
		for _, s := range silences {
			if s.Matches(a) {
				state = "silenced"
			}
		}
		if a.Begun.IsZero() {
			state = "pending"
		}
		all.Alerts = append(all.Alerts, api.Alert{Name: a.Name, Rule: a.Rule, About: a.About, Says: a.Says, Since: a.Since, State: state, ToldAt: a.Told})
	}
	return all, nil
}

// Silence keeps what name matches from being told for a while; 0 ends it.
func (b *backend) Silence(ctx context.Context, name string, span time.Duration) (api.Alerts, error) {
	if err := b.db.SaveSilence(ctx, alert.Silence{Name: name, Until: time.Now().Add(span)}); err != nil {
		return api.Alerts{}, err
	}
	return b.Alerts(ctx)
}

// TestAlerts sends a test by a channel, or by each.
// Errors: NotFound when there is no such channel, or none.
func (b *backend) TestAlerts(ctx context.Context, channel string) ([]api.Tested, error) {
	said := b.watch.Test(ctx, channel)
	if len(said) == 0 && channel == "" {
		return nil, problem.New(problem.NotFound, "there are no channels").With("write some into %s, as docs/operate/alerts.md says", b.layout.Config("server"))
	}
	if len(said) == 0 {
		return nil, problem.New(problem.NotFound, "no channel is named %s", channel).With("list them with: havre alert ls")
	}
	var all []api.Tested
	for _, c := range b.watch.Current().Channels {
		if err, tried := said[c.Name]; tried {
			t := api.Tested{Channel: c.Name, OK: err == nil}
			if err != nil {
				t.Says = problem.Of(err).Error()
			}
			all = append(all, t)
		}
	}
	return all, nil
}
