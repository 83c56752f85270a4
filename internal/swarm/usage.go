package swarm

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Usage is what a container has used since it started, and uses now.
type Usage struct {
	CPU           time.Duration // of all its processors, added up
	Memory, Limit int64         // bytes; without what is only kept of files, as docker stats shows it
	In, Out       int64         // bytes over its networks
}

// Usage reads what one container uses.
//
// Errors: NotFound when there is no such container.
func (s *Swarm) Usage(ctx context.Context, id string) (Usage, error) {
	r, err := s.api.ContainerStats(ctx, id, client.ContainerStatsOptions{})
	if err != nil {
		return Usage{}, explain(err, "read what container %.12s uses", id)
	}
	defer r.Body.Close()
	var st container.StatsResponse
	if err := json.NewDecoder(r.Body).Decode(&st); err != nil {
		return Usage{}, explain(err, "read what container %.12s uses", id)
	}
	return usageOf(st), nil
}

func usageOf(st container.StatsResponse) Usage {
	u := Usage{CPU: time.Duration(st.CPUStats.CPUUsage.TotalUsage), Memory: int64(st.MemoryStats.Usage), Limit: int64(st.MemoryStats.Limit)}
	for _, name := range []string{"total_inactive_file", "inactive_file"} { // control groups of version 1, of 2
		if idle, there := st.MemoryStats.Stats[name]; there && int64(idle) < u.Memory {
			u.Memory -= int64(idle)
			break
		}
	}
	for _, n := range st.Networks {
		u.In, u.Out = u.In+int64(n.RxBytes), u.Out+int64(n.TxBytes)
	}
	return u
}
