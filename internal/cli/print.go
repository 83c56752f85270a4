package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"havre/internal/problem"
	"havre/internal/spec"
)

// json writes a value for programs. What would steer a terminal is escaped,
// which means the same: encoding/json does so only with what is below a blank.
func (c *console) json(v any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	if err == nil {
		_, err = c.out.WriteString(escaped(text.String()))
	}
	if err != nil {
		return problem.New(problem.Failed, "write the output").Because(err)
	}
	return nil
}

// escaped is a JSON text without what clean replaces. Outside of strings there
// is none of it.
func escaped(text string) string {
	var out strings.Builder
	for _, r := range text {
		if steers(r) {
			fmt.Fprintf(&out, `\u%04x`, r)
			continue
		}
		out.WriteRune(r)
	}
	return out.String()
}

// list shows rows as the person wants them. The first column is the name by
// which a row can be named to us again.
func (c *console) list(values any, head []string, rows [][]string) error {
	switch c.format {
	case "json":
		return c.json(values)
	case "name":
		for _, r := range rows {
			c.say("%s", r[0])
		}
		return nil
	}
	if len(rows) == 0 {
		return nil // the command has said what that means
	}
	return c.table(append([][]string{head}, rows...))
}

func (c *console) table(rows [][]string) error {
	out := bufio.NewWriter(c.out) // a tabwriter writes each cell by itself
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	oneCell := strings.NewReplacer("\n", " ", "\t", " ")
	for _, r := range rows {
		for i, cell := range r {
			// A cell of someone else's words must not begin a new one.
			r[i] = oneCell.Replace(clean(cell))
		}
	}
	if width := c.width(); width > 0 {
		rows = fit(rows, width)
	}
	for _, r := range rows {
		if _, err := fmt.Fprintln(w, strings.TrimRight(strings.Join(r, "\t"), "\t")); err != nil {
			return problem.New(problem.Failed, "write the output").Because(err)
		}
	}
	if err := errors.Join(w.Flush(), out.Flush()); err != nil {
		return problem.New(problem.Failed, "write the output").Because(err)
	}
	return nil
}

// width is how wide a table may be; 0 is as wide as it is: nothing is cut in a
// pipe.
func (c *console) width() int {
	if c.wide || !terminal(c.out) {
		return 0
	}
	cols, _, err := term.GetSize(int(c.out.Fd()))
	if err != nil {
		return 0
	}
	return cols
}

// narrow is as far as a cell is cut before whole columns are left out.
const narrow = 10

// fit cuts the widest cells until rows fit, and then leaves columns out, the
// last ones first. The first column is what a row is called, and stays whole.
func fit(rows [][]string, width int) [][]string {
	for columns := len(rows[0]); ; columns-- {
		widths, least, sum := make([]int, columns), make([]int, columns), 2*(columns-1)
		for n, r := range rows {
			for i, cell := range r[:min(columns, len(r))] {
				widths[i] = max(widths[i], utf8.RuneCountInString(cell))
				if n == 0 {
					least[i] = max(narrow, widths[i])
				}
			}
		}
		for _, w := range widths {
			sum += w
		}
		for sum > width {
			widest := 0
			for i := 1; i < columns; i++ {
				if widths[i] > least[i] && (widest == 0 || widths[i] > widths[widest]) {
					widest = i
				}
			}
			if widest == 0 {
				break
			}
			widths[widest]--
			sum--
		}
		if sum <= width || columns == 1 {
			return cutCells(rows, widths)
		}
	}
}

func cutCells(rows [][]string, widths []int) [][]string {
	var all [][]string
	for _, r := range rows {
		var short []string
		for i, cell := range r[:min(len(widths), len(r))] {
			if runes := []rune(cell); i > 0 && len(runes) > widths[i] {
				cell = string(runes[:widths[i]-1]) + "…"
			}
			short = append(short, cell)
		}
		all = append(all, short)
	}
	return all
}

// known is a name without the environment that everybody means.
func known(env, name string) string {
	if env == spec.DefaultEnvironment {
		return name
	}
	return env + "." + name
}

// age is the time since t in one unit.
func age(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := time.Since(t)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// bytesize is a size with three digits at most.
func bytesize(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1000 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 || f >= 10 {
		return fmt.Sprintf("%.0f %s", f, units[i])
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

// dash stands for an empty cell.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
