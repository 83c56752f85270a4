package swarm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/guard"
	"havre/internal/lab"
	"havre/internal/portal"
	"havre/internal/service"
	"havre/internal/spec"
	"havre/internal/swarm"
)

var shared lab.Shared

func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }

// portalGroup stands for the ingress's group.
const portalGroup, portalUser = 23456, 23457

// world is the shared engine with a guard in front of it.
type world struct {
	*lab.World
	swarm *swarm.Swarm
	image string // id of lab/app
	data  string // the guard's data directory
}

// open starts a guard that ends after everything else of the test.
func open(t *testing.T) world {
	t.Helper()
	w := world{World: shared.World(t)}
	w.data = filepath.Join(w.Dir, "havre")
	socket := filepath.Join(w.Dir, "guard.sock")
	if err := os.Mkdir(w.data, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	own := filepath.Join(w.data, "guard")
	if err := guard.WriteBounds(own, guard.DefaultBounds(w.data, 0, portalGroup)); err != nil {
		t.Fatal(err)
	}
	w.guarded(t, guard.Settings{Dir: own, Socket: socket, Engine: w.Socket, PortalImage: portalImage, PortalUser: portalUser, NoFirewall: true})
	w.image = lab.ScratchImage(t, w.World, "havre.invalid/prod/app:latest")
	return w
}

// guarded runs a guard until the test ends, and talks to that one.
func (w *world) guarded(t *testing.T, set guard.Settings) {
	t.Helper()
	g, err := guard.New(set)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	w.connect(t, set.Socket)
}

func (w *world) connect(t *testing.T, socket string) {
	t.Helper()
	var err error
	if w.swarm, err = swarm.New(socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.swarm.Close() })
	lab.Eventually(t, "the guard", w.swarm.Ready)
	if err := w.swarm.EnsureSwarm(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func portalImage() (io.Reader, string, error) {
	image, err := portal.Image(portal.Users{Own: portalUser})
	return bytes.NewReader(image.Bytes), image.ID, err
}

// project makes a network for a project that no other test has.
func (w world) project(t *testing.T, id spec.ProjectID, subnet string) service.Desired {
	t.Helper()
	network, err := w.swarm.EnsureNetwork(t.Context(), service.Network{
		Name: fmt.Sprintf("h-%s-1", id), Environment: "prod", Project: id, Subnet: subnet,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.clean(t, id, network) })
	return service.Desired{
		Environment: "prod", Project: id, ID: "aaaaaaa2", Rollout: 1, Network: network, Image: w.image,
		Spec: spec.Service{Name: "web", Image: "app", Replicas: 1},
	}
}

// clean works after the test's own context has ended.
func (w world) clean(t *testing.T, id spec.ProjectID, network string) {
	ctx := context.WithoutCancel(t.Context())
	snap, err := w.swarm.Snapshot(ctx)
	if err != nil {
		t.Error(err)
	}
	for _, o := range snap.Services {
		if o.Project == id && o.SwarmID != "" {
			if err := w.swarm.RemoveService(ctx, o.SwarmID); err != nil {
				t.Error(err)
			}
		}
	}
	if err := w.swarm.RemoveNetwork(ctx, network); err != nil {
		t.Error(err)
	}
}

func (w world) start(t *testing.T, d service.Desired) {
	t.Helper()
	if err := w.swarm.StartService(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// observe finds the rollout in a fresh snapshot.
func (w world) observe(ctx context.Context, d service.Desired) (service.Observed, error) {
	snap, err := w.swarm.Snapshot(ctx)
	if err != nil {
		return service.Observed{}, err
	}
	for _, o := range snap.Services {
		if o.Project == d.Project && o.ID == d.ID && o.Rollout == d.Rollout {
			return o, nil
		}
	}
	return service.Observed{}, fmt.Errorf("no %s in %v", d.Name(), snap.Services)
}

// until waits until the rollout is as wanted and returns it.
func (w world) until(t *testing.T, d service.Desired, what string, ok func(service.Observed) bool) service.Observed {
	t.Helper()
	var o service.Observed
	lab.Eventually(t, what, func(ctx context.Context) (err error) {
		if o, err = w.observe(ctx, d); err == nil && !ok(o) {
			err = fmt.Errorf("it is %s", describe(o))
		}
		return err
	})
	return o
}

func describe(o service.Observed) string {
	var tasks []string
	for _, t := range o.Tasks {
		tasks = append(tasks, fmt.Sprintf("%+v", t))
	}
	return fmt.Sprintf("%s, %d replicas:\n%s", o.SwarmID, o.Replicas, strings.Join(tasks, "\n"))
}

// runs counts tasks that run and are wanted.
func runs(o service.Observed) int {
	n := 0
	for _, t := range o.Tasks {
		if t.State == service.Running && t.Wanted {
			n++
		}
	}
	return n
}
