package project_test

import (
	"slices"
	"testing"

	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/spec"
)

func at(domains ...spec.Domain) func(*spec.Service) {
	return func(s *spec.Service) { s.Domains = append(s.Domains, domains...) }
}

func TestDefaultDomainIsServedBesideTheOthers(t *testing.T) {
	pass := spec.Domain{Host: "p.example", Port: 443, TLS: spec.Passthrough}
	for says, c := range map[string]struct {
		service spec.Service
		suffix  string
		want    []string
	}{
		"with a domain":            {svc("web", domain("a.example", 80)), "localhost", []string{"a.example", "web.shop.prod.localhost"}},
		"without one of its own":   {svc("web", at(spec.Domain{Port: 80})), "home.arpa", []string{"web.shop.prod.home.arpa"}},
		"of a name in capitals":    {svc("Web", at(spec.Domain{Port: 80})), "localhost", []string{"web.shop.prod.localhost"}},
		"of a name that is none":   {svc("my_web", domain("a.example", 80)), "localhost", []string{"a.example"}},
		"without a suffix":         {svc("web", domain("a.example", 80)), "", []string{"a.example"}},
		"of who is not on the web": {svc("db"), "localhost", nil},
		"of who does its own TLS":  {svc("web", at(pass)), "localhost", []string{"p.example"}},
		"on a path":                {svc("web", at(spec.Domain{Path: "/x", Port: 80})), "localhost", []string{"prod.localhost/x", "web.shop.prod.localhost"}},
		"asked for by name":        {svc("web", domain("web.shop.prod.localhost", 80)), "localhost", []string{"web.shop.prod.localhost"}},
	} {
		r := serving(declared(t, fresh(), shop(c.service)).Record)
		table := project.Table([]project.Record{r}, service.Snapshot{}, c.suffix)
		var got []string
		for _, h := range table.HTTP {
			got = append(got, h.Host+h.Path)
		}
		for _, p := range table.Pass {
			got = append(got, p.Host)
		}
		if slices.Sort(got); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v; want %v", says, got, c.want)
		}
	}
}

func TestURLOfAServiceWithoutANameIsItsDefaultDomain(t *testing.T) {
	r := serving(declared(t, fresh(), shop(svc("web", at(spec.Domain{Port: 80})))).Record)
	ref := project.Ref{Record: &r, Service: r.Service("web")}
	if got := project.URLs(ref, "home.arpa", 443); !slices.Equal(got, []string{"https://web.shop.prod.home.arpa/"}) {
		t.Errorf("got %v", got)
	}
}

// Of two services at one place only one would be served.
func TestDefaultDomainOfAnotherServiceIsRefused(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		web := app("web", "good", domain("a.example", 80))
		api := app("api", "good", domain("web.shop.prod.localhost", 80))
		_, err := w.apply("shop", web, api)
		w.conflict("the domain web.shop.prod.localhost, which api wants, belongs to prod.shop.web, whose default domain it is", err)

		w.must("shop", web)
		_, err = w.apply("blog", api)
		w.conflict("the domain web.shop.prod.localhost, which api wants, belongs to prod.shop.web, whose default domain it is", err)

		_, err = w.apply("blog", app("api", "good", at(spec.Domain{Host: "web.shop.prod.localhost", Path: "/api", Port: 80})))
		w.conflict("belongs to prod.shop.web, whose default domain it is", err)

		_, err = w.apply("blog", app("api", "good", domain("b.example", 80), at(spec.Domain{Host: "api.blog.prod.localhost", Port: 443, TLS: spec.Passthrough})))
		w.conflict("the domain api.blog.prod.localhost, which api wants, belongs to prod.blog.api, whose default domain it is", err)

		_, err = w.apply("blog", app("api", "good", at(spec.Domain{Host: "prod.localhost", Path: "/x", Port: 80}, spec.Domain{Path: "/x", Port: 80})))
		w.conflict("the domain /x, which api wants, belongs to api", err)
	})
}

func TestServiceWhoseDefaultDomainIsTakenIsRefused(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("blog", app("api", "good", domain("web.shop.prod.localhost", 80)))
		w.must("shop", app("web", "good"), app("mail", "good", domain("m.example", 80))) // who is not on the web has none
		_, err := w.apply("shop", app("web", "good", domain("a.example", 80)))
		w.conflict("web.shop.prod.localhost, the default domain of web, belongs to prod.blog.api", err)
	})
}

func TestOwnDefaultDomainAndPathsOnASiblingsAreFine(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", domain("web.shop.prod.localhost", 80)),
			app("api", "good", at(spec.Domain{Host: "web.shop.prod.localhost", Path: "/api", Port: 80})))
		w.must("shop", app("web", "better", domain("web.shop.prod.localhost", 80)),
			app("api", "good", at(spec.Domain{Host: "web.shop.prod.localhost", Path: "/api", Port: 80})))
	})
}

func TestRollbackToADefaultDomainThatIsTakenIsRefused(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.images()
		w.must("shop", app("web", "good", domain("a.example", 80)))
		w.must("shop", app("web", "better"))
		w.must("blog", app("api", "good", domain("web.shop.prod.localhost", 80)))
		_, err := w.back("web", 1)
		w.conflict("the domain web.shop.prod.localhost, which r1 had, belongs to prod.blog.api", err)
	})
}
