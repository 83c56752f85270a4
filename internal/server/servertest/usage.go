package servertest

import (
	"context"

	"havre/internal/api"
)

// Usage has every service use the same, and more each time.
func (f *Fake) Usage(ctx context.Context, environment, project string) ([]api.Usage, error) {
	list, err := f.List(ctx, environment, project)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read++
	n := int64(f.read)
	var all []api.Usage
	for _, s := range list {
		all = append(all, api.Usage{
			Name: s.Name, Project: s.Project, Environment: s.Environment, State: s.State, At: f.now(), Containers: s.Healthy, Rollout: s.Rollout,
			CPU: float64(n), Memory: 8 << 20, MemoryLimit: 64 << 20, NetIn: 1000 * n, NetOut: 2000 * n,
			Requests: []int64{0, 0, 10 * n, 0, 0, 0}, Latency: []int64{10 * n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, Seconds: float64(n),
		})
	}
	return all, nil
}

// Metrics gives one.
func (f *Fake) Metrics(context.Context) ([]byte, error) {
	return []byte("# TYPE havre_fake gauge\nhavre_fake 1\n"), nil
}
