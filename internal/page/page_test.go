package page_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"havre/internal/api"
	"havre/internal/page"
	"havre/internal/secret"
	"havre/internal/server/servertest"
	"havre/internal/spec"
)

// visitor is a browser without scripts at the pages of a fake.
type visitor struct {
	t    *testing.T
	fake *servertest.Fake
	url  string
	web  *http.Client
}

func visit(t *testing.T, token string) *visitor {
	t.Helper()
	fake := servertest.New()
	srv := httptest.NewServer(page.New(page.Settings{Token: secret.New(token), Look: fake}))
	t.Cleanup(srv.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, fake, srv.URL, &http.Client{Jar: jar}}
}

func (v *visitor) get(path string) (*http.Response, string) {
	v.t.Helper()
	resp, err := v.web.Get(v.url + path)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp, string(b)
}

func (v *visitor) login(token string) int {
	v.t.Helper()
	resp, err := v.web.PostForm(v.url+"/login", url.Values{"token": {token}})
	if err != nil {
		v.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// shop has a service that is well and one that fails, with hostile words.
func (v *visitor) shop() {
	v.t.Helper()
	v.fake.Fail("db", `it exited with code 3 <script>alert(1)</script>`, "last <b>words</b>")
	p := spec.Project{Name: "shop", Services: []spec.Service{{Name: "web", Image: "app:1", Replicas: 1}, {Name: "db", Image: "app:1", Replicas: 1}}}
	_ = v.fake.Apply(v.t.Context(), api.Apply{Environment: "prod", Project: p}, func(api.Progress) {}) // it fails, as it should
	v.fake.Print("web", "stderr", `GET /<img src=x>`)
}

func TestThePagesShowWhatRunsAndWhy(t *testing.T) {
	v := visit(t, "right")
	v.shop()
	if code := v.login("right"); code != 200 {
		t.Fatalf("login: %d", code)
	}
	_, all := v.get("/")
	for _, want := range []string{"<h2>prod.shop</h2>", `href="/service/prod/shop/web"`, "healthy", "failing", "engine well", "it exited with code 3"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in %s", want, all)
		}
	}
	_, db := v.get("/service/prod/shop/db")
	for _, want := range []string{"prod.shop.db fails", "mend it and apply again", "last &lt;b&gt;words", "r1"} {
		if !strings.Contains(db, want) {
			t.Errorf("no %q in %s", want, db)
		}
	}
	_, web := v.get("/service/prod/shop/web")
	if !strings.Contains(web, "GET /&lt;img") {
		t.Errorf("no log in %s", web)
	}
	for _, text := range []string{all, db, web} {
		if regexp.MustCompile(`<(script|img|b>words|iframe)|style=|https?://[^"]*\.(js|css)`).MatchString(text) {
			t.Errorf("words of others became elements, or something is loaded: %s", text)
		}
	}
	if resp, text := v.get("/service/prod/shop/nobody"); resp.StatusCode != 404 || !strings.Contains(text, "no service is named") {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	if resp, _ := v.get("/nowhere"); resp.StatusCode != 404 {
		t.Errorf("nowhere answers %d", resp.StatusCode)
	}
}

func TestNothingIsShownWithoutTheToken(t *testing.T) {
	v := visit(t, "right")
	v.shop()
	shut := func(what string) {
		t.Helper()
		for _, path := range []string{"/", "/service/prod/shop/web"} {
			if resp, text := v.get(path); resp.StatusCode != 401 || strings.Contains(text, "shop") || !strings.Contains(text, `name="token"`) {
				t.Errorf("%s: %s answers %d: %s", what, path, resp.StatusCode, text)
			}
		}
	}
	shut("at first")
	if code := v.login("wrong"); code != 401 {
		t.Errorf("a wrong token: %d", code)
	}
	shut("after a wrong token")
	at, _ := url.Parse(v.url)
	for _, forged := range []string{"9999999999.00", "9999999999.", ".", "1.2.3"} {
		v.web.Jar.SetCookies(at, []*http.Cookie{{Name: "havre", Value: forged, Path: "/"}})
		shut("with the cookie " + forged)
	}
	v.login("right")
	c := v.web.Jar.Cookies(at)[0].Value
	_, proof, _ := strings.Cut(c, ".")
	v.web.Jar.SetCookies(at, []*http.Cookie{{Name: "havre", Value: "1." + proof, Path: "/"}})
	shut("with another end")
	v.login("right")
	if resp, err := v.web.PostForm(v.url+"/logout", nil); err != nil || resp.Body.Close() != nil {
		t.Fatal(err)
	}
	shut("after logging out")
	if nobody := visit(t, ""); nobody.login("") != 401 {
		t.Error("an empty token opens")
	}
}

func TestThePageIsStrict(t *testing.T) {
	v := visit(t, "right")
	resp, _ := v.get("/")
	csp := resp.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none'; style-src 'self'; form-action 'self'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.url+"/login", strings.NewReader("token=right"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://evil.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if resp, err = v.web.Do(r); err != nil || resp.Body.Close() != nil || resp.StatusCode != 403 {
		t.Errorf("a form of another site: %d, %v", resp.StatusCode, err)
	}
	resp, err = v.web.PostForm(v.url+"/login", url.Values{"token": {"right"}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for _, c := range resp.Request.Response.Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || strings.Contains(c.Value, "right") {
			t.Errorf("cookie %v", c)
		}
	}
}
