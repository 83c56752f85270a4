package reconcile_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"havre/internal/project"
	"havre/internal/reconcile/reconciletest"
	"havre/internal/spec"
)

// story is what a person asks for, one thing after another.
var story = []func(w *world){
	func(w *world) { w.applyWith(shop("filled", "good", "one")) },
	func(w *world) { w.apply("blog", web("blog", "good", 0)) },
	func(w *world) { w.applyWith(shop("data2", "better", "two")) }, // a writer, a reader and a file change
	func(w *world) { w.applyWith(shop("data2", "crash", "two")) },  // a bad one
	func(w *world) { w.applyWith(shop("data2", "better", "two")) },
	func(w *world) {
		w.change("shop", func(r *project.Record) { r.Service("db").Stopped = true })
	},
	func(w *world) { w.remove("blog") },
	func(w *world) {
		w.change("shop", func(r *project.Record) { r.Service("db").Stopped = false })
	},
}

// linked is about two projects with links to each other.
var linked = []func(w *world){
	func(w *world) { w.apply("store", web("db", "data", 0)) },
	func(w *world) { w.apply("shop", linking("web", "good", "store/db")) },
	func(w *world) { w.apply("store", linking("db", "data2", "shop/web")) },
	func(w *world) { w.apply("shop", web("web", "good", 0)) },              // db writes, and stays on the network
	func(w *world) { w.apply("store", linking("db", "data", "shop/web")) }, // till now
	func(w *world) { w.apply("store", web("db", "data", 0)) },
	func(w *world) { w.remove("shop") },
}

// upgraded is about data that is brought to other images.
var upgraded = []func(w *world){
	func(w *world) { w.apply("shop", migrating("filled")) },
	func(w *world) { w.apply("shop", migrating("up2")) },
	func(w *world) { w.apply("shop", migrating("downhill")) },
	func(w *world) { w.apply("shop", migrating("up3")) },
}

// ported is about Havres with other portals, after each other.
var ported = []func(w *world){
	func(w *world) { w.apply("shop", web("web", "good", 4001)); w.apply("store", web("db", "data", 0)) },
	func(w *world) { w.changePortal(" 2", true) },
	func(w *world) { w.remove("store") },
	func(w *world) { w.changePortal(" 3", false) },
	func(w *world) { w.cluster.HangUp() },
	func(w *world) { w.changePortal(" 2", true) },
	func(w *world) { w.remove("shop") },
}

func migrating(image string) spec.Service {
	s := web("db", image, 0)
	s.UpgradeHook = []string{"/migrate"}
	return s
}

func linking(name, image, to string) spec.Service {
	s := web(name, image, 0)
	s.Links = []spec.Link{{To: to}}
	return s
}

// shop has a database that writes, and a web server that needs it and mounts a file.
func shop(db, front, text string) spec.Project {
	data := web("db", db, 0)
	front1 := web("web", front, 4001)
	front1.Needs = []spec.Need{{Service: "db", Condition: spec.Healthy}}
	front1.Mounts = []spec.Mount{{Kind: spec.Config, Source: "a.conf", Target: "/a"}}
	return spec.Project{Name: "shop", Services: []spec.Service{data, front1}, Files: []spec.File{{Name: "a.conf", Content: []byte(text)}}}
}

// tell lives through the story up to the end of a chapter, with a crash at one
// of its acts.
func tell(t *testing.T, story []func(*world), chapter int, crash reconciletest.Crash) (end reconciletest.State, acts int) {
	in(t, func(t *testing.T, w *world) {
		for i, ask := range story[:chapter+1] {
			if i == chapter {
				w.cluster.CrashAt(crash)
			}
			ask(w)
			w.settle()
		}
		end, acts = w.cluster.State(), len(w.cluster.Acts())
	})
	return end, acts
}

// What a killed process did not finish the next one finds: design/reconcile.md.
// To be killed before an act is to be killed after the one before it.
func TestCrashAtAnyActEndsAlike(t *testing.T) {
	for name, story := range map[string][]func(*world){"one by one": story, "linked": linked, "upgraded": upgraded, "another portal": ported, "to be alone": alone} {
		for chapter := range story {
			want, acts := tell(t, story, chapter, reconciletest.Crash{})
			for at := 0; at <= acts; at++ {
				crash := reconciletest.Crash{At: max(at, 1), After: at > 0}
				t.Run(fmt.Sprintf("%s, chapter %d after act %d", name, chapter, at), func(t *testing.T) {
					got, _ := tell(t, story, chapter, crash)
					if !reflect.DeepEqual(plain(got), plain(want)) {
						t.Errorf("got  %+v\nwant %+v", got, want)
					}
				})
			}
		}
	}
}

func TestLinkedStoryEndsAsItIsTold(t *testing.T) {
	for chapter, want := range []string{"[s/pstore]", "[s/pshop s/pshop to pstore s/pstore]", "[s/pshop s/pshop to pstore s/pstore s/pstore to pshop]", "[s/pshop s/pshop to pstore s/pstore s/pstore to pshop]", "[s/pshop s/pstore s/pstore to pshop]", "[s/pshop s/pstore]", "[s/pstore]"} {
		if end, _ := tell(t, linked, chapter, reconciletest.Crash{}); fmt.Sprint(plain(end).Networks) != want {
			t.Errorf("chapter %d ends with the networks %v; want %s", chapter, plain(end).Networks, want)
		}
	}
}

func TestStoryEndsAsItIsTold(t *testing.T) {
	want, _ := tell(t, story, len(story)-1, reconciletest.Crash{})
	if len(want.Services) != 2 || len(want.Networks) != 1 || len(want.Portals) != 1 || want.Configs != 1 || len(want.Volumes) != 1 || len(want.Routes) != 1 {
		t.Errorf("got %+v", want)
	}
}

// plain leaves out what differs from run to run: ids, and rollouts' numbers, of
// which who was interrupted may have needed more.
func plain(s reconciletest.State) reconciletest.State {
	var services []string
	for _, line := range s.Services {
		at, rest, _ := strings.Cut(line, " r")
		_, rest, _ = strings.Cut(rest, " ")
		name, _, _ := strings.Cut(at, "/")
		services = append(services, name+" "+rest)
	}
	slices.Sort(services)
	s.Services = services
	s.Networks = slices.Clone(s.Networks)
	for i, n := range s.Networks {
		if at := strings.LastIndex(n, "/"); strings.Contains(n, " to ") {
			s.Networks[i] = n[:at]
		}
	}
	return s
}
