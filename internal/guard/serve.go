package guard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	"havre/internal/audit"
	"havre/internal/dockercall"
	"havre/internal/policy"
	"havre/internal/problem"
)

// asked is what the audit says about a request.
type asked struct {
	method, path string
	kind         dockercall.Kind
	object, name string
	deed         dockercall.Deed
	turn         *sync.Mutex // held until the request ends; nil for most
}

// record writes what was decided about a request; without a rule it is allowed.
func (g *Guard) record(c policy.Caller, q asked, rule, says string) error {
	e := audit.Entry{
		UID: c.UID, PID: c.PID, Kind: q.kind, Method: q.method, Path: q.path, Object: q.object, Name: q.name, Deed: q.deed,
		Decision: audit.Allowed, Rule: rule, Says: says,
	}
	if rule != "" {
		e.Decision = audit.Refused
	}
	return g.audit.Write(e)
}

func (q *asked) end() {
	if q.turn != nil {
		q.turn.Unlock()
	}
}

// ServeHTTP carries out the calls that it understands and that policy
// allows, and refuses all else.
func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	q := asked{method: r.Method, path: path}
	caller := g.callerOf(r.Context())
	defer g.survive(w, q)
	defer q.end()

	if r.Body != http.NoBody {
		body, err := newPatient(w, r.Body, g.set.Patience)
		if err != nil {
			panic(http.ErrAbortHandler) // the connection is gone
		}
		r.Body = body
	}
	call, err := g.decide(r, caller, &q, query)
	if err == nil && (dockercall.Changes(call.Kind()) || dockercall.Reads(call.Kind())) {
		err = g.record(caller, q, "", "")
	}
	if err != nil {
		g.refuse(w, caller, q, err)
		return
	}
	if err := g.carryOut(w, r, call); err != nil {
		g.refuse(w, caller, q, err)
	}
}

// decide gives the call as it may be made.
func (g *Guard) decide(r *http.Request, caller policy.Caller, q *asked, query string) (dockercall.Call, error) {
	if caller.Role == policy.Nobody {
		_, err := policy.Judge(caller, g.judge, policy.Facts{}, nil)
		return nil, err
	}
	version, err := g.engine.speaks(r.Context())
	if err != nil {
		return nil, err
	}
	if len(r.TransferEncoding) > 1 || len(r.TransferEncoding) == 1 && r.TransferEncoding[0] != "chunked" || len(r.Trailer) > 0 {
		return nil, &problem.Problem{Kind: problem.Invalid, Says: "the body is sent in an odd way", Rule: string(dockercall.BadHeader)}
	}
	call, err := dockercall.Parse(version, dockercall.Request{Method: r.Method, Path: q.path, Query: query, Header: r.Header, Body: r.Body})
	if err != nil {
		return nil, err
	}
	q.kind, q.object, q.deed = call.Kind(), dockercall.Object(call), dockercall.DeedOf(call)
	if q.kind == dockercall.NetworkCreateKind {
		g.networking.Lock()
		q.turn = &g.networking
	}
	facts, err := g.factsOf(r.Context(), call)
	if err != nil {
		return nil, err
	}
	if q.name = facts.Target.Name; policy.Owned(g.instance, facts.Target.Labels) {
		q.deed.AddLabels(facts.Target.Labels)
	}
	return policy.Judge(caller, g.judge, facts, call)
}

// survive ends a request whose code panicked, and no other.
func (g *Guard) survive(w http.ResponseWriter, q asked) {
	what := recover()
	if what == nil {
		return
	}
	if what == http.ErrAbortHandler {
		panic(what) // net/http cuts the connection
	}
	g.log.Error("a request panicked", "kind", q.kind, "panic", fmt.Sprint(what), "stack", string(debug.Stack()))
	writeError(w, http.StatusInternalServerError, message{Message: "the guard stumbled over this request; its log says where"})
}

// message is an error as Docker's clients read it.
type message struct {
	Message string `json:"message"`
	Rule    string `json:"rule,omitempty"`
	Remedy  string `json:"remedy,omitempty"` // ours alone: no engine says one
}

func writeError(w http.ResponseWriter, status int, m message) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(m)
}

// refuse answers with an error: a refusal with its rule, which is recorded,
// or what became of a call that was allowed.
func (g *Guard) refuse(w http.ResponseWriter, caller policy.Caller, q asked, err error) {
	p := problem.Of(err)
	if p.Rule == "" {
		if p.Kind == problem.Internal {
			g.log.Error("a call went wrong", "kind", q.kind, "object", q.object, "err", err)
		}
		writeError(w, status(p.Kind), message{Message: p.Error(), Remedy: p.Remedy})
		return
	}
	if err := g.record(caller, q, p.Rule, p.Says); err != nil {
		g.log.Error("the audit cannot be written", "err", err)
	}
	code := http.StatusForbidden
	if p.Kind == problem.Invalid {
		code = http.StatusBadRequest
	}
	// The rest of a body that was not understood is not worth waiting for.
	w.Header().Set("Connection", "close")
	w.Header().Set(dockercall.RefusedHeader, strconv.QuoteToASCII(fmt.Sprintf("%.300s [rule %s]", p.Says, p.Rule)))
	writeError(w, code, message{Message: fmt.Sprintf("refused: %s [rule %s]", p.Says, p.Rule), Rule: p.Rule})
}

// status is what Docker answers with. The API's statuses (api.StatusOf) tell
// more kinds apart, and are nothing that the guard should depend on.
func status(k problem.Kind) int {
	switch k {
	case problem.Invalid:
		return http.StatusBadRequest
	case problem.NotFound:
		return http.StatusNotFound
	case problem.Conflict:
		return http.StatusConflict
	case problem.Denied:
		return http.StatusForbidden
	case problem.Busy, problem.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
