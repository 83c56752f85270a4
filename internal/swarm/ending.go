package swarm

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"havre/internal/problem"
)

// longestHealthLog bounds what is kept of a health check's output.
const longestHealthLog = 2 << 10

// defaultRetries is how many failures make a container unhealthy when its
// check does not say (Docker API 1.41, HealthConfig).
const defaultRetries = 3

// look is what only the container itself tells.
type look struct {
	health string
	log    string
	exit   int
	oom    bool
}

// ended remembers how containers ended: that never changes, and asking costs
// a call each. The zero value is ready.
type ended struct {
	mu sync.Mutex
	of map[string]look // guarded by mu
}

func (e *ended) get(id string) (look, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l, ok := e.of[id]
	return l, ok
}

func (e *ended) put(id string, l look) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.of == nil {
		e.of = map[string]look{}
	}
	e.of[id] = l
}

// keep forgets all containers that the engine has forgotten, which bounds
// what is remembered.
func (e *ended) keep(there map[string]container.Summary) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id := range e.of {
		if _, still := there[id]; !still {
			delete(e.of, id)
		}
	}
}

// over tells whether a container in this state runs no more.
func over(s container.ContainerState) bool {
	return s == container.StateExited || s == container.StateDead
}

// healthOf reads the health of a running container from the list, which
// before API 1.52 says it only within the words for people.
func healthOf(c container.Summary) string {
	for _, h := range []struct{ words, health string }{
		{"(healthy)", "healthy"}, {"(unhealthy)", "unhealthy"}, {"(health: starting)", "starting"},
	} {
		if strings.HasSuffix(c.Status, h.words) {
			return h.health
		}
	}
	return ""
}

// look asks about a container only what the list does not say.
func (s *Swarm) look(ctx context.Context, c container.Summary) (look, error) {
	health := healthOf(c)
	if !over(c.State) && (health == "" || health == "healthy") {
		return look{health: health}, nil
	}
	if l, known := s.seen.get(c.ID); known {
		return l, nil
	}
	r, err := s.api.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
	if err = explain(err, "look at container %.12s", c.ID); problem.KindOf(err) == problem.NotFound {
		return look{health: health}, nil // it went in between
	} else if err != nil {
		return look{}, err
	}
	l := lookAt(r.Container)
	if final(r.Container.State, l, time.Now()) {
		s.seen.put(c.ID, l)
	}
	return l, nil
}

// oomDelay is how long after a container's end the engine may still learn that
// the kernel killed it for its memory (cgroup events come on a way of their own).
const oomDelay = 5 * time.Second

// final tells whether a container has ended and nothing more will be known of it.
func final(st *container.State, l look, now time.Time) bool {
	if st == nil || !over(st.Status) {
		return false
	}
	end, err := time.Parse(time.RFC3339Nano, st.FinishedAt)
	return l.exit != 137 || l.oom || err != nil || now.Sub(end) > oomDelay
}

func lookAt(c container.InspectResponse) look {
	if c.State == nil {
		return look{}
	}
	l := look{oom: c.State.OOMKilled, exit: c.State.ExitCode}
	h := c.State.Health
	if h == nil {
		return l
	}
	// An engine calls every container with a check unhealthy once it has ended
	// (moby, container/health.go); only the count tells.
	if !over(c.State.Status) {
		l.health, l.log = string(h.Status), lastFailure(h.Log)
	} else if late := h.FailingStreak - retriesOf(c.Config); late >= 0 {
		l.health, l.log = string(container.Unhealthy), cmp.Or(lastFailure(before(late, h.Log)), lastFailure(h.Log))
	}
	return l
}

// before leaves out the checks that ran after the container was unhealthy:
// while it is stopped, its server refuses them and its end kills them. Of an
// engine's five results the oldest always stays.
func before(late int, log []*container.HealthcheckResult) []*container.HealthcheckResult {
	return log[:min(len(log), max(1, len(log)-late))]
}

func retriesOf(c *container.Config) int {
	if c == nil || c.Healthcheck == nil || c.Healthcheck.Retries == 0 {
		return defaultRetries
	}
	return c.Healthcheck.Retries
}

// lastFailure is the end of what the last failed check printed that printed
// anything. A check that could not be run has code -1 and says nothing of the
// service: it counts only when no other failed.
func lastFailure(log []*container.HealthcheckResult) string {
	unrun := ""
	for _, r := range slices.Backward(log) {
		if r == nil || r.ExitCode == 0 {
			continue
		}
		text := strings.TrimSpace(r.Output)
		if r.ExitCode > 0 && text != "" {
			return tail(text)
		}
		if r.ExitCode < 0 {
			unrun = cmp.Or(unrun, text)
		}
	}
	return tail(unrun)
}

func tail(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if cut := len(text) - longestHealthLog; cut > 0 {
		text = strings.ToValidUTF8(text[cut:], "")
	}
	return text
}
