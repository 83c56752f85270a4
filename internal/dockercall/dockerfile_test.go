package dockercall_test

import (
	"strings"
	"testing"

	"havre/internal/dockercall"
	"havre/internal/problem"
)

func TestDockerfileIsWrittenAfresh(t *testing.T) {
	text := "# syntax is not a directive without =\nARG V=12\nfrom debian:${V} as Build\n\nRUN apt-get update \\\n  # why\n\n  && true\nFROM scratch\nCOPY --from=build --chown=1:1 /a \\\n /b\nCMD [\"/b\"]\n"
	d, err := dockercall.ParseDockerfile([]byte(text), nil, "build")
	if err != nil {
		t.Fatal(err)
	}
	got := string(d.Write(map[string]dockercall.ImageID{"debian:12": "sha256:1"}))
	want := "ARG V=12\nFROM sha256:1 AS build\nRUN apt-get update   && true\nFROM scratch\nCOPY --from=build --chown=1:1 /a  /b\nCMD [\"/b\"]\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestBuildArgumentChoosesTheBase(t *testing.T) {
	v := "13"
	d, err := dockercall.ParseDockerfile([]byte("ARG V=12\nFROM debian:$V\n"), dockercall.BuildArgs{"V": &v}, "")
	if err != nil || d.Images()[0] != "debian:13" {
		t.Errorf("%v, %v", d, err)
	}
}

func TestDockerfileRefusalsNameTheirRule(t *testing.T) {
	for text, rule := range map[string]dockercall.Rule{
		"FROM a\nRUN --mount=x y":                    dockercall.BuildFlag,
		"FROM a\nADD http://x /":                     dockercall.BuildRemoteAdd,
		"FROM a\nADD \"b c\" /":                      dockercall.BuildRemoteAdd,
		"FROM a\nONBUILD RUN x":                      dockercall.BuildOnBuild,
		"FROM a\nCOPY --from=3 a b":                  dockercall.BuildCopyFrom,
		"FROM A@B":                                   dockercall.BuildFrom,
		"FROM a\nLABEL havre.x=1":                    dockercall.ReservedLabel,
		"# escape=`\nFROM a":                         dockercall.BuildSyntax,
		"FROM a\nRUN cat <<CMD\nRUN\nCMD":            dockercall.BuildSyntax,
		strings.Repeat("#", 2<<20):                   dockercall.TooBig,
		"FROM a\nRUN x\u2003--mount=y\nRUN":          dockercall.BuildSyntax,
		"RUN x\nFROM a":                              dockercall.BuildSyntax,
		"ARG A=$B\nFROM a":                           dockercall.BuildSyntax,
		"FROM a AS scratch":                          dockercall.BuildSyntax,
		"FROM a AS b\nFROM c AS b":                   dockercall.BuildSyntax,
		"FROM a\nRUN x \\\n":                         dockercall.BuildSyntax,
		"FROM a\nCOPY --from=b --from=c d e":         dockercall.BuildFlag,
		"FROM a\nRUN " + strings.Repeat("x", 48<<10): dockercall.TooBig,
	} {
		_, err := dockercall.ParseDockerfile([]byte(text), nil, "")
		if got := problem.Of(err); got == nil || got.Rule != string(rule) {
			t.Errorf("%.40q: %v, want %s", text, err, rule)
		}
	}
}

// FuzzDockerfile holds the parser to its promise: what it writes it reads in
// the same way, and no line of it starts what was not judged.
func FuzzDockerfile(f *testing.F) {
	f.Add("FROM a\nRUN x \\\n y\n", "")
	f.Add("ARG A=b\nFROM ${A} AS c\nCOPY --from=c /a /b\nLABEL a=b \"c\"='d'\nADD [\"x\", \"/y\"]\nHEALTHCHECK --interval=1s CMD x\n", "c")
	f.Add("FROM a\nRUN \\\n--mount=type=bind,target=/x cat /x/y\n", "")
	f.Add("\ufeffFROM scratch\r\nENV A \\\r\n# c\r\n\r\nB\r\n", "")
	f.Fuzz(func(t *testing.T, text, target string) {
		d, err := dockercall.ParseDockerfile([]byte(text), nil, dockercall.StageName(target))
		if err != nil {
			return
		}
		ids := map[string]dockercall.ImageID{}
		for _, name := range d.Images() {
			ids[name] = dockercall.ImageID(name)
		}
		written := d.Write(ids)
		again, err := dockercall.ParseDockerfile(written, nil, dockercall.StageName(target))
		if err != nil {
			t.Fatalf("%q was written as %q, which is refused: %v", text, written, err)
		}
		if second := again.Write(ids); string(second) != string(written) {
			t.Fatalf("%q\nwrites\n%q\nwhich writes\n%q", text, written, second)
		}
		for line := range strings.Lines(string(written)) {
			if strings.HasPrefix(line, "RUN --") || strings.HasPrefix(line, "ONBUILD") || strings.HasSuffix(line, "\\\n") {
				t.Fatalf("%q writes %q", text, line)
			}
		}
	})
}
