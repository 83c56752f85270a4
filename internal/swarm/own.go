package swarm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"havre/internal/dockercall"
	"havre/internal/problem"
	"havre/internal/spec"
)

// longestAnswer bounds what is read of an answer of the guard's.
const longestAnswer = 8 << 20

// call makes one of Havre's own calls to the guard.
func (s *Swarm) call(ctx context.Context, path string, question, answer any) error {
	deed := "ask the guard for " + strings.TrimPrefix(path, "/havre/v1/")
	text, err := json.Marshal(question)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://guard"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := s.own.Do(r)
	if err != nil {
		return explainOwn(ctx, err, deed)
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(io.LimitReader(resp.Body, longestAnswer))
	if err != nil {
		return explainOwn(ctx, err, deed)
	}
	if resp.StatusCode != http.StatusOK {
		return refused(deed, resp.StatusCode, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s: %w", deed, err)
	}
	return nil
}

// explainOwn is for calls that got no whole answer.
func explainOwn(ctx context.Context, err error, deed string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", deed, ctx.Err())
	}
	return problem.New(problem.Unavailable, "%s: the guard does not answer", deed).With(unwell).Because(err)
}

// kinds of an answer that is not OK; what is missing is Failed.
var kinds = map[int]problem.Kind{
	http.StatusBadRequest:         problem.Invalid,
	http.StatusForbidden:          problem.Denied,
	http.StatusNotFound:           problem.NotFound,
	http.StatusConflict:           problem.Conflict,
	http.StatusBadGateway:         problem.Unavailable,
	http.StatusServiceUnavailable: problem.Unavailable,
	http.StatusGatewayTimeout:     problem.Unavailable,
}

// refused makes the problem of an answer that is not OK.
func refused(deed string, status int, text []byte) error {
	var said struct {
		Message string `json:"message"`
		Rule    string `json:"rule"`
		Remedy  string `json:"remedy"`
	}
	if json.Unmarshal(text, &said) != nil || said.Message == "" {
		said.Message = http.StatusText(status)
	}
	kind, known := kinds[status]
	if !known {
		kind = problem.Failed
	}
	if m := refusal.FindStringSubmatch(said.Message); m != nil {
		said.Message, said.Rule = "the guard refused: "+m[1], m[2]
	}
	if said.Rule != "" {
		kind = problem.Denied
	}
	p := problem.New(kind, "%s: %s", deed, said.Message)
	p.Rule, p.Remedy = said.Rule, said.Remedy
	if kind == problem.Unavailable && p.Remedy == "" {
		p.Remedy = unwell
	}
	return p
}

// EnsureFirewall keeps containers from the engine's own ports and from these
// of Havre's on this machine.
func (s *Swarm) EnsureFirewall(ctx context.Context, ports []uint16) error {
	return s.call(ctx, dockercall.FirewallPath, dockercall.Firewall{Ports: ports}, &struct{}{})
}

// Holder names the process of the machine that has a port of a protocol, ""
// when none does.
func (s *Swarm) Holder(ctx context.Context, port uint16, p spec.Protocol) (string, error) {
	var answer dockercall.HolderAnswer
	err := s.call(ctx, dockercall.HolderPath, dockercall.Holder{Port: port, Protocol: dockercall.PortProtocol(p)}, &answer)
	if err != nil || answer.PID == 0 {
		return "", err
	}
	return fmt.Sprintf("%s (pid %d)", answer.Name, answer.PID), nil
}
