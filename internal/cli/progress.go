package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"havre/internal/api"
)

// teller shows how long work gets on.
type teller interface {
	tell(api.Progress)
	done(*api.Image, error) // after the last line
}

// teller chooses one: JSON for programs, a table that is drawn over itself
// on a terminal, a line per step elsewhere.
func (c *console) teller() teller {
	if c.format == "json" {
		return &jsonTeller{c}
	}
	if width, height, err := term.GetSize(int(c.out.Fd())); err == nil && width > 20 && c.getenv("TERM") != "dumb" {
		return &liveTeller{plainTeller: plainTeller{c}, width: width, height: height}
	}
	return &plainTeller{c}
}

type jsonTeller struct{ c *console }

func (t *jsonTeller) tell(p api.Progress) { t.write(p) }

func (t *jsonTeller) done(image *api.Image, err error) {
	t.write(api.Progress{Done: &api.Done{OK: err == nil, Image: image, Problems: api.Flat(err)}})
}

func (t *jsonTeller) write(p api.Progress) {
	if err := t.c.json(p); err != nil {
		t.c.complain(err)
	}
}

type plainTeller struct{ c *console }

func (t *plainTeller) tell(p api.Progress) {
	switch {
	case p.Service != nil:
		t.c.say("%s: %s", p.Service.Name, state(*p.Service))
	case p.Line != "":
		t.c.say("%s", p.Line)
	}
}

func (t *plainTeller) done(*api.Image, error) {}

func state(s api.Step) string {
	if s.Says == "" {
		return s.State
	}
	return s.State + ": " + s.Says
}

// liveTeller keeps a line per service and draws them all over again.
type liveTeller struct {
	plainTeller
	width, height int
	steps         []api.Step
	drawn         int // lines
}

func (t *liveTeller) tell(p api.Progress) {
	switch {
	case p.Service != nil:
		i := slices.IndexFunc(t.steps, func(s api.Step) bool { return s.Name == p.Service.Name })
		if i < 0 {
			t.steps = append(t.steps, *p.Service)
		} else {
			t.steps[i] = *p.Service
		}
		if len(t.steps) >= t.height { // what has scrolled away cannot be drawn over
			t.plainTeller.tell(p)
			return
		}
		t.draw()
	case p.Line != "":
		t.wipe()
		t.plainTeller.tell(p)
		t.draw()
	}
}

func (t *liveTeller) wipe() {
	if t.drawn > 0 {
		write(t.c.out, fmt.Sprintf("\x1b[%dA\x1b[J", t.drawn))
		t.drawn = 0
	}
}

func (t *liveTeller) draw() {
	t.wipe()
	widest := 0
	for _, s := range t.steps {
		widest = max(widest, len(s.Name))
	}
	for _, s := range t.steps {
		text := strings.ReplaceAll(fmt.Sprintf("%-*s  %s", widest, s.Name, state(s)), "\n", " ")
		t.c.say("%s", cut(clean(text), t.width-1))
	}
	t.drawn = len(t.steps)
}

// cut keeps a line from being wrapped, which would spoil the drawing.
func cut(s string, width int) string {
	s = strings.ReplaceAll(s, "\t", " ")
	if r := []rune(s); len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return s
}

func write(to *os.File, s string) { _, _ = to.WriteString(s) } // as line
