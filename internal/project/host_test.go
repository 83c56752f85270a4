package project_test

import (
	"slices"
	"testing"

	"havre/internal/project"
	"havre/internal/project/projecttest"
	"havre/internal/service"
	"havre/internal/spec"
)

func TestURLsNameThePort(t *testing.T) {
	r := shop(projecttest.Service("web", projecttest.Domain("a.example", 80)))
	ref := project.Ref{Record: &r, Service: r.Service("web")}
	if got := project.URLs(ref, "home.arpa", 443); len(got) != 1 || got[0] != "https://a.example/" {
		t.Errorf("got %v", got)
	}
	if got := project.URLs(ref, "home.arpa", 10443); got[0] != "https://a.example:10443/" {
		t.Errorf("got %v", got)
	}
}

func TestDefaultDomainIsServedBesideTheOthers(t *testing.T) {
	pass := spec.Domain{Host: "p.example", Port: 443, TLS: spec.Passthrough}
	for says, c := range map[string]struct {
		service spec.Service
		suffix  string
		want    []string
	}{
		"with a domain":            {projecttest.Service("web", projecttest.Domain("a.example", 80)), "localhost", []string{"a.example", "web.shop.prod.localhost"}},
		"without one of its own":   {projecttest.Service("web", projecttest.Domains(spec.Domain{Port: 80})), "home.arpa", []string{"web.shop.prod.home.arpa"}},
		"of a name in capitals":    {projecttest.Service("Web", projecttest.Domains(spec.Domain{Port: 80})), "localhost", []string{"web.shop.prod.localhost"}},
		"of a name that is none":   {projecttest.Service("my_web", projecttest.Domain("a.example", 80)), "localhost", []string{"a.example"}},
		"without a suffix":         {projecttest.Service("web", projecttest.Domain("a.example", 80)), "", []string{"a.example"}},
		"of who is not on the web": {projecttest.Service("db"), "localhost", nil},
		"of who does its own TLS":  {projecttest.Service("web", projecttest.Domains(pass)), "localhost", []string{"p.example"}},
		"on a path":                {projecttest.Service("web", projecttest.Domains(spec.Domain{Path: "/x", Port: 80})), "localhost", []string{"prod.localhost/x", "web.shop.prod.localhost"}},
		"asked for by name":        {projecttest.Service("web", projecttest.Domain("web.shop.prod.localhost", 80)), "localhost", []string{"web.shop.prod.localhost"}},
	} {
		r := shop(c.service)
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
	r := shop(projecttest.Service("web", projecttest.Domains(spec.Domain{Port: 80})))
	ref := project.Ref{Record: &r, Service: r.Service("web")}
	if got := project.URLs(ref, "home.arpa", 443); !slices.Equal(got, []string{"https://web.shop.prod.home.arpa/"}) {
		t.Errorf("got %v", got)
	}
}
