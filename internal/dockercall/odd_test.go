package dockercall_test

import (
	"net/url"
	"strings"
	"testing"

	"havre/internal/dockercall"
	"havre/internal/problem"
)

// What another reader would cut, expand or take for two is in no call.
func TestTextsThatTwoReadersCouldReadDifferentlyAreRefused(t *testing.T) {
	create := func(member string) dockercall.Request {
		body := `{"Image":"` + image + `",` + member + `}`
		return dockercall.Request{Method: "POST", Path: "/v1.41/containers/create", Query: "name=h-x", Header: headers(body), Body: strings.NewReader(body)}
	}
	built := func(args string) dockercall.Request {
		return dockercall.Request{
			Method: "POST", Path: "/v1.41/build", Query: url.Values{"t": {"havre.invalid/prod/a:1"}, "buildargs": {args}}.Encode(),
			Header: map[string][]string{"Content-Type": {"application/x-tar"}},
		}
	}
	for name, c := range map[string]struct {
		request dockercall.Request
		rule    dockercall.Rule
	}{
		"a word":                     {create(`"Cmd":["a b"]`), ""},
		"a NUL in a word":            {create(`"Cmd":["a\u0000b"]`), dockercall.BadValue},
		"a NUL in a variable":        {create(`"Env":["A=a\u0000b"]`), dockercall.BadValue},
		"a path":                     {create(`"WorkingDir":"/a/b"`), ""},
		"a colon in a path":          {create(`"WorkingDir":"/a:b"`), dockercall.BadValue},
		"a template in a path":       {create(`"WorkingDir":"/{{.Node.ID}}"`), dockercall.BadValue},
		"a line's end in a path":     {create(`"WorkingDir":"/a\nb"`), dockercall.BadValue},
		"a path from nowhere":        {create(`"WorkingDir":"a/b"`), dockercall.BadValue},
		"a number":                   {create(`"Labels":{"havre.rollout":"17"}`), ""},
		"a number with a nought":     {create(`"Labels":{"havre.rollout":"017"}`), dockercall.BadValue},
		"a number with a sign":       {create(`"Labels":{"havre.rollout":"+17"}`), dockercall.BadValue},
		"no rollout's number":        {create(`"Labels":{"havre.rollout":"0"}`), dockercall.BadValue},
		"an argument":                {built(`{"A":"b c"}`), ""},
		"an argument of two lines":   {built(`{"A":"b\nRUN c"}`), dockercall.BadValue},
		"an argument by no name":     {built(`{"A B":"c"}`), dockercall.BadValue},
		"a name that engines cut":    {dockercall.Request{Method: "POST", Path: "/v1.41/containers/create", Query: "name=h-" + strings.Repeat("x", 62), Header: headers("{}"), Body: strings.NewReader("{}")}, dockercall.TooBig},
		"as long a name as they let": {dockercall.Request{Method: "POST", Path: "/v1.41/containers/create", Query: "name=h-" + strings.Repeat("x", 61), Header: headers("{}"), Body: strings.NewReader("{}")}, ""},
	} {
		rule := ""
		if _, err := dockercall.Parse(version, c.request); err != nil {
			rule = problem.Of(err).Rule
		}
		if rule != string(c.rule) {
			t.Errorf("%s: refused by %q, want %q", name, rule, c.rule)
		}
	}
}
