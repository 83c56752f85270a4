package deploy_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/deploy"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/project/projecttest"
	"havre/internal/service"
	"havre/internal/spec"
)

var noon = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func image(name string) func(*spec.Service) { return func(s *spec.Service) { s.Image = name } }

func count(n int) func(*spec.Service) { return func(s *spec.Service) { s.Replicas = n } }

func volume(name, at string) func(*spec.Service) {
	return func(s *spec.Service) {
		s.Mounts = append(s.Mounts, spec.Mount{Kind: spec.Volume, Source: name, Target: at})
	}
}

func shop(services ...spec.Service) spec.Project {
	return spec.Project{Name: "shop", Services: services}
}

func fresh() project.Record {
	return project.Record{ID: "pppppppp", Environment: "prod", Name: "shop", Subnet: "10.87.0.0/24"}
}

// found looks images up: the id is the name, unless extra knows more.
func found(p spec.Project, extra ...service.Image) deploy.Found {
	f := deploy.Found{Images: map[string]service.Image{}}
	for _, s := range p.Services {
		f.Images[s.Name] = service.Image{ID: "sha256:" + s.Image}
		for _, img := range extra {
			if img.ID == "sha256:"+s.Image {
				f.Images[s.Name] = img
			}
		}
	}
	return f
}

