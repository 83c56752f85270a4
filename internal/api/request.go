package api

import (
	"io"
	"time"
)

// Target names what a request is about: a service or a whole project.
type Target struct {
	Name        string // as the person wrote it: whatever is unique
	Environment string // "" when the person named none
	Project     bool   // Name is a project's
}

// LogOptions say which lines are wanted.
type LogOptions struct {
	Follow  bool      // go on with what is printed from now on
	Since   time.Time // zero is from the beginning
	Tail    int       // at most so many lines of each container; 0 is all
	Rollout int       // only of this one; 0: all whose containers there are, and what is kept of the one that serves
}

// BuildOptions say how an image is built.
type BuildOptions struct {
	Environment string
	Name        string   // of the image
	Dockerfile  string   // path in the context; "" is Dockerfile
	Target      string   // stage; "" is the last
	Args        []string // K=V
	NoCache     bool
}

// ExecStreams are the ends of a command's input and output.
type ExecStreams struct {
	In     io.Reader // nil when none is wanted
	Out    io.Writer
	Err    io.Writer
	Resize <-chan Size // of the terminal; may be nil; closed when no more will come
}

// The kinds of bodies.
const (
	ContentJSON    = "application/json"
	ContentStream  = "application/x-ndjson" // one message per line; blank lines keep the connection alive
	ContentEvents  = "text/event-stream"    // server-sent events; comments keep the connection alive
	ContentProblem = "application/problem+json"
	ContentTar     = "application/x-tar"
	ContentPEM     = "application/x-pem-file"
)
