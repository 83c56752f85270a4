package swarm

import (
	"io"
	"iter"

	"github.com/moby/moby/api/types/container"

	"havre/internal/service"
)

// What the tests of translations and parsers look at from inside.
var (
	Translate     = translate
	PortalRequest = portalContainer
	TranslateHook = translateHook
	SeeHooks      = seeHooks
	Fold          = fold
	Explain       = explain
	Starting      = starting
	Pulled        = pulled
	Unpulled      = unpulled
)

// Material is what the guard gives for a portal.
type Material = material

// Lines reads a log's stream.
func Lines(r io.Reader, tty bool) iter.Seq2[Line, error] {
	if tty {
		return linesOf(rawChunks(r))
	}
	return linesOf(frames(r))
}

// The rest of what is looked at.
var (
	ReadStream = readStream
	EngineName = engineName
	Refused    = refused
	ImageOf    = imageOf
	EndedWell  = endedWell
)

// Ghosts is what is seen of containers that no task has.
func Ghosts(all []container.Summary) []service.Observed {
	v := newView(all)
	v.addGhosts()
	return v.sorted()
}

// LookAt is what an inspected container says of its health.
func LookAt(c container.InspectResponse) (health, log string) {
	l := lookAt(c)
	return l.health, l.log
}
