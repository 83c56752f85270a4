package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/server"
	"havre/internal/spec"
)

// health answers as each test wants.
type health struct {
	version func(context.Context) (api.Version, error)
}

func (h health) Version(ctx context.Context) (api.Version, error) { return h.version(ctx) }
func (h health) Status(context.Context) (api.Status, error)       { return api.Status{}, nil }

func failing(err error) func(*server.Settings) {
	return func(s *server.Settings) {
		s.Backend.Health = health{func(context.Context) (api.Version, error) { return api.Version{}, err }}
	}
}

func TestEveryKindHasAStatusAndComesBackWhole(t *testing.T) {
	for kind, status := range map[problem.Kind]int{
		problem.Invalid: 400, problem.NotFound: 404, problem.Conflict: 409, problem.Denied: 403,
		problem.Busy: 423, problem.Unavailable: 503, problem.Failed: 502,
	} {
		said := &problem.Problem{Kind: kind, Says: "it is so", Remedy: "do this", Rule: "a-rule", Err: errors.New("because")}
		w := open(t, failing(fmt.Errorf("ask: %w", said)))
		resp, p := w.ask(t, func(*http.Request) {})
		if resp.StatusCode != status || p.Status != status || p.Type != "urn:havre:problem:"+string(kind) || p.Instance == "" || p.Instance != resp.Header.Get("X-Request-Id") {
			t.Errorf("%s: %s, %+v", kind, resp.Status, p)
		}
		_, err := w.caller(t).Version(t.Context())
		got := problem.Of(err)
		if got.Kind != kind || got.Says != "ask: it is so: because" || got.Remedy != "do this" || got.Rule != "a-rule" {
			t.Errorf("%s came back as %+v", kind, got)
		}
		w.stop()
	}
}

func TestOurOwnMistakesAreANumberOutsideAndWholeInTheLog(t *testing.T) {
	w := open(t, failing(errors.New("the password is hunter2")))
	_, p := w.ask(t, func(*http.Request) {})
	if p.Kind != problem.Internal || strings.Contains(fmt.Sprint(p), "hunter2") || !strings.Contains(p.Detail, p.Instance) || p.Instance == "" {
		t.Errorf("shown: %+v", p)
	}
	if n := strings.Count(w.log.String(), "hunter2"); n != 1 || !strings.Contains(w.log.String(), p.Instance) {
		t.Errorf("logged %d times:\n%s", n, w.log)
	}
}

