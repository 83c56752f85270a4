package deploy_test

import (
	"slices"
	"strings"
	"testing"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project/projecttest"
	"havre/internal/reconcile/reconciletest"
	"havre/internal/service"
	"havre/internal/spec"
)

func TestConventionsOfAnImageAreVolumes(t *testing.T) {
	all := []string{"/vol/cache", "/vol/log", "/vol/ro", "/vol/rw"}
	places := func(change ...func(*spec.Service)) []string {
		r := declared(t, fresh(), shop(projecttest.Service("web", change...)), service.Image{ID: "sha256:web:1", Kept: all}).Record
		var got []string
		for _, m := range r.Service("web").Rollout(1).Spec.Mounts {
			got = append(got, m.Source+" "+m.Target)
			if m.ReadOnly != (m.Target == "/vol/ro") {
				t.Errorf("%s is read-only: %v", m.Target, m.ReadOnly)
			}
		}
		return got
	}
	if got := places(); !slices.Equal(got, []string{"web.vol-cache /vol/cache", "web.vol-log /vol/log", "web.vol-ro /vol/ro", "web.vol-rw /vol/rw"}) {
		t.Errorf("undeclared: %q", got)
	}
	if got := places(volume("everything", "/vol")); !slices.Equal(got, []string{"everything /vol"}) {
		t.Errorf("one at /vol: %q", got)
	}
	if got := places(volume("mine", "/vol/rw")); len(got) != 4 || !slices.Contains(got, "mine /vol/rw") {
		t.Errorf("one declared: %q", got)
	}
}

func TestOnlyCachesAndLogsAreEmptied(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", volume("cache", "/vol/cache"), volume("log", "/vol/log"), volume("data", "/data")), app("all", "good", volume("whole", "/vol")),
			app("other", "good", volume("both", "/vol/cache")), app("third", "good", volume("both", "/srv")))
		w.cluster.CrashAt(reconciletest.Crash{})
		for name, says := range map[string]string{"shop/cache": "", "prod.shop/log": "", "shop/whole": "", "shop/data": "holds data", "shop/both": "holds data", "shop/none": "no volume", "shop": "name a volume", "test.shop/cache": "no volume"} {
			_, err := w.VolumeClean(t.Context(), "", name)
			if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
				t.Errorf("%s: %v, want %q", name, err, says)
			}
		}
		for _, act := range []string{"clean cache  false", "clean log  true", "clean whole cache false", "clean whole log true"} {
			if !slices.Contains(w.cluster.Acts(), act) {
				t.Errorf("not done: %s in %q", act, w.cluster.Acts())
			}
		}
	})
}

func TestVolumeOfAServiceStaysAndAnOrphanGoes(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("db", "good", volume("data", "/data")))
		if _, err := w.VolumeRemove(t.Context(), "", "shop/data"); problem.KindOf(err) != problem.Conflict {
			t.Errorf("in use: %v", err)
		}
		if _, err := w.Remove(t.Context(), api.Target{Name: "shop", Project: true}, api.Removal{}); err != nil {
			t.Fatal(err)
		}
		list, err := w.VolumeList(t.Context(), "", "shop", false)
		if err != nil || len(list) != 1 || !list[0].Orphaned {
			t.Errorf("after its service went: %+v, %v", list, err)
		}
		if _, err := w.VolumeRemove(t.Context(), "prod", "shop/data"); err != nil {
			t.Errorf("the orphan: %v", err)
		}
		if all, _ := w.records.Projects(t.Context()); len(all) != 0 {
			t.Errorf("the project without volumes is still remembered: %v", all)
		}
	})
}

// A service may be rolled back to what had the volume.
func TestVolumeOfAFormerRolloutIsNoOrphan(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("db", "good", volume("data", "/data")))
		w.must("shop", app("db", "good", volume("other", "/data")))
		list, err := w.VolumeList(t.Context(), "", "", true)
		if err != nil || len(list) != 2 || list[0].Name != "data" || list[0].Orphaned || len(list[0].UsedBy) != 0 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}
