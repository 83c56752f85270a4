package portal

import (
	"embed"
	"io/fs"

	"havre/internal/problem"
)

// The directory is embedded whole, so that this package compiles, and most
// of its tests run, before the program was built into it.
//
//go:embed all:embedded
var embedded embed.FS

// Program returns the portal program of this build, for this machine's kind.
//
// Errors: Unavailable when havre was built without it.
func Program() ([]byte, error) {
	b, err := embedded.ReadFile("embedded/havre-portal")
	if err != nil {
		return nil, problem.New(problem.Unavailable, "this havre was built without its portal").With("build with: make")
	}
	return b, nil
}

// Image returns the image that portals run from, with the same bytes and the
// same id whenever the program is the same.
//
// Errors: as Program.
func Image() (Archive, error) {
	program, err := Program()
	if err != nil {
		return Archive{}, err
	}
	return imageOf(program)
}

// imageOf builds the image around program. Beside it there is a place to
// mount the socket's directory on, and a file that keeps Go's resolver away
// from /etc/hosts: a portal believes the engine's name service alone.
func imageOf(program []byte) (Archive, error) {
	return NewArchive(Recipe{
		Repository: "havre.invalid/portal",
		User:       "65534",
		Entrypoint: []string{"/havre-portal"},
		Files: []File{
			{Path: "etc", Mode: fs.ModeDir | 0o555},
			{Path: "etc/nsswitch.conf", Mode: 0o444, Body: []byte("hosts: dns\n")},
			{Path: "havre-portal", Mode: 0o555, Body: program},
			{Path: "portal", Mode: fs.ModeDir | 0o555},
		},
	})
}
