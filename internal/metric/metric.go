// Package metric says what can be measured about Havre and its services, in
// the text format of Prometheus (version 0.0.4).
package metric

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Type is how a metric grows.
type Type string

// The types.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// Family is a metric with all its samples.
type Family struct {
	Name    string
	Help    string
	Type    Type
	Samples []Sample
}

// Sample is one value. Suffix is of the name, for histograms.
type Sample struct {
	Suffix string
	Labels []Label
	Value  float64
}

// Label tells samples of a family apart.
type Label struct{ Name, Value string }

// Content is the content type of what Write writes.
const Content = "text/plain; version=0.0.4; charset=utf-8"

// Write writes families in the text format. A family without samples is left out.
func Write(w io.Writer, all []Family) error {
	var b strings.Builder
	for _, f := range all {
		if len(f.Samples) == 0 {
			continue
		}
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", f.Name, escape.Replace(f.Help), f.Name, f.Type)
		for _, s := range f.Samples {
			b.WriteString(f.Name + s.Suffix)
			for i, l := range s.Labels {
				b.WriteString(map[bool]string{true: "{", false: ","}[i == 0] + l.Name + `="` + escapeLabel.Replace(l.Value) + `"`)
			}
			if len(s.Labels) > 0 {
				b.WriteString("}")
			}
			b.WriteString(" " + strconv.FormatFloat(s.Value, 'g', -1, 64) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var (
	escape      = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)
