// Package page is the status page: what runs, how it is, and why, for people
// with a browser and without the command line. It changes nothing, needs no
// script, and loads nothing from elsewhere.
package page

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/secret"
)

//go:embed text
var text embed.FS

// Look is what stands behind the pages.
type Look interface {
	Status(ctx context.Context) (api.Status, error)
	List(ctx context.Context, environment, project string) ([]api.Service, error)
	Why(ctx context.Context, t api.Target) (api.Why, error)
	History(ctx context.Context, t api.Target) ([]api.Rollout, error)
	Logs(ctx context.Context, t api.Target, o api.LogOptions, yield func(api.Line) error) error
}

// Settings are everything that can differ between two sets of pages.
type Settings struct {
	Token secret.Text // whoever knows it may look; an empty one lets nobody in
	Look  Look
	Log   *slog.Logger // default: discard
}

// Pages serves them.
type Pages struct {
	set  Settings
	mux  *http.ServeMux
	tmpl *template.Template
}

// New makes pages.
func New(set Settings) *Pages {
	if set.Log == nil {
		set.Log = slog.New(slog.DiscardHandler)
	}
	p := &Pages{set: set, mux: http.NewServeMux()}
	p.tmpl = template.Must(template.New("").Funcs(template.FuncMap{"age": age, "when": when, "good": good}).ParseFS(text, "text/*.html"))
	p.mux.HandleFunc("GET /{$}", p.inside(p.all))
	p.mux.HandleFunc("GET /service/{env}/{project}/{name}", p.inside(p.service))
	p.mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, text, "text/style.css") })
	p.mux.HandleFunc("POST /login", p.login)
	p.mux.HandleFunc("POST /logout", p.logout)
	p.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p.fail(w, problem.New(problem.NotFound, "there is no page %s", r.URL.Path))
	})
	return p
}

// ServeHTTP answers with a page.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	// A form of another site is refused, whatever cookie comes with it.
	new(http.CrossOriginProtection).Handler(p.mux).ServeHTTP(w, r)
}

// view is what a page is made of.
type view struct {
	Title    string
	In       bool // somebody is logged in
	Wrong    string
	Remedy   string
	Now      time.Time
	Status   api.Status
	Projects []project
	Name     string
	Service  api.Service
	Why      api.Why
	Rollouts []api.Rollout
	Lines    []api.Line
	NoLines  string // why there are none
}

type project struct {
	Name     string
	Services []api.Service
}

func (p *Pages) show(w http.ResponseWriter, status int, name string, v view) {
	v.Now = time.Now()
	var b bytes.Buffer
	if err := p.tmpl.ExecuteTemplate(&b, name, v); err != nil {
		p.set.Log.Error("page", "name", name, "err", err)
		http.Error(w, "this page cannot be shown", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // who has gone cannot be told
}

func (p *Pages) fail(w http.ResponseWriter, err error) {
	q := problem.Of(err)
	says := q.Says
	if q.Kind == problem.Internal || q.Kind == "" {
		p.set.Log.Error("page", "err", err)
		says = "something went wrong; the server's log says what"
	}
	p.show(w, api.StatusOf(q.Kind), "wrong.html", view{Title: "Problem", In: true, Wrong: says, Remedy: q.Remedy})
}

func (p *Pages) all(w http.ResponseWriter, r *http.Request) error {
	st, err := p.set.Look.Status(r.Context())
	if err != nil {
		return err
	}
	list, err := p.set.Look.List(r.Context(), "", "")
	if err != nil {
		return err
	}
	v := view{Title: "Services", In: true, Status: st}
	for _, s := range list {
		name := s.Environment + "." + s.Project
		if n := len(v.Projects); n == 0 || v.Projects[n-1].Name != name {
			v.Projects = append(v.Projects, project{Name: name})
		}
		last := &v.Projects[len(v.Projects)-1]
		last.Services = append(last.Services, s)
	}
	p.show(w, http.StatusOK, "all.html", v)
	return nil
}

// How much of its past a service's page shows.
const (
	lastRollouts = 10
	lastLines    = 100
	logTime      = 5 * time.Second
)

func (p *Pages) service(w http.ResponseWriter, r *http.Request) error {
	full := r.PathValue("env") + "." + r.PathValue("project") + "." + r.PathValue("name")
	t := api.Target{Name: full, Environment: r.PathValue("env")}
	v := view{Title: full, Name: full, In: true}
	var err error
	if v.Why, err = p.set.Look.Why(r.Context(), t); err != nil {
		return err
	}
	list, err := p.set.Look.List(r.Context(), r.PathValue("env"), r.PathValue("project"))
	if err != nil {
		return err
	}
	for _, s := range list {
		if s.Name == r.PathValue("name") {
			v.Service = s
		}
	}
	if v.Rollouts, err = p.set.Look.History(r.Context(), t); err != nil {
		return err
	}
	v.Rollouts = v.Rollouts[:min(len(v.Rollouts), lastRollouts)]
	ctx, cancel := context.WithTimeout(r.Context(), logTime)
	defer cancel()
	err = p.set.Look.Logs(ctx, t, api.LogOptions{Tail: lastLines}, func(l api.Line) error { v.Lines = append(v.Lines, l); return nil })
	if err != nil {
		v.NoLines = problem.Of(err).Says
	}
	v.Lines = v.Lines[max(0, len(v.Lines)-lastLines):]
	p.show(w, http.StatusOK, "service.html", v)
	return nil
}

// good tells whether a state is nothing to worry about.
func good(state string) bool {
	switch state {
	case "healthy", "idle", "stopped", "completed":
		return true
	}
	return false
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// age is the time from t to now, in words.
func age(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := now.Sub(t)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", max(0, int(d.Seconds())))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
