package projecttest

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/spec"
)

// RunRecords holds any project.Records to what the deployer and the loop rely
// on. open gives an empty one.
func RunRecords(t *testing.T, open func(t *testing.T) project.Records) {
	for says, test := range map[string]func(*testing.T, project.Records){
		"empty at first":                     empty,
		"what was saved is read":             savedIsRead,
		"by environment and name":            sorted,
		"a stale record is not saved":        stale,
		"saving replaces the whole":          replaces,
		"what was forgotten leaves nothing":  forgotten,
		"forgetting twice is no error":       forgottenTwice,
		"a name is one project's":            oneName,
		"of writers at once, none is lost":   writers,
		"what was read is the reader's own":  unshared,
		"a context that is done is an error": done,
	} {
		t.Run(says, func(t *testing.T) { test(t, open(t)) })
	}
}

// Example is a record with everything in it.
func Example(name string) project.Record {
	web := spec.Service{
		Name: "web", Image: "app:1", Replicas: 2, Environment: map[string]string{"A": "1"}, StopGrace: spec.Duration(3 * time.Second),
		Ports:  []spec.Port{{Internal: 80, External: 4000, Protocol: spec.TCP, Access: spec.Private}},
		Mounts: []spec.Mount{{Kind: spec.Volume, Source: "data", Target: "/data"}, {Kind: spec.Config, Source: "a.conf", Target: "/a"}},
	}
	file := spec.File{Name: "a.conf", Content: []byte{0, 1, 255}, Mode: 0o440}
	at := time.Unix(100, 200).UTC()
	img := service.Image{ID: "sha256:a", Ports: []uint16{80}, Volumes: []string{"/data"}, User: "www", Health: true, Created: at}
	return project.Record{
		ID: spec.ProjectID("p-" + name), Environment: "prod", Name: name, Subnet: "10.87.0.0/24", Links: []project.LinkNet{{To: "other/db", Subnet: "10.87.1.0/24"}}, Awaits: []project.Await{{Volume: "data", From: "./data"}},
		Declared: spec.Project{Name: name, Services: []spec.Service{web}, Files: []spec.File{file}},
		Services: []project.Service{
			{ID: spec.ServiceID("d-" + name), Name: "db", Stopped: true, Removed: true},
			{ID: spec.ServiceID("w-" + name), Name: "web", Active: 1, Target: 10, Rollouts: []project.Rollout{
				{Number: 1, State: project.Active, Digest: "x", Spec: web, Files: []spec.File{file}, Image: img, Created: at, Started: at},
				{Number: 2, State: project.Failed, Reason: "it crashed", Lines: []string{"a", "b"}, Spec: web, Image: img, Created: at},
				{Number: 10, State: project.Pending, Spec: web, Image: img, Created: at},
			}},
		},
	}
}

func save(t *testing.T, s project.Records, r project.Record) {
	t.Helper()
	if err := s.SaveProject(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, s project.Records) []project.Record {
	t.Helper()
	all, err := s.Projects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func empty(t *testing.T, s project.Records) {
	if all := read(t, s); len(all) != 0 {
		t.Errorf("got %+v", all)
	}
}

func savedIsRead(t *testing.T, s project.Records) {
	save(t, s, Example("shop"))
	want := Example("shop")
	want.Version = 1
	if got := read(t, s); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func sorted(t *testing.T, s project.Records) {
	other := Example("a")
	other.Environment, other.ID = "test", "p-other"
	other.Services = nil
	for _, r := range []project.Record{other, Example("b"), Example("a")} {
		save(t, s, r)
	}
	all := read(t, s)
	if len(all) != 3 || all[0].ID != "p-a" || all[1].ID != "p-b" || all[2].ID != "p-other" {
		t.Errorf("got %+v", all)
	}
}

func stale(t *testing.T, s project.Records) {
	save(t, s, Example("shop"))
	r := read(t, s)[0]
	r.Services[1].Stopped = true
	save(t, s, r)
	r.Services[1].Stopped = false
	if err := s.SaveProject(t.Context(), r); problem.KindOf(err) != problem.Busy {
		t.Errorf("saving twice from one reading: %v; want Busy", err)
	}
	if got := read(t, s)[0]; !got.Services[1].Stopped || got.Version != 2 {
		t.Errorf("got %+v", got)
	}
	if err := s.SaveProject(t.Context(), Example("shop")); problem.KindOf(err) != problem.Busy {
		t.Errorf("saving it as if it were new: %v; want Busy", err)
	}
}

func replaces(t *testing.T, s project.Records) {
	save(t, s, Example("shop"))
	r := read(t, s)[0]
	r.Name, r.Subnet, r.Removed = "Shop", "10.87.9.0/24", true
	r.Services = r.Services[1:]
	r.Services[0].Rollouts = r.Services[0].Rollouts[1:]
	r.Declared.Files = nil
	save(t, s, r)
	r.Version++
	if got := read(t, s); len(got) != 1 || !reflect.DeepEqual(got[0], r) {
		t.Errorf("got  %+v\nwant %+v", got, r)
	}
}

func forgotten(t *testing.T, s project.Records) {
	save(t, s, Example("shop"))
	save(t, s, Example("blog"))
	if err := s.ForgetProject(t.Context(), "p-shop"); err != nil {
		t.Fatal(err)
	}
	if all := read(t, s); len(all) != 1 || all[0].Name != "blog" {
		t.Errorf("got %+v", all)
	}
	save(t, s, Example("shop")) // its name and ids are free again
}

func forgottenTwice(t *testing.T, s project.Records) {
	for range 2 {
		if err := s.ForgetProject(t.Context(), "p-shop"); err != nil {
			t.Error(err)
		}
	}
}

func oneName(t *testing.T, s project.Records) {
	save(t, s, Example("shop"))
	r := Example("shop")
	r.ID, r.Services = "p-other", nil
	if err := s.SaveProject(t.Context(), r); err == nil {
		t.Error("two projects of one environment have one name")
	}
}

func writers(t *testing.T, s project.Records) {
	save(t, s, Example("shop"))
	const writers, times = 4, 5
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range times {
				addOne(t, s)
			}
		})
	}
	all.Wait()
	if got := read(t, s)[0].Services[1].Active; got != 1+writers*times {
		t.Errorf("of %d additions, %d are there", writers*times, got-1)
	}
}

// addOne tries until it was not stale.
func addOne(t *testing.T, s project.Records) {
	for range 1000 {
		all, err := s.Projects(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		all[0].Services[1].Active++
		err = s.SaveProject(t.Context(), all[0])
		if problem.KindOf(err) == problem.Busy {
			continue
		}
		if err != nil {
			t.Error(err)
		}
		return
	}
	t.Error("stale for ever")
}

func unshared(t *testing.T, s project.Records) {
	r := Example("shop")
	save(t, s, r)
	r.Services[1].Rollouts[0].Lines = []string{"spoilt"}
	r.Declared.Services[0].Environment["A"] = "spoilt"
	read(t, s)[0].Services[1].Rollouts[0].Spec.Environment["A"] = "spoilt"
	want := Example("shop")
	want.Version = 1
	if got := read(t, s)[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func done(t *testing.T, s project.Records) {
	save(t, s, Example("shop"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := read(t, s)[0]
	r.Removed = true
	if s.SaveProject(ctx, r) == nil {
		t.Error("it saves for nobody")
	}
	if read(t, s)[0].Removed {
		t.Error("it said no and saved")
	}
}
