package project_test

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/service"
)

func TestNamesMeanOneThing(t *testing.T) {
	a, b := declared(t, fresh(), shop(svc("web"), svc("db"))).Record, fresh()
	b.ID, b.Name, b.Environment = "qqqqqqqq", "blog", "test"
	blog := shop(svc("web"), svc("gone"))
	blog.Name = "blog"
	b = declared(t, b, blog).Record
	b.Service("gone").Removed = true
	c := a
	c.ID, c.Name, c.Removed = "rrrrrrrr", "old", true
	records := []project.Record{a, b, c}
	for _, x := range []struct{ name, want string }{
		{"db", "prod.shop.db"}, {"DB", "prod.shop.db"}, {"shop.web", "prod.shop.web"}, {"test.blog.web", "test.blog.web"}, {"blog.web", "test.blog.web"},
		{"web", "conflict"}, {"gone", "not-found"}, {"old.web", "not-found"}, {"", "not-found"}, {"a.prod.shop.db", "not-found"}, {".db", "not-found"}, {"test.web", "not-found"},
	} {
		ref, err := project.FindService(records, x.name)
		if got := told(ref, err); got != x.want {
			t.Errorf("%q is %s; want %s", x.name, got, x.want)
		}
	}
	for _, x := range []struct{ name, want string }{
		{"shop", "prod.shop"}, {"shop/", "prod.shop"}, {"test.blog", "test.blog"}, {"Blog", "test.blog"}, {"old", "not-found"}, {"", "not-found"}, {"x.prod.shop", "not-found"},
	} {
		ref, err := project.FindProject(records, x.name)
		if got := told(ref, err); got != x.want {
			t.Errorf("project %q is %s; want %s", x.name, got, x.want)
		}
	}
}

func TestWhoNamesNothingIsHelped(t *testing.T) {
	records := []project.Record{declared(t, fresh(), shop(svc("web"), svc("db"))).Record}
	for name, want := range map[string]string{
		"shop": "prod.shop is a project; all of it is shop/", "weeb": "did you mean web?", "shop.wbe": "did you mean shop.web?", "zebra": "list what there is",
	} {
		_, err := project.FindService(records, name)
		if p := problem.Of(err); p.Kind != problem.NotFound || !strings.Contains(p.Remedy, want) {
			t.Errorf("%s: %v; %s", name, err, p.Remedy)
		}
	}
}

func told(ref project.Ref, err error) string {
	if err != nil {
		return string(problem.KindOf(err))
	}
	return ref.String()
}

func TestSubnetsDoNotOverlap(t *testing.T) {
	p := netip.MustParsePrefix
	for says, c := range map[string]struct {
		pool string
		used []string
		want string
		from string
		bits int
	}{
		"for a link":                  {"10.87.0.0/16", []string{"10.87.0.0/24", "10.87.1.0/26"}, "10.87.1.64/26", "", project.LinkBits},
		"from there on":               {"10.87.0.0/16", []string{"10.87.9.0/24"}, "10.87.10.0/24", "10.87.9.77/16", 0},
		"round again":                 {"10.87.0.0/16", []string{"10.87.255.0/24"}, "10.87.0.0/24", "10.87.255.1/16", 0},
		"the first":                   {"10.87.0.0/16", nil, "10.87.0.0/24", "", 0},
		"after those in use":          {"10.87.0.0/16", []string{"10.87.0.0/24", "10.87.1.128/25"}, "10.87.2.0/24", "", 0},
		"a gap":                       {"10.87.0.0/16", []string{"10.87.0.0/24", "10.87.2.0/24"}, "10.87.1.0/24", "", 0},
		"behind a larger one":         {"10.87.0.0/16", []string{"10.87.0.0/20"}, "10.87.16.0/24", "", 0},
		"a pool that is not rounded":  {"10.87.5.7/16", nil, "10.87.0.0/24", "10.87.0.0/16", 0},
		"all are used":                {"10.87.0.0/23", []string{"10.0.0.0/8"}, "", "", 0},
		"the last one of all":         {"255.255.255.0/24", nil, "255.255.255.0/24", "", 0},
		"none after the last of all":  {"255.255.255.0/24", []string{"255.255.255.0/24"}, "", "", 0},
		"a default route is no fence": {"10.87.0.0/16", []string{"192.168.0.0/16"}, "10.87.0.0/24", "", 0},
	} {
		var used []netip.Prefix
		for _, u := range c.used {
			used = append(used, p(u))
		}
		got, err := project.Subnet(p(c.pool), used, p(cmp.Or(c.from, c.pool)).Addr(), cmp.Or(c.bits, project.SubnetBits))
		if c.want == "" && problem.KindOf(err) != problem.Conflict || c.want != "" && (err != nil || got != p(c.want)) {
			t.Errorf("%s: %v, %v", says, got, err)
		}
	}
}

func TestTableLeadsToWhatServes(t *testing.T) {
	r := serving(declared(t, fresh(), shop(svc("web", port(80, 8080), domain("a.example", 80)))).Record)
	r = declared(t, r, shop(svc("web", port(80, 8080), domain("a.example", 80), image("web:2")))).Record
	id := r.Service("web").ID
	at := func(n int, last byte, state service.State) service.Observed {
		container := strings.Repeat("0", 63) + string('0'+rune(last))
		return service.Observed{Project: r.ID, ID: id, Rollout: n, SwarmID: "s", Tasks: []service.Task{{Container: container, Address: netip.AddrFrom4([4]byte{10, 87, 0, last}), State: state}}}
	}
	snap := service.Snapshot{Services: []service.Observed{at(1, 1, service.Running), at(2, 2, service.Running)}}
	table := project.Table([]project.Record{r}, snap, "")
	if len(table.TCP) != 1 || len(table.TCP[0].Targets) != 1 || table.TCP[0].Targets[0].Address.As4()[3] != 1 || table.HTTP[0].Targets[0].Port != 80 || table.HTTP[0].Access != "public" {
		t.Errorf("got %+v", table)
	}
	if err := table.Validate(); err != nil {
		t.Error(err)
	}
	snap.Services[0] = at(1, 1, service.Starting)
	if table = project.Table([]project.Record{r}, snap, ""); len(table.TCP[0].Targets) != 0 {
		t.Errorf("it leads to one that does not run: %+v", table)
	}
	r.Services[0].Stopped = true
	if table = project.Table([]project.Record{r}, snap, ""); len(table.TCP)+len(table.HTTP) != 0 {
		t.Errorf("it leads to a stopped one: %+v", table)
	}
}

