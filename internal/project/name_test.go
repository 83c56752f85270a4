package project_test

import (
	"strings"
	"testing"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/project/projecttest"
)

func TestNamesMeanOneThing(t *testing.T) {
	a, b := shop(projecttest.Service("web"), projecttest.Service("db")), shop(projecttest.Service("web"), projecttest.Service("gone"))
	b.ID, b.Name, b.Environment = "qqqqqqqq", "blog", "test"
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
	records := []project.Record{shop(projecttest.Service("web"), projecttest.Service("db"))}
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