// declared is what a declaration leads to.
func declared(t *testing.T, old project.Record, p spec.Project, extra ...service.Image) deploy.Outcome {
	t.Helper()
	o, err := deploy.Declare(old, p, found(p, extra...), noon)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// serving makes all targets of a record serve.
func serving(r project.Record) project.Record {
	for i := range r.Services {
		s := &r.Services[i]
		if s.Removed {
			continue
		}
		for _, verb := range []service.Verb{service.Start, service.Activate} {
			r.Apply(project.Action{Service: s.ID, Step: service.Step{Verb: verb, Rollout: s.Target}}, nil, noon)
		}
	}
	return r
}

// failing fails the targets.
func failing(r project.Record) project.Record {
	for _, s := range r.Present() {
		r.Apply(project.Action{Service: s.ID, Step: service.Step{Verb: service.Fail, Rollout: s.Target, Reason: "it crashed"}}, []string{"no database"}, noon)
	}
	return r
}

func verbs(p api.Plan) string {
	var words []string
	for _, c := range p.Changes {
		words = append(words, strings.TrimSpace(c.Verb+" "+c.Service+" "+strings.Join(c.Why, ",")))
	}
	return strings.Join(words, "; ")
}

func TestPlanSaysWhatChanges(t *testing.T) {
	base := shop(projecttest.Service("web", projecttest.Port(80, 8080)), projecttest.Service("db"))
	for says, c := range map[string]struct {
		next spec.Project
		want string
	}{
		"the same again":      {base, "keep db; keep web"},
		"another image":       {shop(projecttest.Service("web", projecttest.Port(80, 8080), image("web:2")), projecttest.Service("db")), "keep db; update web image,image content"},
		"another outer port":  {shop(projecttest.Service("web", projecttest.Port(80, 8081)), projecttest.Service("db")), "keep db; route web ports"},
		"a domain more":       {shop(projecttest.Service("web", projecttest.Port(80, 8080), projecttest.Domain("a.example", 80)), projecttest.Service("db")), "keep db; route web domains"},
		"an inner port more":  {shop(projecttest.Service("web", projecttest.Port(80, 8080), projecttest.Port(81, 8081)), projecttest.Service("db")), "keep db; update web ports"},
		"more containers":     {shop(projecttest.Service("web", projecttest.Port(80, 8080), count(3)), projecttest.Service("db")), "keep db; scale web replicas"},
		"one service less":    {shop(projecttest.Service("web", projecttest.Port(80, 8080))), "keep web; remove db it is no longer declared"},
		"one service more":    {shop(projecttest.Service("web", projecttest.Port(80, 8080)), projecttest.Service("db"), projecttest.Service("new")), "keep db; create new; keep web"},
		"another environment": {shop(projecttest.Service("web", projecttest.Port(80, 8080), func(s *spec.Service) { s.Environment = map[string]string{"A": "1"} }), projecttest.Service("db")), "keep db; update web environment"},
		"what it needs":       {shop(projecttest.Service("web", projecttest.Port(80, 8080), func(s *spec.Service) { s.Needs = []spec.Need{{Service: "db", Condition: spec.Started}} }), projecttest.Service("db")), "keep db; route web needs"},
	} {
		t.Run(says, func(t *testing.T) {
			old := serving(declared(t, fresh(), base).Record)
			o := declared(t, old, c.next)
			if got := verbs(o.Plan); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if o.Same != (says == "the same again") {
				t.Errorf("the record is the same: %v", o.Same)
			}
		})
	}
}

func TestDeclareChangesNothingItWasGiven(t *testing.T) {
	p := shop(projecttest.Service("web", projecttest.Port(80, 0), volume("a", "/a")), projecttest.Service("db"))
	old := serving(declared(t, fresh(), p).Record)
	before := fmt.Sprintf("%+v", old)
	next := shop(projecttest.Service("web", projecttest.Port(80, 0), image("web:2")))
	given := fmt.Sprintf("%+v", next)
	declared(t, old, next, service.Image{ID: "sha256:web:2", Volumes: []string{"/vol/rw"}})
	if fmt.Sprintf("%+v", old) != before || fmt.Sprintf("%+v", next) != given {
		t.Error("it changed its arguments")
	}
}

func TestEmptyAndMissingAreOne(t *testing.T) {
	old := serving(declared(t, fresh(), shop(projecttest.Service("web"))).Record)
	empty := projecttest.Service("web", func(s *spec.Service) {
		s.Ports, s.Command, s.Environment, s.Links = []spec.Port{}, []string{}, map[string]string{}, []spec.Link{}
	})
	if got := verbs(declared(t, old, shop(empty)).Plan); got != "keep web" {
		t.Errorf("got %s", got)
	}
}

func TestImagesVolumesAreKept(t *testing.T) {
	img := service.Image{ID: "sha256:web:1", Volumes: []string{"/vol/rw", "/vol/log/", "/given", "/a-b", "/a/b", "/.cache", "/weird name"}}
	s, _ := declared(t, fresh(), shop(projecttest.Service("web", volume("mine", "/given"))), img).Record.Declared.Service("web")
	if len(s.Mounts) != 1 {
		t.Error("the declaration was changed")
	}
	r := declared(t, fresh(), shop(projecttest.Service("web", volume("mine", "/given"))), img).Record
	got := map[string]string{}
	for _, m := range r.Service("web").Rollout(1).Spec.Mounts {
		if !spec.ValidVolume(m.Source) {
			t.Errorf("%q cannot name a volume", m.Source)
		}
		if other, twice := got[m.Source]; twice {
			t.Errorf("%s and %s share volume %s", other, m.Target, m.Source)
		}
		got[m.Source] = m.Target
	}
	if got["web.vol-rw"] != "/vol/rw" || got["web.vol-log"] != "/vol/log" || got["mine"] != "/given" || len(got) != 7 {
		t.Errorf("got %v", got)
	}
}

func TestServicesDoNotShareImagesVolumes(t *testing.T) {
	p := shop(projecttest.Service("a"), projecttest.Service("a-b"), projecttest.Service("A-c"))
	r := declared(t, fresh(), p,
		service.Image{ID: "sha256:a:1", Volumes: []string{"/b-c", "/b/c", "/c/d"}},
		service.Image{ID: "sha256:a-b:1", Volumes: []string{"/c"}},
		service.Image{ID: "sha256:A-c:1", Volumes: []string{"/d"}}).Record
	seen := map[string]bool{}
	for _, s := range r.Services {
		for _, m := range s.Rollout(1).Spec.Mounts {
			if seen[m.Source] {
				t.Errorf("volume %s is used twice", m.Source)
			}
			seen[m.Source] = true
		}
	}
}

func externals(r project.Record, name string) []uint16 {
	var all []uint16
	s := r.Service(name)
	for _, p := range s.Rollout(s.Target).Spec.Ports {
		all = append(all, p.External)
	}
	return all
}

func TestAnyPortStaysWithItsService(t *testing.T) {
	p := shop(projecttest.Service("db", projecttest.Port(5432, 0)), projecttest.Service("web", projecttest.Port(80, 0), projecttest.Port(80, 0), projecttest.Port(443, 0), projecttest.Port(80, 4001)))
	r := serving(declared(t, fresh(), p).Record)
	first := append(externals(r, "db"), externals(r, "web")...)
	if slices.Contains(first, 0) || len(slices.Compact(slices.Sorted(slices.Values(first)))) != 5 {
		t.Fatalf("got %v", first)
	}
	if got := verbs(declared(t, r, p).Plan); got != "keep db; keep web" {
		t.Errorf("applied again: %s", got)
	}
	for i := range p.Services {
		p.Services[i].Image = "other:1"
	}
	r = declared(t, r, p).Record
	if again := append(externals(r, "db"), externals(r, "web")...); !slices.Equal(again, first) {
		t.Errorf("after an update %v, before %v", again, first)
	}
	// Nor does it move to a lower one that is free by now.
	for i := range p.Services {
		if s := &p.Services[i]; s.Name == "db" {
			s.Ports[0].External = 5432
		}
	}
	r = declared(t, serving(r), p).Record
	if again := externals(r, "web"); !slices.Equal(again, first[1:]) || first[0] > first[1] {
		t.Errorf("after another service left %d: %v, before %v", first[0], again, first[1:])
	}
}

func TestAPortGivenBackMayBeAnothersByNow(t *testing.T) {
	p := shop(projecttest.Service("web", projecttest.Port(80, 0)))
	r := serving(declared(t, fresh(), p).Record)
	was := externals(r, "web")[0]
	r.Removed, r.Services[0].Removed = true, true
	f := found(p)
	f.Taken = map[project.Port]string{{Number: was, Protocol: spec.TCP}: "prod.blog.web"}
	o, err := deploy.Declare(r, p, f, noon)
	if err != nil {
		t.Fatal(err)
	}
	if now := externals(o.Record, "web")[0]; now == was || now == 0 {
		t.Errorf("it gets port %d", now)
	}
}

func TestClashesAreAllSaid(t *testing.T) {
	p := shop(projecttest.Service("web", projecttest.Port(80, 25), projecttest.Domain("a.example", 80)), projecttest.Service("mail", projecttest.Port(25, 25), projecttest.Domain("a.example", 80), projecttest.Domain("b.example", 0), projecttest.Port(26, 26)))
	f := found(p)
	f.Taken = map[project.Port]string{{Number: 26, Protocol: spec.TCP}: "prod.blog.web"}
	_, err := deploy.Declare(fresh(), p, f, noon)
	for _, want := range []string{
		"port 25/tcp, which mail wants, is taken by web", "port 26/tcp, which mail wants, is taken by prod.blog.web",
		"the domain a.example, which mail wants, belongs to web", "the domain b.example does not say which one is meant",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if problem.KindOf(err) != problem.Conflict {
		t.Errorf("it is %s", problem.KindOf(err))
	}
}

func TestLinksNameTheOther(t *testing.T) {
	link := func(to, alias string, ports ...uint16) func(*spec.Service) {
		return func(s *spec.Service) { s.Links = append(s.Links, spec.Link{To: to, Alias: alias, Ports: ports}) }
	}
	p := shop(projecttest.Service("web", link("db", "Store"), link("mail", "", 25), link("web", "")), projecttest.Service("db"), projecttest.Service("mail", projecttest.Port(25, 0), projecttest.Port(143, 0)))
	p.Services[0].Environment = map[string]string{"MAIL_PORT_25_TCP_PORT": "mine"}
	p.Services[0].Expose = []uint16{80}
	r := declared(t, fresh(), p, service.Image{ID: "sha256:db:1", Ports: []uint16{5432}}).Record
	env := r.Service("web").Rollout(1).Spec.Environment
	for name, want := range map[string]string{
		"STORE_PORT_5432_TCP_ADDR": "Store", "STORE_PORT_5432_TCP_PORT": "5432", "MAIL_PORT_25_TCP_ADDR": "mail",
		"MAIL_PORT_25_TCP_PORT": "mine", "MAIL_PORT_143_TCP_ADDR": "", "WEB_PORT_80_TCP_ADDR": "web",
	} {
		if env[name] != want {
			t.Errorf("%s is %q; want %q", name, env[name], want)
		}
	}
	if got := r.Service("db").Rollout(1).Spec.Aliases; !slices.Equal(got, []string{"Store"}) {
		t.Errorf("db is also called %v", got)
	}
}

func TestRemovedAndAppliedAgainItIsTheSame(t *testing.T) {
	p := shop(projecttest.Service("web", projecttest.Port(80, 0), volume("data", "/data")))
	r := serving(declared(t, fresh(), p).Record)
	was := r.Services[0]
	r.Removed, r.Services[0].Removed, r.Services[0].Stopped = true, true, true
	o := declared(t, r, p)
	now := o.Record.Services[0]
	if verbs(o.Plan) != "create web" || o.Record.Removed || now.Removed || now.Stopped || now.ID != was.ID || now.Active != 0 || now.Target != 2 || externals(o.Record, "web")[0] != was.Rollouts[0].Spec.Ports[0].External {
		t.Errorf("%s: %+v", verbs(o.Plan), now)
	}
}

func TestFailedRolloutIsTriedAgain(t *testing.T) {
	p := shop(projecttest.Service("web"))
	r := failing(declared(t, fresh(), p).Record)
	o := declared(t, r, p)
	if got := verbs(o.Plan); got != "update web the rollout before it failed" || o.Record.Services[0].Target != 2 {
		t.Errorf("%s: %+v", got, o.Record.Services[0])
	}
	r = failing(declared(t, serving(declared(t, fresh(), p).Record), shop(projecttest.Service("web", image("web:2")))).Record)
	if o = declared(t, r, shop(projecttest.Service("web", image("web:2")))); o.Record.Services[0].Target != 3 {
		t.Errorf("%s: %+v", verbs(o.Plan), o.Record.Services[0])
	}
}

func TestGoingBackAfterAFailureIsNoFailure(t *testing.T) {
	p := shop(projecttest.Service("web"))
	r := failing(declared(t, serving(declared(t, fresh(), p).Record), shop(projecttest.Service("web", image("web:2")))).Record)
	if _, ok := r.Services[0].Settled(); ok {
		t.Error("the failure is not seen")
	}
	o := declared(t, r, p)
	if done, ok := o.Record.Services[0].Settled(); verbs(o.Plan) != "keep web" || o.Same || !done || !ok {
		t.Errorf("%s, same %v: done %v, ok %v", verbs(o.Plan), o.Same, done, ok)
	}
}

func TestNewerDeclarationReplacesAPendingOne(t *testing.T) {
	r := serving(declared(t, fresh(), shop(projecttest.Service("web"))).Record)
	r = declared(t, r, shop(projecttest.Service("web", image("web:2")))).Record
	r = declared(t, r, shop(projecttest.Service("web", image("web:3")))).Record
	s := r.Services[0]
	if s.Active != 1 || s.Target != 3 || s.Rollout(2).State != project.Retired || s.Rollout(3).State != project.Pending {
		t.Errorf("got %+v", s)
	}
}

func TestScalingBeginsThePatienceAnew(t *testing.T) {
	r := serving(declared(t, fresh(), shop(projecttest.Service("web"))).Record)
	p := shop(projecttest.Service("web", count(2)))
	o, err := deploy.Declare(r, p, found(p), noon.Add(time.Hour))
	if err != nil || !o.Record.Services[0].Rollouts[0].Started.Equal(noon.Add(time.Hour)) {
		t.Errorf("%+v, %v", o.Record.Services[0].Rollouts, err)
	}
}

func TestPlanSaysWhenTheOldOneStopsFirst(t *testing.T) {
	r := serving(declared(t, fresh(), shop(projecttest.Service("db", volume("data", "/data")))).Record)
	o := declared(t, r, shop(projecttest.Service("db", volume("data", "/data"), volume("more", "/more"), image("db:2"))))
	if c := o.Plan.Changes[0]; !c.Stops || !slices.Equal(c.Volumes, []string{"more"}) {
		t.Errorf("got %+v; want that the old one stops, and the volume that is not there yet", c)
	}
	o = declared(t, o.Record, shop(projecttest.Service("db", image("db:3"))))
	if o.Plan.Changes[0].Stops {
		t.Error("one that does not write needs nobody to stop")
	}
}

func order(o spec.Order) func(*spec.Service) { return func(s *spec.Service) { s.Order = o } }

func TestPlanSaysWhyTheOldOneStopsFirst(t *testing.T) {
	data := volume("data", "/data")
	for says, c := range map[string]struct {
		had, next []func(*spec.Service)
		want      string
	}{
		"nothing is asked":       {nil, nil, ""},
		"start-first":            {nil, []func(*spec.Service){order(spec.StartFirst)}, ""},
		"both write":             {[]func(*spec.Service){data}, []func(*spec.Service){data}, "both write to a volume"},
		"both write and ask":     {[]func(*spec.Service){data}, []func(*spec.Service){data, order(spec.StopFirst)}, "both write to a volume"},
		"stop-first":             {nil, []func(*spec.Service){order(spec.StopFirst)}, "update_config.order says so"},
		"stop-first of a reader": {[]func(*spec.Service){data}, []func(*spec.Service){order(spec.StopFirst)}, "update_config.order says so"},
		"stop-first till now":    {[]func(*spec.Service){order(spec.StopFirst)}, []func(*spec.Service){order(spec.StartFirst)}, "update_config.order of r1 said so"},
	} {
		r := serving(declared(t, fresh(), shop(projecttest.Service("web", c.had...))).Record)
		o := declared(t, r, shop(projecttest.Service("web", append(c.next, image("web:2"))...)))
		if change := o.Plan.Changes[0]; change.Because != c.want || change.Stops != (c.want != "") {
			t.Errorf("%s: %+v; want because %q", says, change, c.want)
		}
	}
}

// Who asks for another order wants it for the next update, and no update for it.
func TestAnotherOrderAloneMakesNoRollout(t *testing.T) {
	r := serving(declared(t, fresh(), shop(projecttest.Service("web"))).Record)
	o := declared(t, r, shop(projecttest.Service("web", order(spec.StopFirst))))
	s := o.Record.Services[0]
	if verbs(o.Plan) != "route web order" || s.Last() != 1 || s.Rollout(1).Spec.Order != spec.StopFirst || o.Same {
		t.Errorf("%s; %+v", verbs(o.Plan), s.Rollouts)
	}
}

func TestWhoAsksForStartFirstAndWritesIsTold(t *testing.T) {
	p := shop(projecttest.Service("web", order(spec.StartFirst)))
	if notes := declared(t, fresh(), p).Plan.Notes; len(notes) != 0 {
		t.Errorf("without data: %v", notes)
	}
	o := declared(t, fresh(), p, service.Image{ID: "sha256:web:1", Volumes: []string{"/data"}})
	if notes := o.Plan.Notes; len(notes) != 1 || !strings.Contains(notes[0].Says, "web asks for order: start-first and writes to volumes (web.data)") || notes[0].Remedy == "" {
		t.Errorf("with data of its image: %v", notes)
	}
	if again := declared(t, serving(o.Record), p, service.Image{ID: "sha256:web:1", Volumes: []string{"/data"}}); len(again.Plan.Notes) != 0 {
		t.Errorf("told again: %v", again.Plan.Notes)
	}
}

func TestRolloutsAreForgottenButNotThoseInUse(t *testing.T) {
	r := serving(declared(t, fresh(), shop(projecttest.Service("web"))).Record)
	for i := range 50 {
		r = declared(t, r, shop(projecttest.Service("web", image(fmt.Sprintf("web:%d", i+2))))).Record
	}
	s := r.Services[0]
	if len(s.Rollouts) > 20 || s.Rollout(1) == nil || s.Rollout(51) == nil || s.Last() != 51 {
		t.Errorf("%d are kept, the first %v", len(s.Rollouts), s.Rollout(1) != nil)
	}
}

func TestDifferencesNameFields(t *testing.T) {
	a := projecttest.Service("web", projecttest.Port(80, 1))
	b := projecttest.Service("web", projecttest.Port(80, 2), count(4))
	if got := deploy.Differences(a, b); !reflect.DeepEqual(got, []string{"ports", "replicas"}) {
		t.Errorf("got %v", got)
	}
}

// Whatever is declared and serves, the ingress must take the table: one bad
// route would stop all others.
func FuzzEveryDeclarationMakesAGoodTable(f *testing.F) {
	f.Add("web", "a.example", uint16(80), uint16(0), uint16(4000), "private")
	f.Add("a", "*.example", uint16(80), uint16(25), uint16(24), "")
	f.Add("A", "10.0.0.1", uint16(1), uint16(443), uint16(80), "public")
	f.Fuzz(func(t *testing.T, name, host string, inner, outer, second uint16, access string) {
		p := shop(
			projecttest.Service(name, image("i:1"), projecttest.Port(inner, outer), projecttest.Domain(host, inner), func(s *spec.Service) { s.Access = spec.Access(access) }),
			projecttest.Service("other", projecttest.Port(80, second), projecttest.Domain("other.example", 0)),
		)
		if len(spec.Validate(p)) > 0 {
			return
		}
		o, err := deploy.Declare(fresh(), p, found(p), noon)
		if err != nil {
			return
		}
		if err := project.Table([]project.Record{serving(o.Record)}, service.Snapshot{}, "").Validate(); err != nil {
			t.Errorf("%+v\n%v", p, err)
		}
	})
}