func TestPortsOfBothRolloutsAreTaken(t *testing.T) {
	r := serving(declared(t, fresh(), shop(svc("web", port(80, 8080), domain("a.example", 80)))).Record)
	r = declared(t, r, shop(svc("web", port(80, 8081), domain("b.example", 80), image("web:2")))).Record
	ports, hosts := project.Ports([]project.Record{r}, ""), project.Hosts([]project.Record{r}, "", "")
	if len(ports) != 2 || len(hosts) != 2 || hosts["a.example"] != "prod.shop.web" {
		t.Errorf("%v, %v", ports, hosts)
	}
	if len(project.Ports([]project.Record{r}, r.ID)) != 0 {
		t.Error("its own are no obstacle")
	}
}

func TestURLsNameThePort(t *testing.T) {
	r := serving(declared(t, fresh(), shop(svc("web", domain("a.example", 80)))).Record)
	ref := project.Ref{Record: &r, Service: r.Service("web")}
	if got := project.URLs(ref, "home.arpa", 443); len(got) != 1 || got[0] != "https://a.example/" {
		t.Errorf("got %v", got)
	}
	if got := project.URLs(ref, "home.arpa", 10443); got[0] != "https://a.example:10443/" {
		t.Errorf("got %v", got)
	}
}

func TestContainersComeNewestRolloutFirst(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", count(2)), app("db", "data"))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = w.apply("shop", app("web", "better", count(2)), app("db", "data"))
		}()
		time.Sleep(3 * time.Second)
		for range 20 {
			all, err := w.Containers(t.Context(), target("web"), false)
			if err != nil || len(all) != 4 || all[0].Rollout != 2 || all[3].Rollout != 1 || all[0].Serving || !all[3].Serving || !all[3].Running {
				t.Fatalf("%+v, %v", all, err)
			}
		}
		<-ended
		if all, _ := w.Containers(t.Context(), target("shop.db"), true); len(all) != 1 || all[0].Environment != "prod" {
			t.Errorf("got %+v", all)
		}
		uses, err := w.Uses(t.Context())
		if want := []project.Use{{"prod", "data", "prod.shop.db"}, {"prod", "better", "prod.shop.web"}}; err != nil || !slices.Equal(uses, want) {
			t.Errorf("%v, %v", uses, err)
		}
	})
}

func TestLogsOfAllReplicasComeInOrder(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", count(3)))
		zero := time.Now()
		read := func(_ context.Context, container string, r project.Reading, yield func(api.Line) error) error {
			if r.Tail != 5 {
				t.Errorf("of %s the last %d are asked for", container, r.Tail)
			}
			for i := range 3 {
				at := zero.Add(time.Duration(i)*time.Second + time.Duration(container[63]))
				if err := yield(api.Line{Time: at, Text: "x"}); err != nil {
					return err
				}
			}
			return nil
		}
		var got []api.Line
		err := w.Logs(t.Context(), target("web"), api.LogOptions{Tail: 5}, read, func(l api.Line) error {
			got = append(got, l)
			return nil
		})
		if err != nil || len(got) != 9 || !slices.IsSortedFunc(got, func(a, b api.Line) int { return a.Time.Compare(b.Time) }) || got[0].Service != "web" {
			t.Errorf("%v, %v", got, err)
		}
		enough := errors.New("enough")
		if err := w.Logs(t.Context(), target("web"), api.LogOptions{Tail: 5}, read, func(api.Line) error { return enough }); !errors.Is(err, enough) {
			t.Errorf("the reader's error becomes %v", err)
		}
	})
}

func TestFollowedLogsGoOnWithNewContainers(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good"))
		read := func(ctx context.Context, container string, r project.Reading, yield func(api.Line) error) error {
			for i := 0; ; i++ {
				if err := yield(api.Line{Time: time.Now(), Text: container}); err != nil {
					return err
				}
				if !r.Follow && i == 3 {
					return nil
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(time.Second):
				}
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		seen := map[string]bool{}
		ended := make(chan error)
		go func() {
			ended <- w.Logs(ctx, target("web"), api.LogOptions{Follow: true}, read, func(l api.Line) error {
				seen[l.Text] = true
				return nil
			})
		}()
		time.Sleep(10 * time.Second)
		w.must("shop", app("web", "better"))
		time.Sleep(10 * time.Second)
		cancel()
		if err := <-ended; err != nil || len(seen) != 2 {
			t.Errorf("it ends with %v after lines of %d containers", err, len(seen))
		}
	})
}

func TestListFindsProjectsInAnyCase(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good"))
		for _, name := range []string{"", "shop", "Shop"} {
			if all, err := w.List(t.Context(), "prod", name); err != nil || len(all) != 1 {
				t.Errorf("%q: %v, %v", name, all, err)
			}
		}
		if all, err := w.List(t.Context(), "test", ""); err != nil || len(all) != 0 {
			t.Errorf("of another environment: %v, %v", all, err)
		}
	})
}
