package guard

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"havre/internal/dockercall"
)

// renew stops containers that have a volume mounted without nosuid and nodev,
// so that the swarm makes them anew with both. After a boot the engine starts
// containers before the guard has made the strict mount that they should have
// come by (mount.go). It tries until the engine answers.
func (g *Guard) renew(ctx context.Context) {
	if g.set.NoRemount {
		return
	}
	running := noun{list: "/containers/json", labels: labelsAt("Labels"), id: "Id"}
	ids, err := g.owned(ctx, running)
	for err != nil {
		if !wait(ctx, 2*time.Second) {
			return
		}
		ids, err = g.owned(ctx, running)
	}
	for _, id := range ids {
		if err := g.renewOne(ctx, id); err != nil && ctx.Err() == nil {
			g.log.Warn("a container may have a volume that is not nosuid,nodev", "container", id, "err", err)
		}
	}
}

func (g *Guard) renewOne(ctx context.Context, id string) error {
	var c struct {
		State  struct{ Pid int }
		Mounts []struct{ Source, Destination string }
	}
	if err := g.engine.get(ctx, "/containers/"+id+"/json", "", &c); err != nil || c.State.Pid == 0 {
		return err
	}
	var volumes []string
	for _, m := range c.Mounts {
		if strings.HasPrefix(m.Source, g.bounds.volumes()+"/") {
			volumes = append(volumes, m.Destination)
		}
	}
	lax, err := laxly(c.State.Pid, volumes)
	if err != nil || lax == "" {
		return err
	}
	g.log.Warn("made anew, because its volume was mounted before the guard was there", "container", id, "mount", lax)
	return g.engine.call(ctx, dockercall.Wire{Method: http.MethodPost, Path: "/containers/" + id + "/stop", Query: "t=10"}, nil)
}

// laxly gives the first of a process's mount points that is not both nosuid
// and nodev (proc(5), mountinfo: field 5 is the mount point, 6 its options).
func laxly(pid int, points []string) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 6 || !slices.Contains(points, f[4]) {
			continue
		}
		options := strings.Split(f[5], ",")
		if !slices.Contains(options, "nosuid") || !slices.Contains(options, "nodev") {
			return f[4], nil
		}
	}
	return "", nil
}
