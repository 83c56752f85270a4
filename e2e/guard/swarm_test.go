package guard_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/lab"
	"havre/internal/service"
	"havre/internal/spec"
	"havre/internal/swarm"
)

// asRoot lets Havre's own client in: it only dials by path, so the socket is
// root's here. What the calls may do does not depend on it.
func asRoot(t *testing.T, s *site) *swarm.Swarm {
	t.Helper()
	c, err := swarm.New(s.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// What Havre's own client sends passes, as it is.
func TestHavresOwnClientPasses(t *testing.T) {
	s := open(t)
	c := asRoot(t, s)
	ctx := t.Context()
	network, err := c.EnsureNetwork(ctx, service.Network{Name: "h-eeeeeee2-1", Environment: "prod", Project: "eeeeeee2", Subnet: "10.87.40.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	d := service.Desired{
		Environment: "prod", Project: "eeeeeee2", ID: "fffffff2", Rollout: 1, Network: network, Image: s.vars["IMAGE"],
		Variables: []string{"FORMAT={{.Name}}"},
		Spec: spec.Service{
			Name: "web", Image: "app", Replicas: 1, Hostname: "web", Labels: map[string]string{"team": "blue"},
			Mounts: []spec.Mount{{Kind: spec.Tmpfs, Target: "/run", Size: 1 << 20}},
			Limits: spec.Limits{Memory: 64 << 20, CPUs: 0.5}, Health: &spec.Health{Test: []string{"CMD", "/app", "healthcheck"}},
		},
	}
	if err := c.StartService(ctx, d); err != nil {
		t.Fatal(err)
	}
	running := func(ctx context.Context) (service.Observed, error) {
		snap, err := c.Snapshot(ctx)
		if err != nil {
			return service.Observed{}, err
		}
		for _, o := range snap.Services {
			if o.Project == d.Project && len(o.Tasks) > 0 && o.Tasks[0].State == service.Running {
				return o, nil
			}
		}
		return service.Observed{}, fmt.Errorf("not in %+v", snap.Services)
	}
	lab.Eventually(t, "the service to run", func(ctx context.Context) error { _, err := running(ctx); return err })
	o, err := running(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.RestartService(ctx, o.SwarmID); err != nil {
		t.Errorf("restart: %v", err)
	}
	if err := c.ScaleService(ctx, o.SwarmID, 0); err != nil {
		t.Errorf("scale: %v", err)
	}
	// The portal of prod is the site's: the attacks aim at it.
	qualif, err := c.EnsureNetwork(ctx, service.Network{Name: "h-eeeeeee3-1", Environment: "qualif", Project: "eeeeeee3", Subnet: "10.87.41.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.EnsurePortal(ctx, "qualif", []string{qualif}); err != nil && !strings.Contains(err.Error(), "/none") {
		t.Errorf("portal: %v", err) // the image of this test has no program to start
	}
	if err := c.RemovePortal(ctx, "qualif"); err != nil {
		t.Error(err)
	}
	if err := c.RemoveService(ctx, o.SwarmID); err != nil {
		t.Error(err)
	}
	for _, n := range []string{network, qualif} {
		if err := c.RemoveNetwork(ctx, n); err != nil {
			t.Error(err)
		}
	}
}

func TestImageThatDockerSavedIsLoadedAndBuiltUpon(t *testing.T) {
	s := open(t)
	c := asRoot(t, s)
	file := filepath.Join(s.Dir, "saved.tar")
	s.Docker(t, "save", "-o", file, "secret:latest")
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	loaded, err := c.LoadImage(t.Context(), "prod", "taken:1", f)
	if err != nil || loaded.ID != s.vars["OTHERIMAGE"] {
		t.Fatalf("loaded %+v, %v", loaded, err)
	}
	context := tarOf(t, map[string]string{"Dockerfile": "FROM taken:1\nCOPY \\\n  app.conf /etc/app.conf\n", "app.conf": "x"})
	var lines []string
	err = c.BuildImage(t.Context(), swarm.BuildRequest{Environment: "prod", Name: "built:1"}, context, func(l string) { lines = append(lines, l) })
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(lines, "\n"))
	}
	if _, err := c.Image(t.Context(), "prod", "built:1"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"built:1", "taken:1"} {
		if err := c.RemoveImage(t.Context(), "prod", name); err != nil {
			t.Error(err)
		}
	}
	s.Docker(t, "image", "inspect", "secret:latest") // another's name of it stays
}