func TestAPanicEndsOneRequest(t *testing.T) {
	w := open(t, func(s *server.Settings) {
		s.Backend.Health = health{func(context.Context) (api.Version, error) { panic("no such luck") }}
	})
	resp, p := w.ask(t, func(*http.Request) {})
	if resp.StatusCode != 500 || p.Kind != problem.Internal || !strings.Contains(w.log.String(), "no such luck") {
		t.Errorf("%s %+v\n%s", resp.Status, p, w.log)
	}
	if _, err := w.caller(t).Status(t.Context()); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

func TestWhatIsNotKnownIsRefused(t *testing.T) {
	w := open(t, nil)
	post := func(path, body string) func(*http.Request) {
		return func(r *http.Request) {
			r.Method, r.URL.Path, r.Body, r.ContentLength = http.MethodPost, path, io.NopCloser(strings.NewReader(body)), int64(len(body))
		}
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
		says   string
	}{
		"field":         {post("/v1/plan", `{"environment":"prod","project":{"name":"x","services":[],"evil":1}}`), 400, `unknown field "evil"`},
		"second value":  {post("/v1/plan", `{"environment":"prod","project":{"name":"x","services":[]}}{}`), 400, "something follows"},
		"no JSON":       {post("/v1/plan", `x`), 400, "invalid character"},
		"environment":   {post("/v1/plan", `{"environment":"../etc","project":{"name":"x","services":[]}}`), 400, `"../etc" cannot name an environment`},
		"mistake":       {post("/v1/plan", `{"environment":"prod","project":{"name":"x","services":[{"name":"web","replicas":1}]}}`), 400, "services.web: service web has no image"},
		"large":         {post("/v1/apply", `{"environment":"`+strings.Repeat("x", 48<<20)+`"}`), 413, "larger than"},
		"path":          {func(r *http.Request) { r.URL.Path = "/v2/version" }, 404, "/v2/version"},
		"method":        {func(r *http.Request) { r.Method = http.MethodPost }, 405, "does not take POST"},
		"parameter":     {func(r *http.Request) { r.URL.RawQuery = "x=1" }, 400, `unknown parameter "x"`},
		"twice":         {func(r *http.Request) { r.URL.Path, r.URL.RawQuery = "/v1/services", "env=a&env=b" }, 400, "more than once"},
		"truth":         {func(r *http.Request) { r.URL.Path, r.URL.RawQuery = "/v1/services/x/logs", "follow=perhaps" }, 400, "perhaps"},
		"time":          {func(r *http.Request) { r.URL.Path, r.URL.RawQuery = "/v1/services/x/logs", "since=yesterday" }, 400, "yesterday"},
		"tail":          {func(r *http.Request) { r.URL.Path, r.URL.RawQuery = "/v1/services/x/logs", "tail=-1" }, 400, "-1"},
		"image's name":  {post("/v1/images/build", ""), 400, "no name"},
		"not websocket": {func(r *http.Request) { r.URL.Path = "/v1/services/x/exec" }, 426, "websocket"},
	} {
		resp, p := w.ask(t, c.change)
		if resp.StatusCode != c.status || !strings.Contains(p.Detail, c.says) || p.Kind == "" || p.Remedy == "" {
			t.Errorf("%s: %s %+v", name, resp.Status, p)
		}
	}
}

func TestAllMistakesComeBackAtOnce(t *testing.T) {
	w := open(t, nil)
	_, err := w.caller(t).Plan(t.Context(), api.Apply{Environment: "prod", Project: spec.Project{Name: "x", Services: []spec.Service{{Name: "a"}, {Name: "b"}}}})
	var list problem.List
	if !errors.As(err, &list) || len(list) != 2 {
		t.Errorf("got %v", err)
	}
}

// shop is a project of one service.
func shop(image string) api.Apply {
	return api.Apply{Environment: "prod", Project: spec.Project{Name: "shop", Services: []spec.Service{{Name: "web", Image: image, Replicas: 1}}}}
}

func TestAnApplyGoesOnWithoutItsReader(t *testing.T) {
	w := open(t, nil)
	w.fake.Hold("web")
	ctx, cancel := context.WithCancel(t.Context())
	err := w.caller(t).Apply(ctx, shop("app:1"), func(p api.Progress) {
		if p.Service != nil {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("apply: %v", err)
	}
	eventually(t, "the request has ended", func() bool { return strings.Contains(w.log.String(), "path=/v1/apply") })
	w.fake.Release("web")
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := w.fake.Await(ctx, "web", "healthy"); err != nil {
		t.Error(err)
	}
}

func TestAnApplyEndsWithTheServer(t *testing.T) {
	w := open(t, nil)
	w.fake.Hold("web")
	got := make(chan error, 1)
	begun := make(chan struct{}, 9)
	go func() {
		got <- w.caller(t).Apply(context.Background(), shop("app:1"), func(api.Progress) { begun <- struct{}{} })
	}()
	<-begun
	w.stop()
	if err := <-got; problem.KindOf(err) != problem.Unavailable || problem.Of(err).Remedy == "" {
		t.Errorf("it says %v", err)
	}
	if strings.Contains(w.log.String(), "internal error") {
		t.Errorf("a stop is no mistake:\n%s", w.log)
	}
}

func TestAStreamTellsItsPlanItsStepsAndItsEnd(t *testing.T) {
	w := open(t, nil)
	w.fake.Fail("web", "exit code 3", "last words")
	var seen []string
	err := w.caller(t).Apply(t.Context(), shop("app:1"), func(p api.Progress) {
		switch {
		case p.Plan != nil:
			seen = append(seen, "plan "+p.Plan.Changes[0].Verb)
		case p.Service != nil:
			seen = append(seen, p.Service.Name+" "+p.Service.State)
		case p.Line != "":
			seen = append(seen, p.Line)
		}
	})
	if problem.KindOf(err) != problem.Failed {
		t.Errorf("err = %v", err)
	}
	if want := []string{"plan create", "web starting", "web failed", "web | last words"}; !slices.Equal(seen, want) {
		t.Errorf("seen %q, want %q", seen, want)
	}
}

func TestWhatFailsBeforeAStreamBeginsHasAStatus(t *testing.T) {
	w := open(t, nil)
	err := w.caller(t).Apply(t.Context(), shop("nowhere:1"), func(api.Progress) { t.Error("something was reported") })
	if problem.KindOf(err) != problem.NotFound {
		t.Errorf("err = %v", err)
	}
}

func TestSilenceIsBroken(t *testing.T) {
	w := open(t, func(s *server.Settings) { s.KeepAlive = 1 })
	w.fake.Hold("web")
	body := `{"environment":"prod","project":{"name":"shop","services":[{"name":"web","image":"app:1","replicas":1}]}}`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+w.tcp+"/v1/apply", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got strings.Builder
	b := make([]byte, 1)
	for !strings.Contains(got.String(), "\n\n\n") {
		if _, err := resp.Body.Read(b); err != nil {
			t.Fatalf("%v after %q", err, got.String())
		}
		got.WriteByte(b[0])
	}
	w.fake.Release("web")
}

func TestAFollowedLogEndsWithTheServer(t *testing.T) {
	w := open(t, nil)
	c := w.caller(t)
	if err := c.Apply(t.Context(), shop("app:1"), func(api.Progress) {}); err != nil {
		t.Fatal(err)
	}
	w.fake.Print("web", "stdout", "hello")
	read := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- c.Logs(context.Background(), api.Target{Name: "web"}, api.LogOptions{Follow: true}, func(api.Line) error { close(read); return nil })
	}()
	<-read
	w.stop()
	<-done
}

func TestAbsentPiecesSaySo(t *testing.T) {
	w := open(t, func(s *server.Settings) { s.Backend = server.Backend{} })
	c := w.caller(t)
	_, noServices := c.Services(t.Context(), "", "")
	_, noImages := c.Images(t.Context(), "")
	_, noExec := c.Exec(t.Context(), api.Target{Name: "x"}, api.ExecStart{}, api.ExecStreams{})
	for _, err := range []error{noServices, noImages, noExec, c.Down(t.Context(), func(api.Progress) {})} {
		if problem.KindOf(err) != problem.Unavailable {
			t.Errorf("got %v", err)
		}
	}
}

func TestAnAddressThatIsTakenIsNamed(t *testing.T) {
	w := open(t, nil)
	err := server.New(server.Settings{Listen: w.tcp}).Run(t.Context())
	if problem.KindOf(err) != problem.Unavailable || !strings.Contains(err.Error(), w.tcp) {
		t.Errorf("got %v", err)
	}
}
