package server

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"havre/internal/api"
	"havre/internal/problem"
)

// param is something that may stand after the question mark.
type param struct {
	name string
	does string
	kind string // "string", "boolean", "integer" or "strings", which may come more than once
}

// route is one path of the API: how it is served, and what the document says.
type route struct {
	path   string // of package api: method and pattern
	does   string
	query  []param
	body   any  // of the type that is read; nil is none, a string names a content type
	answer any  // of the type that is written; nil is none, a string names a content type
	stream bool // answer comes many times
	events bool // as server-sent events
	open   bool // to whoever asks, without a token; its path holds no name
	serve  func(w http.ResponseWriter, r *http.Request) error
}

func environmentParam() param {
	return param{"env", "the environment; without it, any when what is named is unique", "string"}
}

func imageParams(more ...param) []param {
	return append([]param{
		{"env", "the environment", "string"},
		{"name", "the image's name", "string"},
	}, more...)
}

func secretParams() []param {
	return []param{{"env", "the environment", "string"}, {"name", "the secret's name", "string"}}
}

// routes is all of the API, in the order of package api.
func (s *Server) routes() []route {
	named := []param{environmentParam()}
	inside := []param{environmentParam(), {"path", "absolute, in the container or the volume", "string"}}
	volumes := []param{
		environmentParam(), {"volumes", "take the data away too", "boolean"},
		{"force", "also what services of other projects link to", "boolean"},
	}
	lines := []param{
		environmentParam(),
		{"follow", "go on with what is printed from now on", "boolean"},
		{"since", "RFC 3339 time; nothing older", "string"},
		{"tail", "at most so many lines of each container", "integer"},
		{"rollout", "only of this rollout of a service", "integer"},
	}
	return []route{
		{path: api.PathVersion, does: "who is there", answer: api.Version{}, serve: s.version},
		{path: api.PathStatus, does: "how Havre itself is", answer: api.Status{}, serve: s.status},
		{path: api.PathPlan, does: "say what an apply would do", body: api.Apply{}, answer: api.Plan{}, serve: s.plan},
		{path: api.PathApply, does: "make a project as declared", body: api.Apply{}, answer: api.Progress{}, stream: true, serve: s.apply},
		{path: api.PathServices, does: "list services", query: []param{{"env", "only this environment", "string"}, {"project", "only this project", "string"}}, answer: []api.Service{}, serve: s.services},
		{path: api.PathService, does: "show a service", query: named, answer: api.Service{}, serve: s.service},
		{path: api.PathWhy, does: "explain a service's state", query: named, answer: api.Why{}, serve: s.why},
		{path: api.PathLogs, does: "what a service printed", query: lines, answer: api.Line{}, stream: true, serve: s.logs(false)},
		{path: api.PathAccess, does: "who came to a service, oldest first, as far as it is kept", query: []param{environmentParam(),
			{"since", "RFC 3339 time; nothing older", "string"}, {"tail", "at most so many of the last", "integer"}}, answer: []api.Access{}, serve: s.access},
		{path: api.PathAccessOn, does: "the same, and what came later than a part that was read before", query: []param{environmentParam(),
			{"since", "RFC 3339 time; nothing older", "string"}, {"tail", "at most so many of the last", "integer"},
			{"after", "next of the part before; since and tail are of the first one", "string"}}, answer: api.AccessPage{}, serve: s.accessOn},
		{path: api.PathExec, does: "run a command in a container of a service, over a websocket (" + api.ExecProtocol + ")", query: named, serve: s.exec},
		{path: api.PathHistory, does: "list a service's rollouts, newest first", query: named, answer: []api.Rollout{}, serve: s.history},
		{path: api.PathDiff, does: "compare two rollouts of a service", answer: api.Diff{}, serve: s.diff, query: []param{
			environmentParam(),
			{"from", "a rollout's number; without it, the one that served before the other", "integer"},
			{"to", "a rollout's number; without it, the newest", "integer"},
			{"secrets", "show values of variables that are named like secrets", "boolean"}}},
		{path: api.PathRollback, does: "make a service run like a former rollout", answer: api.Progress{}, stream: true, serve: s.rollback, query: []param{
			environmentParam(), {"to", "a rollout's number; without it, what served before", "integer"}}},
		{path: api.PathScale, does: "change how many containers a service has", answer: api.Progress{}, stream: true, serve: s.scale, query: []param{
			environmentParam(), {"replicas", "how many; 0 is none", "integer"},
			{"shared", "they may write to its volumes at once", "boolean"}}},
		{path: api.PathStart, does: "start a service", query: named, answer: api.Progress{}, stream: true, serve: s.turn(Switcher.Start, false)},
		{path: api.PathStop, does: "stop a service", query: named, answer: api.Progress{}, stream: true, serve: s.turn(Switcher.Stop, false)},
		{path: api.PathRestart, does: "restart a service", query: named, answer: api.Progress{}, stream: true, serve: s.turn(Switcher.Restart, false)},
		{path: api.PathRemove, does: "remove a service", query: volumes, answer: api.Removed{}, serve: s.remove(false)},
		{path: api.PathProject, does: "show a project as it was applied last", query: named, answer: api.Declared{}, serve: s.declared},
		{path: api.PathPStart, does: "start a project", query: named, answer: api.Progress{}, stream: true, serve: s.turn(Switcher.Start, true)},
		{path: api.PathPStop, does: "stop a project", query: named, answer: api.Progress{}, stream: true, serve: s.turn(Switcher.Stop, true)},
		{path: api.PathPRestart, does: "restart a project", query: named, answer: api.Progress{}, stream: true, serve: s.turn(Switcher.Restart, true)},
		{path: api.PathPRemove, does: "remove a project", query: volumes, answer: api.Removed{}, serve: s.remove(true)},
		{path: api.PathPLogs, does: "what the services of a project printed", query: lines, answer: api.Line{}, stream: true, serve: s.logs(true)},
		{path: api.PathFileStat, does: "what stands at a path of a service or volume", query: inside, answer: api.FileStat{}, serve: s.statFile},
		{path: api.PathFileGet, does: "read a file or directory of a service or volume", query: inside, answer: api.ContentTar, serve: s.getFile},
		{path: api.PathFilePut, does: "unpack an archive in a directory of a service or volume", query: append(slices.Clone(inside), param{"fill", "make a new volume with it that the plan says waits for it", "boolean"}), body: api.ContentTar, answer: api.Copied{}, serve: s.putFile},
		{path: api.PathVolumes, does: "list volumes", answer: []api.Volume{}, serve: s.volumes, query: []param{
			{"env", "only this environment", "string"}, {"project", "only this project", "string"}, {"whole", "count big ones to their end", "boolean"}}},
		{path: api.PathVolumeClean, does: "empty a volume that is cache or log", query: named, answer: api.Cleaned{}, serve: s.cleanVolume},
		{path: api.PathVolumeRm, does: "remove a volume that no service has", query: named, answer: api.Removed{}, serve: s.removeVolume},
		{path: api.PathImages, does: "list images", query: []param{{"env", "only this environment", "string"}}, answer: []api.Image{}, serve: s.images},
		{path: api.PathLoad, does: "load an image from a docker-archive", query: imageParams(), body: api.ContentTar, answer: api.Image{}, serve: s.load},
		{path: api.PathPull, does: "take an image from its registry", query: imageParams(), answer: api.Progress{}, stream: true, serve: s.pull},
		{path: api.PathBuild, does: "build an image", body: api.ContentTar, answer: api.Progress{}, stream: true, serve: s.build, query: imageParams(
			param{"dockerfile", "path in the context", "string"},
			param{"target", "stage to stop at", "string"},
			param{"arg", "K=V", "strings"},
			param{"nocache", "run every step again", "boolean"})},
		{path: api.PathImageRm, does: "remove an image's name", query: imageParams(), answer: api.Removed{}, serve: s.removeImage},
		{path: api.PathUsage, does: "what services use, and what came to them; counts grow, so ask twice for a rate", query: []param{{"env", "only this environment", "string"}, {"project", "only this project", "string"}}, answer: []api.Usage{}, serve: s.usage},
		{path: api.PathAlerts, does: "what is wrong by the rules, and what is silenced", answer: api.Alerts{}, serve: s.alerts},
		{path: api.PathSilence, does: "keep alerts from being told for a while", answer: api.Alerts{}, serve: s.silence, query: []param{
			{"name", "an alert's, a rule's, a service's or project's in full, or * for everything", "string"}, {"for", "a time like 2h; 0s ends a silence", "string"}}},
		{path: api.PathAlertTest, does: "send a test by a channel, or by each", answer: []api.Tested{}, serve: s.testAlerts, query: []param{{"channel", "only this one", "string"}}},
		{path: api.PathMetrics, does: "what is measured, for Prometheus", answer: "text/plain", serve: s.metrics},
		{path: api.PathEvents, does: "what happened, and what happens from now on; the header Last-Event-ID goes on after a break", answer: api.Event{}, stream: true, events: true, serve: s.events, query: []param{
			{"env", "only this environment", "string"}, {"project", "only this project", "string"}, {"service", "only this service", "string"},
			{"kind", "only this kind", "strings"},
			{"after", "only those with a higher number", "integer"},
			{"since", "RFC 3339 time; nothing older", "string"},
			{"follow", "false: end with the last one that is kept", "boolean"}}},
		{path: api.PathSecrets, does: "list secrets, without what they hold", query: []param{{"env", "only this environment", "string"}}, answer: []api.Secret{}, serve: s.secrets},
		{path: api.PathSecretNew, does: "give a secret a value", body: api.NewSecret{}, answer: api.Secret{}, serve: s.createSecret},
		{path: api.PathSecretUse, does: "have the services that use a secret run with its present value", query: secretParams(), answer: api.Progress{}, stream: true, serve: s.renewSecret},
		{path: api.PathSecretRm, does: "remove a secret that nothing uses", query: secretParams(), answer: api.Removed{}, serve: s.removeSecret},
		{path: api.PathAuthority, does: "the root certificate of this Havre's own authority", answer: api.ContentPEM, open: true, serve: s.authority},
		{path: api.PathOpenAPI, does: "this document", answer: api.ContentJSON, serve: s.document},
		{path: api.PathDown, does: "stop all services of this Havre", answer: api.Progress{}, stream: true, serve: s.down},
	}
}

