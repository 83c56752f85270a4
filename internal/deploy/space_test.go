package deploy_test

import (
	"strings"
	"testing"

	"havre/internal/api"
	"havre/internal/deploy"
	"havre/internal/problem"
	"havre/internal/spec"
)

func TestNothingNewIsBegunOnADiskThatIsNearlyFull(t *testing.T) {
	const gib = 1 << 30
	for says, c := range map[string]struct {
		spaces []deploy.Space
		full   bool
	}{
		"there is room":                       {[]deploy.Space{{Used: 0.5, Free: gib}}, false},
		"nearly":                              {[]deploy.Space{{Used: 0.949, Free: gib}}, false},
		"too full":                            {[]deploy.Space{{Used: 0.95, Free: gib}}, true},
		"a twentieth of a large disk is much": {[]deploy.Space{{Used: 0.99, Free: 2 * gib}}, false},
		"the other one is too full":           {[]deploy.Space{{Used: 0.1, Free: 9 * gib}, {Used: 1, Free: 0}}, true},
		"nobody knows":                        {nil, false},
	} {
		if err := deploy.TooFull(c.spaces); (err != nil) != c.full {
			t.Errorf("%s: %v", says, err)
		}
	}
}

type disk struct{ used float64 }

func (d *disk) Spaces() []deploy.Space {
	return []deploy.Space{{Of: "Havre's data", Path: "/var/lib/havre/server", Used: d.used, Free: 40 << 20}}
}

func asked(image string) api.Apply {
	return api.Apply{Project: spec.Project{Name: "shop", Services: []spec.Service{app("web", image)}}}
}

func TestApplyOnAFullDiskChangesNothing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		d := &disk{}
		w.Disks = d
		w.must("shop", app("web", "good"))
		before := w.record("shop")
		d.used = 0.96
		w.fails(problem.Unavailable, "96 % full, with 40 MiB left", app("web", "better"))
		if after := w.record("shop"); after.Version != before.Version || after.Service("web").Last() != 1 {
			t.Errorf("the record went from %+v to %+v", before, after)
		}
		if err := w.Apply(t.Context(), asked("good"), none); err != nil {
			t.Errorf("what is there already: %v", err)
		}
		if _, err := w.Plan(t.Context(), asked("better")); err != nil {
			t.Errorf("a plan: %v", err)
		}
		if st, err := w.Find(t.Context(), target("web")); err != nil || !strings.HasPrefix(st.State, "healthy") {
			t.Errorf("%+v, %v", st, err)
		}
		d.used = 0.5
		w.must("shop", app("web", "better"))
	})
}
