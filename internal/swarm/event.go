package swarm

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/moby/moby/client"

	"havre/internal/problem"
	"havre/internal/spec"
)

// Listening is what Events says first: from now on nothing is missed.
const Listening = "listening"

// Change is something that happened to one of our containers.
type Change struct {
	What        string // Listening, start, die, oom, destroy, or health_status: and the health
	Container   string
	Environment string
	Project     spec.ProjectID
	Service     spec.ServiceID // "" of a portal
	Rollout     int
}

// Events tells of each change, beginning with Listening, until ctx is done or
// the stream ends. Whoever wants to go on asks again, and looks at everything
// afresh when it hears Listening.
//
// Errors: always one; Unavailable when the guard or the engine went away.
func (s *Swarm) Events(ctx context.Context, changed func(Change)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the client's goroutine
	r := s.api.Events(ctx, client.EventsListOptions{
		Filters: ours(labelKind).Add("type", "container").Add("event", "start", "die", "oom", "destroy", "health_status"),
	})
	select {
	case err := <-r.Err: // it could not even begin
		return endOfEvents(err)
	default:
		changed(Change{What: Listening})
	}
	for {
		select {
		case err := <-r.Err:
			return endOfEvents(err)
		case m := <-r.Messages:
			of := readMark(m.Actor.Attributes)
			changed(Change{
				What: strings.TrimSpace(string(m.Action)), Container: m.Actor.ID,
				Environment: of.environment, Project: of.project, Service: of.service, Rollout: of.rollout,
			})
		}
	}
}

func endOfEvents(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return problem.New(problem.Unavailable, "follow the engine: it went away").With(unwell)
	}
	return explain(err, "follow the engine")
}