func (s *Server) mux() http.Handler {
	mux := http.NewServeMux()
	routes := s.routes()
	for _, rt := range routes {
		mux.HandleFunc(rt.path, func(w http.ResponseWriter, r *http.Request) {
			err := checkQuery(r, rt.query)
			if err == nil {
				err = rt.serve(w, r)
			}
			if err != nil {
				s.fail(w, r, err)
			}
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.fail(w, r, lost(mux, w, r)) })
	return mux
}

// lost tells a wrong method from a wrong path.
func lost(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = m
		if _, pattern := mux.Handler(other); pattern != "/" && pattern != "" {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) == 0 {
		return problem.New(problem.NotFound, "no path %s", r.URL.Path).With("GET /v1/openapi.json lists them")
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return &misuse{problem.New(problem.Invalid, "%s does not take %s", r.URL.Path, r.Method).
		With("use %s", strings.Join(allowed, " or ")), http.StatusMethodNotAllowed}
}

// checkQuery refuses what a route does not know.
func checkQuery(r *http.Request, known []param) error {
	var wrong problem.List
	for name, values := range r.URL.Query() {
		i := slices.IndexFunc(known, func(p param) bool { return p.name == name })
		switch {
		case i < 0:
			wrong = append(wrong, problem.New(problem.Invalid, "unknown parameter %q", name).With("GET /v1/openapi.json lists them"))
		case len(values) > 1 && known[i].kind != "strings":
			wrong = append(wrong, problem.New(problem.Invalid, "parameter %q comes more than once", name).With("leave one of them out"))
		}
	}
	slices.SortFunc(wrong, func(a, b *problem.Problem) int { return strings.Compare(a.Says, b.Says) })
	return wrong.AsError()
}

func answer(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", api.ContentJSON)
	_, _ = w.Write(append(b, '\n')) // who has gone cannot be told
	return nil
}

// absent is the answer where this server was given no such piece.
func absent(what string) error {
	return problem.New(problem.Unavailable, "this server has no %s", what).With("look at: havre status")
}
