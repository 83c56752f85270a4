package bootstrap

import (
	"bytes"
	"strings"

	"havre/internal/problem"
)

// told is how many of the last lines are kept to explain a failure.
const told = 40

// longest bounds a line that never ends.
const longest = 4 << 10

// listener hears what mmdebstrap says, line by line.
type listener struct {
	progress func(string)
	open     []byte
	last     []string
}

// Write takes a piece of output.
func (l *listener) Write(p []byte) (int, error) {
	l.open = append(l.open, p...)
	for {
		i := bytes.IndexAny(l.open, "\r\n")
		if i < 0 && len(l.open) < longest {
			return len(p), nil
		}
		if i < 0 {
			i = len(l.open) - 1
		}
		l.line(strings.TrimSpace(string(l.open[:i])))
		l.open = l.open[i+1:]
	}
}

// silent begin the lines that are mmdebstrap's own affair.
var silent = []string{"chroot architecture", "finding correct", "using ", "done", "removing tempdir", "success in", "skipping", "main() received", "running --"}

func (l *listener) line(text string) {
	if text == "" {
		return
	}
	l.last = append(l.last, text)
	l.last = l.last[max(0, len(l.last)-told):]
	step, is := strings.CutPrefix(text, "I: ")
	if !is {
		return
	}
	for _, s := range silent {
		if strings.HasPrefix(step, s) {
			return
		}
	}
	l.progress(strings.TrimSuffix(step, "..."))
}

// fault is a failure as apt, dpkg or mmdebstrap words it. They have no other
// way to say what went wrong.
type fault struct {
	words  string
	kind   problem.Kind
	says   string
	remedy string
}

const mirrorRemedy = "see whether this machine reaches the network, or name another mirror with --mirror"

// faults come in the order of what is to be believed first: a full disk, for
// one, makes apt complain about a lot.
var faults = []fault{
	{"No space left on device", problem.Failed, "the disk is full", "free some 600 MB, or work elsewhere with --dir"},
	{"404  Not Found", problem.NotFound, "the mirror does not have the release", "see which it has, or name another mirror with --mirror"},
	{"is expired", problem.Unavailable, "the mirror is out of date", "see whether this machine's clock is right, or name another mirror with --mirror"},
	{"does not have a Release file", problem.NotFound, "the mirror does not have the release", "see which it has, or name another mirror with --mirror"},
	{"Unable to locate package", problem.NotFound, "the mirror does not have a package", "see how it is called in this release"},
	{"has no installation candidate", problem.NotFound, "the mirror does not have a package", "see how it is called in this release"},
	{"Could not resolve", problem.Unavailable, "the mirror cannot be reached", mirrorRemedy},
	{"Temporary failure resolving", problem.Unavailable, "the mirror cannot be reached", mirrorRemedy},
	{"Could not connect", problem.Unavailable, "the mirror cannot be reached", mirrorRemedy},
	{"Unable to connect", problem.Unavailable, "the mirror cannot be reached", mirrorRemedy},
	{"Connection failed", problem.Unavailable, "the mirror cannot be reached", mirrorRemedy},
	{"Connection timed out", problem.Unavailable, "the mirror cannot be reached", mirrorRemedy},
	{"Network is unreachable", problem.Unavailable, "the mirror cannot be reached", mirrorRemedy},
	{"NO_PUBKEY", problem.Failed, "the mirror's signature cannot be checked", "install the keys: apt-get install debian-archive-keyring"},
	{"is not signed", problem.Failed, "the mirror's signature cannot be checked", "install the keys: apt-get install debian-archive-keyring"},
	{"/etc/subuid", problem.Unavailable, "this user has no other users to put a system together with", "run it as root, or give it some: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"},
	{"newuidmap", problem.Unavailable, "this user cannot put a system together", "run it as root, or install what it takes: apt-get install uidmap"},
	{"unshare", problem.Unavailable, "this user cannot put a system together", "run it as root, or install what it takes: apt-get install uidmap"},
	{"Failed to fetch", problem.Unavailable, "the mirror cannot be reached", mirrorRemedy},
}

// explain makes a problem of the last lines.
func (m mirror) explain(last []string) error {
	for _, f := range faults {
		for _, line := range last {
			if strings.Contains(line, f.words) && !strings.HasPrefix(line, "I: ") {
				return problem.New(f.kind, "make image %s: %s: %s", m.request.Name, f.says, strings.TrimPrefix(line, "E: ")).With("%s", f.remedy)
			}
		}
	}
	return problem.New(problem.Failed, "make image %s: mmdebstrap failed; its last lines are:\n%s", m.request.Name, strings.Join(last[max(0, len(last)-10):], "\n"))
}
