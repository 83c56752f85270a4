package deploy_test

import (
	"testing"

	"havre/internal/project/projecttest"
	"havre/internal/spec"
)

func at(domains ...spec.Domain) func(*spec.Service) {
	return func(s *spec.Service) { s.Domains = append(s.Domains, domains...) }
}

// Of two services at one place only one would be served.
func TestDefaultDomainOfAnotherServiceIsRefused(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		web := app("web", "good", projecttest.Domain("a.example", 80))
		api := app("api", "good", projecttest.Domain("web.shop.prod.localhost", 80))
		_, err := w.apply("shop", web, api)
		w.conflict("the domain web.shop.prod.localhost, which api wants, belongs to prod.shop.web, whose default domain it is", err)

		w.must("shop", web)
		_, err = w.apply("blog", api)
		w.conflict("the domain web.shop.prod.localhost, which api wants, belongs to prod.shop.web, whose default domain it is", err)

		_, err = w.apply("blog", app("api", "good", at(spec.Domain{Host: "web.shop.prod.localhost", Path: "/api", Port: 80})))
		w.conflict("belongs to prod.shop.web, whose default domain it is", err)

		_, err = w.apply("blog", app("api", "good", projecttest.Domain("b.example", 80), at(spec.Domain{Host: "api.blog.prod.localhost", Port: 443, TLS: spec.Passthrough})))
		w.conflict("the domain api.blog.prod.localhost, which api wants, belongs to prod.blog.api, whose default domain it is", err)

		_, err = w.apply("blog", app("api", "good", at(spec.Domain{Host: "prod.localhost", Path: "/x", Port: 80}, spec.Domain{Path: "/x", Port: 80})))
		w.conflict("the domain /x, which api wants, belongs to api", err)
	})
}

func TestServiceWhoseDefaultDomainIsTakenIsRefused(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("blog", app("api", "good", projecttest.Domain("web.shop.prod.localhost", 80)))
		w.must("shop", app("web", "good"), app("mail", "good", projecttest.Domain("m.example", 80))) // who is not on the web has none
		_, err := w.apply("shop", app("web", "good", projecttest.Domain("a.example", 80)))
		w.conflict("web.shop.prod.localhost, the default domain of web, belongs to prod.blog.api", err)
	})
}

func TestOwnDefaultDomainAndPathsOnASiblingsAreFine(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", projecttest.Domain("web.shop.prod.localhost", 80)),
			app("api", "good", at(spec.Domain{Host: "web.shop.prod.localhost", Path: "/api", Port: 80})))
		w.must("shop", app("web", "better", projecttest.Domain("web.shop.prod.localhost", 80)),
			app("api", "good", at(spec.Domain{Host: "web.shop.prod.localhost", Path: "/api", Port: 80})))
	})
}

func TestRollbackToADefaultDomainThatIsTakenIsRefused(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.images()
		w.must("shop", app("web", "good", projecttest.Domain("a.example", 80)))
		w.must("shop", app("web", "better"))
		w.must("blog", app("api", "good", projecttest.Domain("web.shop.prod.localhost", 80)))
		_, err := w.back("web", 1)
		w.conflict("the domain web.shop.prod.localhost, which r1 had, belongs to prod.blog.api", err)
	})
}
