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

// Where a VOLUME stands, the engine would give each RUN behind it a volume.
func TestVolumesComeLast(t *testing.T) {
	for text, c := range map[string]struct {
		target dockercall.StageName
		want   string
	}{
		"FROM a\nVOLUME /x\nRUN y\n":                                 {"", "FROM a\nRUN y\nVOLUME /x\n"},
		"FROM a\nVOLUME /x /y\nRUN y\nVOLUME [\"/z\"]\nCMD q\n":      {"", "FROM a\nRUN y\nCMD q\nVOLUME /x /y\nVOLUME [\"/z\"]\n"},
		"FROM a AS b\nVOLUME /x\nFROM b\nVOLUME /y\nRUN z\n":         {"", "FROM a AS b\nFROM b\nRUN z\nVOLUME /x\nVOLUME /y\n"},
		"FROM a AS b\nVOLUME /x\nRUN y\nFROM c\nCOPY --from=b / /\n": {"", "FROM a AS b\nRUN y\nFROM c\nCOPY --from=b / /\n"},
		"FROM a AS b\nVOLUME /x\nRUN y\nFROM b\nVOLUME /z\nCMD q\n":  {"b", "FROM a AS b\nRUN y\nVOLUME /x\nFROM b\nCMD q\n"},
		"FROM a\nENV D=/x\nVOLUME $D\nENV OTHER=1\nRUN y\n":          {"", "FROM a\nENV D=/x\nENV OTHER=1\nRUN y\nVOLUME $D\n"},
		"FROM a\nvolume /x\n":                                        {"", "FROM a\nVOLUME /x\n"},
	} {
		d, err := dockercall.ParseDockerfile([]byte(text), nil, c.target)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := string(d.Write(map[string]dockercall.ImageID{"a": "a", "c": "c"})); got != c.want {
			t.Errorf("%q is written as %q, not as %q", text, got, c.want)
		}
	}
	for _, text := range []string{
		"FROM a\nVOLUME $D\nENV D=/y\n", "FROM a\nARG D=/x\nVOLUME ${D:-/z}\nARG D\n", "FROM a\nVOLUME /x/$(y)\nENV D=/y\n",
		"FROM a AS b\nENV D=/x\nVOLUME $D\nFROM b\n",
	} {
		if _, err := dockercall.ParseDockerfile([]byte(text), nil, ""); problem.Of(err) == nil || problem.Of(err).Rule != string(dockercall.BuildSyntax) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestRunsAreFollowedToTheirImage(t *testing.T) {
	text := "FROM a AS one\nCOPY x /\nFROM one AS two\nRUN y\nFROM c AS three\nCOPY --from=d / /\nFROM e\nRUN z\n"
	d, err := dockercall.ParseDockerfile([]byte(text), nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(d.RunsIn(), " "); got != "a e" {
		t.Errorf("a RUN works in %s", got)
	}
}

// FuzzDockerfile holds the parser to its promise: what it writes it reads in
// the same way, and no line of it starts what was not judged.
func FuzzDockerfile(f *testing.F) {
	f.Add("FROM a\nRUN x \\\n y\n", "")
	f.Add("ARG A=b\nFROM ${A} AS c\nCOPY --from=c /a /b\nLABEL a=b \"c\"='d'\nADD [\"x\", \"/y\"]\nHEALTHCHECK --interval=1s CMD x\n", "c")
	f.Add("FROM a AS b\nVOLUME /x\nFROM b\nENV D=/x\nVOLUME ${D}\nRUN y\n", "")
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
