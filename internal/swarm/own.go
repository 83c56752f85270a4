package swarm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"havre/internal/problem"
)

// longestAnswer bounds what is read of an answer of the guard's.
const longestAnswer = 8 << 20

// call makes one of Havre's own calls to the guard.
func (s *Swarm) call(ctx context.Context, name string, question, answer any) error {
	text, err := json.Marshal(question)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://guard/havre/v1/"+name, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := s.own.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("ask the guard for %s: %w", name, ctx.Err())
		}
		return problem.New(problem.Unavailable, "ask the guard for %s: the guard does not answer", name).With(unwell).Because(err)
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(io.LimitReader(resp.Body, longestAnswer))
	if err != nil {
		return problem.New(problem.Unavailable, "ask the guard for %s: its answer broke off", name).With(unwell).Because(err)
	}
	if resp.StatusCode != http.StatusOK {
		return refused(name, resp.StatusCode, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("ask the guard for %s: %w", name, err)
	}
	return nil
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

func refused(name string, status int, text []byte) error {
	var said struct {
		Message string `json:"message"`
		Rule    string `json:"rule"`
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
	p := problem.New(kind, "ask the guard for %s: %s", name, said.Message)
	p.Rule = said.Rule
	return p
}
