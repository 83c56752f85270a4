package portal

import (
	"embed"
	"io/fs"
	"strconv"
	"strings"

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

// Users are as whom portals run, and whom they serve besides root.
type Users struct {
	Own     uint32
	Callers []uint32
}

// Image returns the image that portals run from, with the same bytes and the
// same id whenever the program and the users are the same. The users stand in
// it because whoever starts a portal is not to choose them.
//
// Errors: as Program.
func Image(u Users) (Archive, error) {
	program, err := Program()
	if err != nil {
		return Archive{}, err
	}
	return imageOf(program, u)
}

// imageOf builds the image around program. Beside it there is a place to
// mount the socket's directory on, and a file that keeps Go's resolver away
// from /etc/hosts: a portal believes the engine's name service alone.
func imageOf(program []byte, u Users) (Archive, error) {
	var callers []string
	for _, c := range u.Callers {
		callers = append(callers, strconv.FormatUint(uint64(c), 10))
	}
	return NewArchive(Recipe{
		Repository: "havre.invalid/portal",
		User:       strconv.FormatUint(uint64(u.Own), 10),
		Entrypoint: []string{"/havre-portal", "-callers=" + strings.Join(callers, ",")},
		Files: []File{
			{Path: "etc", Mode: fs.ModeDir | 0o555},
			{Path: "etc/nsswitch.conf", Mode: 0o444, Body: []byte("hosts: dns\n")},
			{Path: "havre-portal", Mode: 0o555, Body: program},
			{Path: "portal", Mode: fs.ModeDir | 0o555},
		},
	})
}
