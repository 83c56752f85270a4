package swarm_test

import (
	"slices"
	"strings"
	"testing"

	"havre/internal/problem"
	"havre/internal/swarm"
)

func inProd(name string) (string, error) { return swarm.EngineName("prod", name) }

func TestImagesOfADockerfileAreThoseOfTheEnvironment(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
		args       map[string]string
		images     string
	}{
		"plain": {
			text: "FROM debian:bookworm\nRUN echo FROM x\n",
			want: "FROM havre.invalid/prod/debian:bookworm\nRUN echo FROM x\n", images: "debian:bookworm",
		},
		"latest, small letters and a comment": {
			text: "# FROM a\n  from  debian  as build\n",
			want: "# FROM a\nFROM havre.invalid/prod/debian:latest as build\n", images: "debian",
		},
		"stages, numbers and scratch stay": {
			text: "FROM a AS Build\nFROM scratch\nCOPY --from=build /x /x\nCOPY --chown=1 --from=0 /y /y\nCOPY --from=b:2 /z /z\nFROM build\n",
			want: "FROM havre.invalid/prod/a:latest AS Build\nFROM scratch\nCOPY --from=build /x /x\nCOPY --chown=1 --from=0 /y /y\nCOPY --from=havre.invalid/prod/b:2 /z /z\nFROM build\n",
			images: "a b:2",
		},
		"arguments": {
			text: "ARG BASE=debian\nARG TAG\nFROM ${BASE:-x}:$TAG\n",
			want: "ARG BASE=debian\nARG TAG\nFROM havre.invalid/prod/debian:13\n", args: map[string]string{"TAG": "13"}, images: "debian:13",
		},
		"an argument without a value has a substitute": {
			text: "ARG T\nFROM \"deb${T:-ian}\"\n", want: "ARG T\nFROM havre.invalid/prod/debian:latest\n", images: "debian",
		},
		"continued lines keep their number": {
			text: "FROM \\\n# why\n\n  debian \\\n AS x\nRUN y\n",
			want: "FROM havre.invalid/prod/debian:latest AS x\n\n\n\n\nRUN y\n", images: "debian",
		},
		"another escape": {
			text: "# escape=`\nFROM `\n a\\b:1\n", want: "", images: "",
		},
		"what looks like an instruction within one": {
			text: "FROM a\nRUN x \\\nFROM b\n", want: "FROM havre.invalid/prod/a:latest\nRUN x \\\nFROM b\n", images: "a",
		},
		"a platform": {
			text: "FROM --platform=linux/amd64 a", want: "FROM --platform=linux/amd64 havre.invalid/prod/a:latest\n", images: "a",
		},
		"nothing": {text: "", want: ""},
	} {
		got, images, err := swarm.RenameImages(c.text, c.args, inProd)
		if c.want == "" && c.text != "" {
			if problem.KindOf(err) != problem.Invalid {
				t.Errorf("%s: error = %v", name, err)
			}
			continue
		}
		if err != nil || got != c.want || strings.Join(images, " ") != c.images {
			t.Errorf("%s:\n%q, want\n%q\nimages %v, error %v", name, got, c.want, images, err)
		}
	}
}

func FuzzDockerfile(f *testing.F) {
	f.Add("FROM a AS b\nCOPY --from=c x y\n")
	f.Add("# escape=`\nARG X=1\nFROM a:$X `\n AS y\n")
	f.Fuzz(func(t *testing.T, text string) {
		out, images, err := swarm.RenameImages(text, nil, inProd)
		if err != nil {
			return
		}
		again, twice, err := swarm.RenameImages(out, nil, func(name string) (string, error) {
			if !strings.HasPrefix(name, "havre.invalid/prod/") {
				t.Errorf("%q is left in %q", name, out)
			}
			return name, nil
		})
		if err != nil || len(twice) != len(images) {
			t.Errorf("%q: %v, then %q: %v, %v", text, images, again, twice, err)
		}
		if want := strings.Count(text, "\n"); strings.Count(out, "\n") < want {
			t.Errorf("%q lost lines of %q", out, text)
		}
	})
}

func TestBuildOutputComesInLines(t *testing.T) {
	var got []string
	stream := `{"stream":"Step 1/2 : FROM x\n"}{"stream":"one\ntw"}{"stream":"o\r\nthree"}{"aux":{"ID":"sha256:1"}}`
	if err := swarm.ReadStream(strings.NewReader(stream), func(l string) { got = append(got, l) }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"Step 1/2 : FROM x", "one", "two", "three"}; !slices.Equal(got, want) {
		t.Errorf("lines are %q, want %q", got, want)
	}
}

func TestErrorWithinABuildsOutputIsAnError(t *testing.T) {
	for _, stream := range []string{`{"errorDetail":{"code":1,"message":"no"},"error":"no"}`, `{"stream":`, `[]`} {
		if err := swarm.ReadStream(strings.NewReader(stream), func(string) {}); err == nil {
			t.Errorf("%s is no error", stream)
		}
	}
}
