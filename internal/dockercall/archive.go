package dockercall

import (
	"strings"
)

// The kinds about files in containers.
const (
	ContainerPathKind Kind = "ContainerPath"
	ContainerGetKind  Kind = "ContainerGet"
	ContainerPutKind  Kind = "ContainerPut"
)

// Inside is a clean absolute path in a container, of any characters that a
// file's name may have. The engine follows links within the container's root.
type Inside string

func (v Inside) check() error {
	s := string(v)
	if len(s) > 4096 || !strings.HasPrefix(s, "/") || strings.ContainsAny(s, "\x00\n\r") {
		return refuse(BadValue, "%.80q is not an absolute path", s)
	}
	for part := range strings.SplitSeq(s[1:], "/") {
		if (part == "" && s != "/") || part == "." || part == ".." {
			return refuse(BadValue, "%.80q is not a clean path", s)
		}
	}
	return nil
}

// ContainerPath tells what stands at a path of a container of Havre's.
type ContainerPath struct {
	ID   ContainerID `path:"ID"`
	Path Inside      `query:"path"`
}

// ContainerGet reads a file or directory of a container of Havre's, as an
// archive.
type ContainerGet struct {
	ID   ContainerID `path:"ID"`
	Path Inside      `query:"path"`
}

// ContainerPut unpacks an archive in a directory of a container of Havre's.
// Docker API 1.41, PutContainerArchive.
type ContainerPut struct {
	ID         ContainerID `path:"ID"`
	Path       Inside      `query:"path"`
	NoOverride bool        `query:"noOverwriteDirNonDir"`
	Owners     Zero        `query:"copyUIDGID"` // would give all to the container's user
}

// Kind is the call's kind.
func (ContainerPath) Kind() Kind { return ContainerPathKind }
func (ContainerGet) Kind() Kind  { return ContainerGetKind }
func (ContainerPut) Kind() Kind  { return ContainerPutKind }
