// Package source says where in a person's file a thing stands, and collects
// what is wrong or worth knowing about it. All dialects read through it.
package source

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"

	"havre/internal/problem"
	"havre/internal/secret"
	"havre/internal/spec"
)

// Text is a file as it was read.
type Text struct {
	Name    string // as the person called it; it goes into places
	Content []byte
}

// Origins tells from where each part of a project comes. The keys are the
// paths of spec.Validate: "services.web.ports[0]".
type Origins map[string]problem.Place

// Find gives the place of path, or of the nearest thing around it.
func (o Origins) Find(path string) problem.Place {
	for path != "" {
		if p, ok := o[path]; ok {
			return p
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return o[""]
}

// Reading is what came of reading a person's files.
type Reading struct {
	Project  spec.Project
	Secrets  map[string]secret.Text // what the project's own secrets hold, by name
	Held     map[string]Held        // where that is, by name
	Builds   []Build                // by service
	Fills    []Fill                 // with what new volumes begin
	LeftOut  []string               // services of which no profile is chosen
	Origins  Origins
	Notes    problem.List // the person should know, but it goes on
	Mistakes problem.List // it does not go on
}

// NewReading begins with nothing read; file is where mistakes without a
// better place are shown.
func NewReading(file string) *Reading {
	return &Reading{Secrets: map[string]secret.Text{}, Held: map[string]Held{}, Origins: Origins{"": {File: file}}}
}

// Warn notes something at a place.
func (r *Reading) Warn(at problem.Place, says, remedy string) {
	r.Notes = append(r.Notes, problem.New(problem.Invalid, "%s", says).With("%s", remedy).At(at))
}

// Refuse adds a mistake at a place.
func (r *Reading) Refuse(at problem.Place, says, remedy string) {
	r.Mistakes = append(r.Mistakes, problem.New(problem.Invalid, "%s", says).With("%s", remedy).At(at))
}

// Tidy puts the list in the order of the files and drops what is said twice at
// one place, as happens with YAML anchors. The list itself is not changed.
func Tidy(l problem.List) problem.List {
	type once struct {
		at   problem.Place
		says string
	}
	seen := map[once]bool{}
	var kept problem.List
	for _, p := range l {
		k := once{p.Where, p.Says}
		if !seen[k] {
			kept = append(kept, p)
		}
		seen[k] = true
	}
	slices.SortStableFunc(kept, func(a, b *problem.Problem) int {
		return cmp.Or(
			strings.Compare(a.Where.File, b.Where.File),
			cmp.Compare(a.Where.Line, b.Where.Line),
			cmp.Compare(a.Where.Column, b.Where.Column),
			strings.Compare(a.Says, b.Says),
		)
	})
	return kept
}

// Either joins words by commas, and the last two by "or".
func Either(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// Meant begins a remedy with the word that was probably meant, if one of
// known is near enough.
func Meant(word string, known []string, remedy string) string {
	if near := problem.Nearest(word, known); near != "" {
		return "did you mean " + near + "? Otherwise " + remedy
	}
	return remedy
}

// UsableKey tells whether line is a public SSH key: its base64 must begin with
// its own type's name (RFC 4253, section 6.6).
func UsableKey(line string) bool {
	words := strings.Fields(line)
	if len(words) < 2 {
		return false
	}
	raw, err := base64.StdEncoding.DecodeString(words[1])
	if err != nil || len(raw) < 4 {
		return false
	}
	n := binary.BigEndian.Uint32(raw)
	return uint64(len(raw)) > 4+uint64(n) && string(raw[4:4+n]) == words[0]
}
