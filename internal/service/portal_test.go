package service_test

import (
	"slices"
	"testing"
	"time"

	"havre/internal/service"
)

func TestWhatPortalsNeed(t *testing.T) {
	now := time.Now()
	at := func(generation int, image string, ago time.Duration) service.Portal {
		return service.Portal{
			Container: string(rune('a' + generation)), Generation: generation, Image: image, Running: true,
			Created: now.Add(-ago), Networks: []string{"n1", "n2"},
		}
	}
	ended := func(p service.Portal) service.Portal {
		p.Running = false
		return p
	}
	on := func(p service.Portal, networks ...string) service.Portal {
		p.Networks = networks
		return p
	}
	const day, minute = 24 * time.Hour, time.Minute
	for _, c := range []struct {
		what       string
		have       []service.Portal
		keep       string
		next       int
		gone, over string
		detach     string
	}{
		{what: "there is none", next: 1},
		{what: "all is well", have: []service.Portal{at(1, "new", day)}, keep: "b", next: 2},
		{what: "the image changed", have: []service.Portal{at(1, "old", day)}, next: 2},
		{what: "the old one has connections", have: []service.Portal{at(1, "old", day), at(2, "new", minute)}, keep: "c", next: 3},
		{what: "the old one ended", have: []service.Portal{ended(at(1, "old", day)), at(2, "new", minute)}, keep: "c", next: 3, gone: "b"},
		{what: "the old one never ends", have: []service.Portal{at(1, "old", day), at(2, "new", time.Hour)}, keep: "c", next: 3, over: "b"},
		{what: "the newest ended", have: []service.Portal{at(1, "old", day), ended(at(2, "new", minute))}, next: 3, over: "c"},
		{what: "the newest ended, and the one before it is of the wanted image", have: []service.Portal{at(1, "new", day), ended(at(2, "old", minute))}, next: 3, over: "c"},
		{what: "two could not be started", have: []service.Portal{at(1, "old", day), ended(at(2, "new", minute)), ended(at(3, "new", 0))}, next: 4, gone: "c", over: "d"},
		{what: "a portal that does not end by itself", have: []service.Portal{at(0, "old", day)}, next: 1, over: "a"},
		{what: "the same beside a new one", have: []service.Portal{at(0, "old", day), at(1, "new", 0)}, keep: "b", next: 2, over: "a"},
		{what: "too many", have: []service.Portal{at(1, "a", 4*minute), at(2, "b", 3*minute), at(3, "c", 2*minute), at(4, "new", minute)}, keep: "e", next: 5, over: "b"},
		{what: "back to the image before", have: []service.Portal{at(1, "new", 4*minute), at(2, "old", 3*minute)}, next: 3},
		{what: "a network goes", have: []service.Portal{on(at(1, "old", day), "n1", "n3"), at(2, "new", minute)}, keep: "c", next: 3, detach: "b"},
		{what: "the last network of the old one goes", have: []service.Portal{on(at(1, "old", day), "n3"), at(2, "new", minute)}, keep: "c", next: 3, over: "b"},
	} {
		slices.Reverse(c.have) // in whatever order
		w := service.TendPortals(c.have, "new", []string{"n1", "n2"}, now)
		names := func(all []service.Portal) (s string) {
			for _, p := range all {
				s += p.Container
			}
			return s
		}
		keep, detach := "", ""
		if w.Keep != nil {
			keep = w.Keep.Container
		}
		for id, off := range w.Detach {
			if detach += id; !slices.Equal(off, []string{"n3"}) {
				t.Errorf("%s: taken off %v", c.what, off)
			}
		}
		if keep != c.keep || w.Next != c.next || names(w.Gone) != c.gone || names(w.Over) != c.over || detach != c.detach {
			t.Errorf("%s: keep %q, next %d, gone %q, over %q, detach %q", c.what, keep, w.Next, names(w.Gone), names(w.Over), detach)
		}
		if idle := c.keep != "" && c.gone+c.over+c.detach == ""; w.Idle() != idle {
			t.Errorf("%s: idle %v", c.what, w.Idle())
		}
	}
}
