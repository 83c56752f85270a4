package store_test

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/spec"
	"havre/internal/store"
)

func open(t *testing.T, file string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func record(name string) project.Record {
	web := spec.Service{Name: "web", Image: "app:1", Replicas: 1, StopGrace: spec.Duration(3 * time.Second)}
	return project.Record{
		ID: spec.ProjectID("p-" + name), Environment: "prod", Name: name, Subnet: "10.210.0.0/24",
		Declared: spec.Project{Name: name, Services: []spec.Service{web}},
		Services: []project.Service{{
			ID: spec.ServiceID("s-" + name), Name: "web", Active: 1, Target: 2,
			Rollouts: []project.Rollout{{Number: 1, State: project.Active, Spec: web}, {Number: 2, State: project.Pending, Spec: web, Started: time.Unix(100, 0).UTC()}},
		}},
	}
}

func TestWhatWasSavedIsReadAgainAfterReopening(t *testing.T) {
	file := filepath.Join(t.TempDir(), "havre.db")
	s := open(t, file)
	for _, n := range []string{"shop", "blog"} {
		if err := s.SaveProject(t.Context(), record(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, file).Projects(t.Context())
	if err != nil || len(got) != 2 {
		t.Fatalf("got %d projects, %v", len(got), err)
	}
	want := record("blog")
	want.Version = 1
	if !reflect.DeepEqual(got[0], want) {
		t.Errorf("got  %+v\nwant %+v", got[0], want)
	}
}

func TestAStaleRecordIsNotSaved(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "havre.db"))
	if err := s.SaveProject(t.Context(), record("shop")); err != nil {
		t.Fatal(err)
	}
	fresh, err := s.Project(t.Context(), "prod", "shop")
	if err != nil {
		t.Fatal(err)
	}
	fresh.Services[0].Stopped = true
	if err := s.SaveProject(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveProject(t.Context(), fresh); problem.KindOf(err) != problem.Busy {
		t.Errorf("saving twice from one reading: %v; want Busy", err)
	}
	again, err := s.Project(t.Context(), "prod", "shop")
	if err != nil || !again.Services[0].Stopped || again.Version != 2 {
		t.Errorf("got %+v, %v", again, err)
	}
}

func TestMissingProjectIsNotFound(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "havre.db"))
	if _, err := s.Project(t.Context(), "prod", "shop"); problem.KindOf(err) != problem.NotFound {
		t.Errorf("got %v", err)
	}
}

func TestForgottenProjectLeavesNothing(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "havre.db"))
	if err := s.SaveProject(t.Context(), record("shop")); err != nil {
		t.Fatal(err)
	}
	if err := s.ForgetProject(t.Context(), "p-shop"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Projects(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	if err := s.SaveProject(t.Context(), record("shop")); err != nil {
		t.Errorf("its name and ids must be free again: %v", err)
	}
}
