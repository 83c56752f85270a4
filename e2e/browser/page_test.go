package browser_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"havre/internal/api"
	"havre/internal/lab"
	"havre/internal/page"
	"havre/internal/secret"
	"havre/internal/server/servertest"
	"havre/internal/spec"
)

// shop serves the pages of a project with a service that is well and one that
// fails, whose words would like to be a page of their own.
func shop(t *testing.T) string {
	t.Helper()
	fake := servertest.New()
	fake.Fail("db", "it exited with code 3 <script>document.title='owned'</script>", "last <b>words</b>")
	p := spec.Project{Name: "shop", Services: []spec.Service{{Name: "web", Image: "app:1", Replicas: 1}, {Name: "db", Image: "app:1", Replicas: 1}}}
	_ = fake.Apply(t.Context(), api.Apply{Environment: "prod", Project: p}, func(api.Progress) {}) // it fails, as it should
	fake.Print("web", "stderr", "GET /<img src=x onerror=document.title='owned'> "+strings.Repeat("long", 200))
	srv := httptest.NewServer(page.New(page.Settings{Token: secret.New("right"), Look: fake}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestABrowserLogsInSeesWhatFailsAndLogsOut(t *testing.T) {
	t.Parallel()
	url, b := shop(t), open(t)
	b.visit(url)
	b.shows("Log in", "/var/lib/havre/server/token")
	b.fill("Token", "wrong")
	b.press("Log in")
	b.shows("This token is wrong.")
	b.fill("Token", " right ") // as pasted
	b.press("Log in")
	b.shows("prod.shop", "web", "healthy", "failing", "it exited with code 3")
	b.press("db")
	b.shows("prod.shop.db fails", "What to do:", "<script>document.title='owned'</script>", "last <b>words</b>", "Last rollouts")
	b.press("All services")
	b.shows("look again")
	b.press("web")
	b.shows("GET /<img src=x")
	for what, expression := range map[string]string{
		"the title":                         `document.title === 'prod.shop.web · Havre' || document.title`,
		"elements that others' words made":  `document.querySelectorAll('script, img, iframe, main b:not(.err)').length === 0`,
		"the style sheet":                   `getComputedStyle(document.querySelector('.brand')).fontWeight === '700'`,
		"what was loaded":                   `performance.getEntriesByType('resource').every(e => e.name.startsWith(location.origin)) && performance.getEntriesByType('resource').length > 0`,
		"the cookie, which no script reads": `document.cookie === ''`,
		"inline scripts, which are refused": `(() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s); s.remove(); return window.ran === undefined })()`,
	} {
		if got := b.eval(expression); got != "true" {
			t.Errorf("%s: %s", what, got)
		}
	}
	if len(b.refusals) != 1 || !strings.Contains(b.refusals[0], "inline script") {
		t.Errorf("the browser should have refused our own inline script alone: %q", b.refusals)
	}
	b.press("Log out")
	b.shows("Log in")
	b.visit(url + "/service/prod/shop/web")
	b.shows("Log in")
}

// tooWide names the elements that stick out, and are in nothing that scrolls.
const tooWide = `[...document.querySelectorAll('main *, header *')].filter(e => e.scrollWidth > e.clientWidth && !e.closest('.wide, pre')).map(e => e.outerHTML.slice(0, 80)).join('; ')`

// A telephone shows all of it without scrolling sideways.
func TestPagesFitANarrowScreen(t *testing.T) {
	t.Parallel()
	url, b := shop(t), open(t)
	b.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": true}, nil)
	b.visit(url)
	b.shows("Log in")
	b.fill("Token", "right")
	b.press("Log in")
	b.shows("prod.shop")
	for _, name := range []string{"db", "web"} {
		b.press(name)
		b.shows("Last rollouts")
		b.fits("360")
		b.press("All services")
		b.shows("look again")
		b.fits("360")
	}
}

// fits waits until the page is laid out in the width of the screen.
func (b *browser) fits(width string) {
	b.t.Helper()
	lab.Eventually(b.t, "the page to fit the screen", func(context.Context) error {
		if got := b.eval(`document.documentElement.scrollWidth`); got != width {
			return fmt.Errorf("it is %s wide: %s", got, b.eval(tooWide))
		}
		return nil
	})
}
