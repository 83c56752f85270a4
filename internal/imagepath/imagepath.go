// Package imagepath follows paths through an image's file system, part by
// part, as a container runtime will when it mounts something there. A path
// that reads like an innocent one may lead to /dev over a link of the image.
package imagepath

import (
	"path"
	"strings"

	"havre/internal/problem"
)

// Entry is what stands at a path whose parents are directories.
type Entry struct {
	There bool   // there is something
	Dir   bool   // a directory
	Link  string // where it leads, when it is a link; a relative one starts at its directory
}

// mostLinks is how many links are followed, as Linux does.
const mostLinks = 40

// Follow gives the path that p means once every link on its way, and the last
// part too, is followed. What the image lacks is itself. stat is asked only
// for paths without links on their way.
//
// Errors: Invalid where p leads through a file, or round in a circle; those
// of stat.
func Follow(p string, stat func(string) (Entry, error)) (string, error) {
	at, left, links := "/", parts(p), 0
	for len(left) > 0 {
		if left[0] == ".." {
			at, left = path.Dir(at), left[1:]
			continue
		}
		next := path.Join(at, left[0])
		e, err := stat(next)
		switch {
		case err != nil:
			return "", err
		case !e.There:
			return path.Join(next, path.Join(left[1:]...)), nil
		case e.Link != "":
			if links++; links > mostLinks {
				return "", problem.New(problem.Invalid, "%s leads over more than %d links of the image", p, mostLinks)
			}
			if path.IsAbs(e.Link) {
				at = "/"
			}
			left = append(parts(e.Link), left[1:]...)
		case !e.Dir && len(left) > 1:
			return "", problem.New(problem.Invalid, "%s leads through %s, which is a file in the image", p, next)
		default:
			at, left = next, left[1:]
		}
	}
	return at, nil
}

func parts(p string) []string {
	var all []string
	for part := range strings.SplitSeq(p, "/") {
		if part != "" && part != "." {
			all = append(all, part)
		}
	}
	return all
}
