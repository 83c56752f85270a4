package swarm

import (
	"io"
	"iter"
)

// What the tests of translations and parsers look at from inside.
var (
	Translate     = translate
	LookAt        = lookAt
	PortalRequest = portalContainer
	Fold          = fold
	Explain       = explain
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
)
