package reconcile_test

import (
	"cmp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"havre/internal/deploy"
	"havre/internal/project"
	"havre/internal/project/projecttest"
	"havre/internal/reconcile"
	"havre/internal/reconcile/reconciletest"
	"havre/internal/service"
	"havre/internal/spec"
)

// apps are the images of these tests.
func apps() map[string]reconciletest.App {
	return map[string]reconciletest.App{
		"sha256:good":     {Says: []string{"ready"}},
		"sha256:better":   {Boot: time.Second},
		"sha256:data":     {Image: service.Image{Volumes: []string{"/data"}}, Stops: 2 * time.Second},
		"sha256:data2":    {Image: service.Image{Volumes: []string{"/data"}}, Stops: time.Second},
		"sha256:filled":   {Image: service.Image{Volumes: []string{"/data"}, Init: "/dk/container_init"}, Init: 2 * time.Second},
		"sha256:broken":   {Image: service.Image{Volumes: []string{"/data"}, Init: "/dk/container_init"}, Init: 2 * time.Second, InitExit: 3, Says: []string{"no disk"}},
		"sha256:endless":  {Image: service.Image{Volumes: []string{"/data"}, Init: "/dk/container_init"}, Init: 24 * time.Hour, Says: []string{"filling"}},
		"sha256:tardy":    {Image: service.Image{Volumes: []string{"/data"}, Init: "/dk/container_init"}, InitSlow: 20 * time.Second, Init: time.Second},
		"sha256:unbegun":  {Image: service.Image{Volumes: []string{"/data"}, Init: "/dk/container_init"}, InitSlow: 24 * time.Hour},
		"sha256:lost":     {Image: service.Image{Volumes: []string{"/data"}, Init: "/dk/container_init"}, InitLost: 1 << 20},
		"sha256:lost2":    {Image: service.Image{Volumes: []string{"/data"}, Init: "/dk/container_init"}, InitLost: 2},
		"sha256:cut":      {Image: service.Image{Volumes: []string{"/data"}, Init: "/dk/container_init"}, InitCut: true},
		"sha256:up2":      {Image: service.Image{Volumes: []string{"/data"}}, Upgrade: 2 * time.Second},
		"sha256:up3":      {Image: service.Image{Volumes: []string{"/data"}}, Upgrade: 20 * time.Second},
		"sha256:downhill": {Image: service.Image{Volumes: []string{"/data"}}, UpgradeExit: 5, Says: []string{"no such table"}},
		"sha256:forever":  {Image: service.Image{Volumes: []string{"/data"}}, Upgrade: 24 * time.Hour, Says: []string{"table 1 of 9"}},
		"sha256:crash":    {Lives: time.Second, Exit: 3, Says: []string{"a", "no database"}},
		"sha256:deaf":     {Deaf: true},
		"sha256:once":     {Lives: time.Second},
		"sha256:check":    {Check: "pass"},
	}
}

// world is a loop, what it works on, and what it is to make true.
type world struct {
	t       *testing.T
	cluster *reconciletest.Cluster
	records *projecttest.Memory
	loop    *reconcile.Loop
}

// in runs a test in a time of its own.
func in(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, cluster: reconciletest.New(apps()), records: &projecttest.Memory{}}
		w.restart()
		test(t, w)
		if broken := w.cluster.Broken(); len(broken) > 0 {
			t.Errorf("broken promises: %v", broken)
		}
	})
}

// restart makes a new loop, as a new process does.
func (w *world) restart() {
	w.loop = reconcile.New(w.cluster.Hands(w.records), reconcile.Settings{})
}

// web makes a service of an image with a port.
func web(name, image string, port uint16) spec.Service {
	s := spec.Service{Name: name, Image: image, Replicas: 1}
	if port != 0 {
		s.Ports = []spec.Port{{Internal: 80, External: port, Protocol: spec.TCP, Access: spec.Public}}
	}
	return s
}

// apply remembers a declaration, as the deployer does.
func (w *world) apply(name string, services ...spec.Service) project.Record {
	w.t.Helper()
	return w.applyWith(spec.Project{Name: name, Services: services})
}

func (w *world) applyWith(p spec.Project) project.Record {
	w.t.Helper()
	old, there := w.find(p.Name)
	if !there {
		old = project.Record{ID: spec.ProjectID("p" + p.Name), Environment: cmp.Or(p.Name, "prod")[:1], Name: p.Name, Subnet: "10.87." + p.Name + ".0/24"}
	}
	found := deploy.Found{Images: map[string]service.Image{}}
	for _, s := range p.Services {
		img, err := w.cluster.Image(w.t.Context(), "", s.Image)
		if err != nil {
			w.t.Fatal(err)
		}
		found.Images[s.Name] = img
		for _, l := range s.Links {
			found.Links = append(found.Links, project.LinkNet{To: l.To, Subnet: "10.88." + p.Name + ".0/24"})
		}
	}
	o, err := deploy.Declare(old, p, found, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	w.save(o.Record)
	return o.Record
}

func (w *world) find(name string) (project.Record, bool) {
	w.t.Helper()
	all, err := w.records.Projects(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(r project.Record) bool { return r.Name == name })
	if i < 0 {
		return project.Record{}, false
	}
	return all[i], true
}

func (w *world) save(r project.Record) {
	w.t.Helper()
	if err := w.records.SaveProject(w.t.Context(), r); err != nil {
		w.t.Fatal(err)
	}
}

// change changes a project's record.
func (w *world) change(name string, do func(r *project.Record)) {
	w.t.Helper()
	r, _ := w.find(name)
	do(&r)
	w.save(r)
}

// remove removes a whole project, as the deployer does.
func (w *world) remove(name string) {
	w.t.Helper()
	w.change(name, func(r *project.Record) {
		for i := range r.Services {
			r.Services[i].Removed = true
		}
		r.Removed, r.Declared.Services = true, nil
	})
}

// settle makes passes until two in a row found nothing to do. A loop that was
// killed is followed by a new one.
func (w *world) settle() {
	w.t.Helper()
	calm := 0
	var last error
	for range 1000 {
		pace, err := w.loop.Pass(w.t.Context())
		if w.cluster.Crashed() {
			w.restart()
			calm = 0
			continue
		}
		last = err
		if calm++; pace != reconcile.Calm || err != nil {
			calm = 0
		}
		if calm == 2 {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
	w.t.Fatalf("it does not settle: %v; %+v", last, w.cluster.State())
}

// passFor makes passes for a while.
func (w *world) passFor(d time.Duration) (last error) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		_, last = w.loop.Pass(w.t.Context())
	}
	return last
}

// serving is the number of the rollout that serves, and the state of the last.
func (w *world) serving(name, svc string) (int, project.RolloutState) {
	w.t.Helper()
	r, _ := w.find(name)
	s := r.Service(svc)
	if s == nil {
		w.t.Fatalf("no service %s", svc)
	}
	return s.Active, s.Rollout(s.Last()).State
}
