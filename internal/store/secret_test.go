package store_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/store"
)

func keep(t *testing.T, s *store.Store, at project.Secret) {
	t.Helper()
	if err := s.KeepSecret(t.Context(), at, []byte("sealed "+at.Version)); err != nil {
		t.Fatal(err)
	}
}

func kept(ctx context.Context, s *store.Store, version string) bool {
	sealed, err := s.SealedSecret(ctx, version)
	return err == nil && string(sealed) == "sealed "+version
}

func TestNameOfASecretMeansWhatWasKeptLast(t *testing.T) {
	file := filepath.Join(t.TempDir(), "havre.db")
	s := open(t, file)
	for _, version := range []string{"v1", "v2", "v1"} { // back to a former value
		keep(t, s, project.Secret{Environment: "prod", Name: "db", Version: version})
	}
	keep(t, s, project.Secret{Environment: "qualif", Name: "db", Version: "v3"})
	keep(t, s, project.Secret{Environment: "prod", Project: "p", Name: "db", Version: "v4"})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, file)
	all, err := s.Secrets(t.Context(), "")
	if err != nil || len(all) != 2 || all[0].Version != "v1" || all[1].Version != "v3" || time.Since(all[0].Created) > time.Hour {
		t.Errorf("got %+v, %v", all, err)
	}
	if one, err := s.Secrets(t.Context(), "qualif"); err != nil || len(one) != 1 || one[0].Environment != "qualif" {
		t.Errorf("got %+v, %v", one, err)
	}
	if _, err := s.SealedSecret(t.Context(), "v9"); problem.KindOf(err) != problem.NotFound {
		t.Errorf("got %v", err)
	}
}

func TestValuesStayAsLongAsARolloutMountsThem(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "havre.db"))
	r := record("shop")
	r.Services[0].Rollouts[0].Secrets = []service.Secret{{Name: "db", External: "db", Version: "v1"}, {Name: "own", Version: "own1"}}
	if err := s.SaveProject(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for _, at := range []project.Secret{
		{Environment: "prod", Name: "db", Version: "v1"}, {Environment: "prod", Name: "db", Version: "v2"}, {Environment: "prod", Name: "db", Version: "v3"},
		{Environment: "prod", Project: r.ID, Name: "own", Version: "own1"}, {Environment: "prod", Project: r.ID, Name: "own", Version: "own2"},
	} {
		keep(t, s, at)
	}
	check := func(when string, want map[string]bool) {
		t.Helper()
		for version, there := range want {
			if kept(t.Context(), s, version) != there {
				t.Errorf("%s: %s is kept: %v", when, version, !there)
			}
		}
	}
	tidy := func(before time.Time) {
		t.Helper()
		if err := s.TidySecrets(t.Context(), before); err != nil {
			t.Fatal(err)
		}
	}
	tidy(time.Now().Add(-time.Hour))
	check("what was kept just now stays", map[string]bool{"v2": true, "own2": true})
	tidy(time.Now().Add(time.Hour))
	check("what nothing needs goes", map[string]bool{"v1": true, "v2": false, "v3": true, "own1": true, "own2": false})
	if err := s.ForgetSecret(t.Context(), "prod", "db"); err != nil {
		t.Fatal(err)
	}
	check("a name that is taken away", map[string]bool{"v1": true, "v3": false, "own1": true})
	if all, err := s.Secrets(t.Context(), "prod"); err != nil || len(all) != 0 {
		t.Errorf("got %+v, %v", all, err)
	}
	if err := s.ForgetProject(t.Context(), r.ID); err != nil {
		t.Fatal(err)
	}
	tidy(time.Now().Add(time.Hour))
	check("nothing is remembered", map[string]bool{"v1": false, "own1": false})
}
