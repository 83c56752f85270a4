package role

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/route"
	"havre/internal/swarm"
)

// meter keeps the last reading, so that many who look cost no more than one.
type meter struct {
	mu   sync.Mutex // guards what follows, and makes one reading at a time
	last []api.Usage
	at   time.Time
}

// A reading is good for readingLife; readers is how many containers are asked
// at once.
const (
	readingLife = 500 * time.Millisecond
	readers     = 8
)

// Usage reads what services use.
func (b *backend) Usage(ctx context.Context, environment, project string) ([]api.Usage, error) {
	if project != "" {
		if _, err := b.List(ctx, environment, project); err != nil {
			return nil, err
		}
	}
	all, err := b.reading(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(all), func(u api.Usage) bool {
		return environment != "" && u.Environment != environment || project != "" && !strings.EqualFold(u.Project, project)
	}), nil
}

func (b *backend) reading(ctx context.Context) ([]api.Usage, error) {
	m := &b.meter
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.at) < readingLife {
		return m.last, nil
	}
	services, err := b.List(ctx, "", "")
	if err != nil {
		return nil, err
	}
	counts, err := b.ingress.Counts(ctx)
	if err != nil {
		counts = nil // an ingress that is away has counted nothing yet
	}
	of := map[string]route.Count{}
	for _, c := range counts {
		of[c.Service] = c
	}
	restarts := b.journal.Current().Services
	used := b.used(ctx, services)
	var all []api.Usage
	for _, s := range services {
		full := s.Environment + "." + s.Project + "." + s.Name
		u := api.Usage{Name: s.Name, Project: s.Project, Environment: s.Environment, State: s.State, At: time.Now().UTC(), Restarts: restarts[full].Restarts, Rollout: s.Rollout}
		c := of[full]
		u.Open, u.Connections, u.Requests, u.Latency, u.Seconds, u.BytesIn, u.BytesOut = c.Open, c.Connections, c.Requests, c.Latency, c.Seconds, c.In, c.Out
		for _, t := range s.Tasks {
			if x, runs := used[t.Container]; runs {
				u.Containers++
				u.CPU += x.CPU.Seconds()
				u.Memory, u.MemoryLimit = u.Memory+x.Memory, u.MemoryLimit+x.Limit
				u.NetIn, u.NetOut = u.NetIn+x.In, u.NetOut+x.Out
			}
		}
		all = append(all, u)
	}
	m.last, m.at = all, time.Now()
	return all, ctx.Err()
}

// used asks the engine for each container that runs. One that goes meanwhile
// uses nothing.
func (b *backend) used(ctx context.Context, services []api.Service) map[string]swarm.Usage {
	var mu sync.Mutex // guards found
	found := map[string]swarm.Usage{}
	ask := make(chan string)
	var asking sync.WaitGroup
	for range readers {
		asking.Go(func() {
			for id := range ask {
				u, err := b.engine.Usage(ctx, id)
				if err != nil {
					if problem.KindOf(err) != problem.NotFound && ctx.Err() == nil {
						b.log.Debug("a container's usage", "container", id, "problem", err)
					}
					continue
				}
				mu.Lock()
				found[id] = u
				mu.Unlock()
			}
		})
	}
	for _, s := range services {
		for _, t := range s.Tasks {
			if t.Container != "" && (t.State == "running" || t.State == "starting") {
				ask <- t.Container
			}
		}
	}
	close(ask)
	asking.Wait()
	return found
}

// Access reads a service's access log.
func (b *backend) Access(ctx context.Context, t api.Target, o api.LogOptions, after string) (api.AccessPage, error) {
	s, err := b.Find(ctx, t)
	if err != nil {
		return api.AccessPage{}, err
	}
	q := url.Values{"service": {s.Environment + "." + s.Project + "." + s.Name}}
	if after != "" {
		if n, err := strconv.ParseInt(after, 10, 64); err != nil || n < 0 {
			return api.AccessPage{}, problem.New(problem.Invalid, "%q is no position of an access log", after).With("use next of the part before")
		}
		q.Set("after", after)
	} else {
		q.Set("n", strconv.Itoa(o.Tail))
		q.Set("since", o.Since.Format(time.RFC3339Nano))
	}
	return b.ingress.Access(ctx, q)
}
