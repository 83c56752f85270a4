package bootstrap

import "io"

// Heard lets a test speak like mmdebstrap, and tells what becomes of it.
func Heard(say func(io.Writer), progress func(string)) error {
	l := &listener{progress: progress}
	say(l)
	return mirror{request: &Request{Name: "debian:x"}}.explain(l.last)
}
