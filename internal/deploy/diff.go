package deploy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/spec"
)

// Diff compares two rollouts of a service: the newest with the one that served
// before it unless o names others.
// Errors: NotFound; Conflict when the name could mean several, or when there
// is nothing to compare with.
func (d *Deployer) Diff(ctx context.Context, t api.Target, o api.DiffOptions) (api.Diff, error) {
	ref, _, err := d.find(ctx, t)
	if err != nil {
		return api.Diff{}, err
	}
	s := ref.Service
	next, err := remembered(s, cmp.Or(o.To, s.Last()))
	if err != nil {
		return api.Diff{}, err
	}
	if o.From == 0 {
		i := slices.IndexFunc(s.Rollouts, func(ro project.Rollout) bool { return ro.Number == next.Number })
		if had := former(s, i); had != nil {
			o.From = had.Number
		}
	}
	if o.From == 0 {
		return api.Diff{}, problem.New(problem.Conflict, "there is no rollout before r%d to compare with", next.Number).With("list them with: havre history %s", ref)
	}
	had, err := remembered(s, o.From)
	if err != nil {
		return api.Diff{}, err
	}
	return api.Diff{Service: ref.String(), From: had.Number, To: next.Number, Fields: Compare(had, next, o.Secrets)}, nil
}

// remembered finds a rollout by number.
// Errors: NotFound, with those that there are.
func remembered(s *project.Service, n int) (*project.Rollout, error) {
	if ro := s.Rollout(n); ro != nil {
		return ro, nil
	}
	var names []string
	for _, ro := range s.Rollouts {
		names = append(names, fmt.Sprintf("r%d", ro.Number))
	}
	return nil, problem.New(problem.NotFound, "%s has no rollout r%d that is remembered", s.Name, n).With("choose one of: %s", cmp.Or(strings.Join(names, ", "), "(none yet)"))
}

// Compare gives the fields in which two rollouts differ, in the order of the
// declaration. Variables that are named like secrets keep their values to
// themselves unless secrets is set; of files only a digest is shown.
func Compare(had, next *project.Rollout, secrets bool) []api.Difference {
	all := []api.Difference{}
	a, b := reflect.ValueOf(had.Spec), reflect.ValueOf(next.Spec)
	for i := range a.NumField() {
		name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
		switch name {
		case "environment":
			all = append(all, each(name, had.Spec.Environment, next.Spec.Environment)...)
		case "labels":
			all = append(all, each(name, had.Spec.Labels, next.Spec.Labels)...)
		case "ports":
			all = append(all, differ(name, list(project.PortWords(had.Spec)), list(project.PortWords(next.Spec)))...)
		case "image":
			all = append(all, differ(name, &had.Spec.Image, &next.Spec.Image)...)
			all = append(all, differ("image id", given(had.Image.ID), given(next.Image.ID))...)
		default:
			if !same(a.Field(i), b.Field(i)) {
				all = append(all, differ(name, value(a.Field(i)), value(b.Field(i)))...)
			}
		}
	}
	all = append(all, each("files", digests(had.Files), digests(next.Files))...)
	all = append(all, each("secrets", versionWords(had.Secrets), versionWords(next.Secrets))...)
	for i := range all {
		if d := &all[i]; !secrets && secretName(d.Field) {
			d.Old, d.New, d.Hidden = hidden(d.Old), hidden(d.New), true
		}
	}
	return all
}

// secretName tells by its end whether a variable's value is nobody's business.
func secretName(field string) bool {
	name, variable := strings.CutPrefix(strings.ToUpper(field), "ENVIRONMENT.")
	return variable && slices.ContainsFunc([]string{"PASSWORD", "SECRET", "TOKEN", "KEY"}, func(end string) bool { return strings.HasSuffix(name, end) })
}

func hidden(text *string) *string {
	if text == nil {
		return nil
	}
	return given("(hidden)")
}

// each compares two maps name by name.
func each(field string, had, next map[string]string) []api.Difference {
	names := maps.Clone(had)
	if names == nil {
		names = map[string]string{}
	}
	maps.Copy(names, next)
	var all []api.Difference
	for _, n := range slices.Sorted(maps.Keys(names)) {
		all = append(all, differ(field+"."+n, entry(had, n), entry(next, n))...)
	}
	return all
}

func entry(m map[string]string, name string) *string {
	if v, there := m[name]; there {
		return &v
	}
	return nil
}

func differ(field string, had, next *string) []api.Difference {
	if had == nil && next == nil || had != nil && next != nil && *had == *next {
		return nil
	}
	return []api.Difference{{Field: field, Old: had, New: next}}
}

// given is nil for an empty text.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func list(words []string) *string { return given(strings.Join(words, ", ")) }

// value writes a field of a declaration; nil when it says nothing.
func value(v reflect.Value) *string {
	switch k := v.Kind(); {
	case k == reflect.String:
		return given(v.String())
	case k != reflect.Int && v.IsZero(): // a number of 0 says something
		return nil
	}
	text, err := json.Marshal(v.Interface())
	if err != nil {
		panic(fmt.Sprintf("what is remembered is always JSON: %v", err)) // only types of ours, all marshallable
	}
	return given(strings.Trim(string(text), `"`))
}

func digests(files []spec.File) map[string]string {
	all := map[string]string{}
	for _, f := range files {
		sum := sha256.Sum256(f.Content)
		all[f.Name] = fmt.Sprintf("%d bytes, mode %#o, sha256 %s", len(f.Content), f.Mode, hex.EncodeToString(sum[:6]))
	}
	return all
}
