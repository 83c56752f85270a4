package docker_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// tried is a command of the README's tour and what stands below it.
type tried struct {
	command string
	lines   []string
}

// tour reads the blocks of a section that begin with a prompt.
func tour(t *testing.T, file, section string) []tried {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		t.Fatalf("%s has no section %q", file, section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	var all []tried
	block := false
	for line := range strings.SplitSeq(rest, "\n") {
		command, prompted := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			block = !block
		case block && prompted:
			all = append(all, tried{command: strings.TrimSpace(strings.SplitN(command, " #", 2)[0])})
		case block && len(all) > 0:
			all[len(all)-1].lines = append(all[len(all)-1].lines, line)
		}
	}
	return all
}

var (
	numbers = regexp.MustCompile(`[0-9a-f]{12}|[0-9]+[smh]?\b`)
	blanks  = regexp.MustCompile(`\s+`)
	passing = regexp.MustCompile(`^$|^…$|: starting: `) // not always seen
)

// alike is a line without what differs each time.
func alike(line string) string {
	return strings.TrimSpace(blanks.ReplaceAllString(numbers.ReplaceAllString(line, "0"), " "))
}

// holds says which line of the tour was not said, in its order.
func (s tried) holds(out string) string {
	var have []string
	for line := range strings.Lines(out) {
		have = append(have, alike(line))
	}
	for _, line := range s.lines {
		if passing.MatchString(line) {
			continue
		}
		i := slices.Index(have, alike(line))
		if i < 0 {
			return line
		}
		have = have[i+1:]
	}
	return ""
}

// goesTheTour does what the README has newcomers do in five minutes, but for
// Havre's own coming and going, and holds it to what the README prints.
func (m *mailServer) goesTheTour(t *testing.T) {
	h := *m.havre
	h.work = filepath.Join(t.TempDir(), "hello")
	if err := os.Mkdir(h.work, 0o755); err != nil {
		t.Fatal(err)
	}
	broken := 0
	for _, s := range tour(t, filepath.Join(m.root, "README.md"), "Five minutes") {
		words := strings.Fields(s.command)
		switch {
		case words[0] == "make" || words[0] == "sudo" || strings.HasPrefix(s.command, "havre image bootstrap"):
			continue // the world has done so
		case words[0] == "cat":
			h.write(t, words[1], strings.Join(s.lines, "\n")+"\n")
			continue
		case words[0] == "curl":
			h.answers(t, words[1], s.lines[0])
			continue
		case words[0] != "havre":
			t.Fatalf("nobody knows how to try %q", s.command)
		}
		want := 0
		if words[1] == "apply" && strings.Contains(strings.Join(s.lines, "\n"), "remedy:") {
			h.breakTour(t)
			want, broken = 1, broken+1
		}
		r := h.run(t, words[1:]...)
		for began := time.Now(); words[1] == "logs" && s.holds(r.out+r.errs) != "" && time.Since(began) < 10*time.Second; {
			r = h.run(t, words[1:]...) // a line may come a moment after what it tells of
		}
		if line := s.holds(r.out + r.errs); line != "" || r.code != want {
			t.Errorf("%s: exit code %d; the README prints %q, and this was said:\n%s%s", s.command, r.code, line, r.out, r.errs)
		}
	}
	if broken != 1 {
		t.Errorf("the tour breaks something %d times", broken)
	}
}

// breakTour adds the line that the README asks for.
func (h *havre) breakTour(t *testing.T) {
	t.Helper()
	file := filepath.Join(h.work, "compose.yml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, file, strings.Replace(string(text), "image: hello:1\n", "image: hello:1\n    command: [busybox, httpt]\n", 1))
}
