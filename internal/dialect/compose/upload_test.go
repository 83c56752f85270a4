package compose_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"havre/internal/dialect/compose"
	"havre/internal/dialect/source"
	"havre/internal/spec"
)

// mounted reads a service with one mount, in a directory that prepare fills.
func mounted(t *testing.T, mount string, prepare func(dir string)) *source.Reading {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	if err := os.MkdirAll(filepath.Join(dir, "conf"), 0o755); err != nil {
		t.Fatal(err)
	}
	prepare(dir)
	text := fmt.Sprintf("name: shop\nservices:\n  web:\n    image: web\n    volumes: [%q]\n", mount)
	return compose.Read(t.Context(), compose.Request{Texts: []source.Text{{Name: "c.yml", Content: []byte(text)}}, Dir: dir})
}

func write(t *testing.T, path string, size int) {
	t.Helper()
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

func TestUploadsStayInTheirBounds(t *testing.T) {
	cases := map[string]struct {
		mount   string
		prepare func(dir string)
		says    string // of the mistake; "" when it is taken
	}{
		"a file as large as allowed": {"./conf:/c:ro", func(d string) { write(t, d+"/conf/a", 1000*1024) }, ""},
		"a file too large":           {"./conf/a:/c:ro", func(d string) { write(t, d+"/conf/a", 1000*1024+1) }, "larger than 1000 KiB"},
		"as many files as allowed": {"./conf:/c:ro", func(d string) {
			for i := range 200 {
				write(t, fmt.Sprintf("%s/conf/%d", d, i), 1)
			}
		}, ""},
		"a link inside":      {"./conf:/c:ro", func(d string) { write(t, d+"/conf/a", 1); link(t, "a", d+"/conf/b") }, ""},
		"a link out":         {"./conf:/c:ro", func(d string) { link(t, "/etc/hostname", d+"/conf/b") }, "leads out of"},
		"a link up":          {"./conf:/c:ro", func(d string) { write(t, d+"/a", 1); link(t, "../a", d+"/conf/b") }, "leads out of"},
		"a link to nothing":  {"./conf:/c:ro", func(d string) { link(t, "nothing", d+"/conf/b") }, "or nowhere"},
		"a linked directory": {"./conf:/c:ro", func(d string) { link(t, ".", d+"/conf/b") }, "is not a file"},
		"the mount is a link out": {"./b:/c:ro", func(d string) { link(t, "/etc/hostname", d+"/b") },
			"leads out of the project's directory"},
		"the mount's parent is a link out": {"./b/hostname:/c:ro", func(d string) { link(t, "/etc", d+"/b") }, "leads out of the project's directory"},
		"beside the project":               {"../beside:/c:ro", func(d string) { write(t, filepath.Join(d, "../beside"), 3) }, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := mounted(t, c.mount, c.prepare)
			switch said := r.Mistakes.Error(); {
			case c.says == "" && said != "":
				t.Errorf("refused: %s", said)
			case c.says != "" && !strings.Contains(said, c.says):
				t.Errorf("says %q, want %q", said, c.says)
			}
		})
	}
}

func TestSocketsAreNotUploaded(t *testing.T) {
	r := mounted(t, "./conf:/c:ro", func(d string) {
		fd := filepath.Join(d, "conf", "pipe")
		if err := mkfifo(fd); err != nil {
			t.Skip(err)
		}
	})
	if !strings.Contains(r.Mistakes.Error(), "is not a file") {
		t.Errorf("says %q", r.Mistakes.Error())
	}
}

func TestWhatOnlyRootCanReadIsSaid(t *testing.T) {
	r := mounted(t, "./conf/a:/c:ro", func(d string) {
		write(t, d+"/conf/a", 1)
		if err := os.Chmod(d+"/conf/a", 0o600); err != nil {
			t.Fatal(err)
		}
	})
	if !strings.Contains(r.Notes.Error(), "only root can read it") || r.Project.Files[0].Mode != 0o600 {
		t.Errorf("notes %v, files %v", r.Notes, r.Project.Files)
	}
}

func TestDirectoriesAreVolumesWhereTheyAreWrittenOrTooLarge(t *testing.T) {
	many := func(n, size int) func(string) {
		return func(d string) {
			for i := range n {
				write(t, fmt.Sprintf("%s/conf/%d", d, i), size)
			}
		}
	}
	volume := func(name, from string, readOnly bool) []spec.Mount {
		return []spec.Mount{{Kind: spec.Volume, Source: name, Target: "/c", ReadOnly: readOnly, From: from}}
	}
	file := func(name string) spec.Mount {
		return spec.Mount{Kind: spec.Config, Source: "conf/" + name, Target: "/c/" + name, ReadOnly: true}
	}
	memory := spec.Mount{Kind: spec.Tmpfs, Target: "/c", ReadOnly: true}
	cases := map[string]struct {
		mount   string
		prepare func(dir string)
		want    []spec.Mount
		fill    int    // files that the volume begins with
		says    string // of the note
	}{
		"it is written":             {"./conf:/c", many(2, 3), volume("conf", "./conf", false), 2, "begins with what the directory has"},
		"it is written and empty":   {"./conf:/c", many(0, 0), volume("conf", "./conf", false), 0, "begins empty"},
		"it is not there":           {"./conf/of it/.d:/c", many(0, 0), volume("conf_of_it_.d", "./conf/of it/.d", false), 0, "begins empty"},
		"it is outside":             {"../conf:/c", many(0, 0), volume("up_conf", "../conf", false), 0, "begins empty"},
		"it is hidden":              {"./.conf:/c", many(0, 0), volume("conf", "./.conf", false), 0, "begins empty"},
		"it is the whole project":   {".:/c", many(1, 1), volume("project", ".", false), 1, "begins with"},
		"it is only read":           {"./conf:/c:ro", many(2, 3), []spec.Mount{memory, file("0"), file("1")}, 0, ""},
		"it is empty and only read": {"./conf:/c:ro", many(0, 0), []spec.Mount{memory}, 0, ""},
		"only read, and not there":  {"./none:/c:ro", many(0, 0), []spec.Mount{memory}, 0, "is not there"},
		"it has too many files":     {"./conf:/c:ro", many(201, 1), volume("conf", "./conf", true), 201, "is larger than what travels"},
		"it has too much":           {"./conf:/c:ro", many(17, 1000*1024), volume("conf", "./conf", true), 17, "is larger than what travels"},
		"it has a large file":       {"./conf:/c:ro", many(1, 1000*1024+1), volume("conf", "./conf", true), 1, "is larger than what travels"},
		"it is a link to another":   {"./link:/c", func(d string) { many(2, 1)(d); link(t, "conf", d+"/link") }, volume("link", "./link", false), 2, "begins with"},
	}
	for says, c := range cases {
		t.Run(says, func(t *testing.T) {
			r := mounted(t, c.mount, c.prepare)
			if len(r.Mistakes) > 0 || !reflect.DeepEqual(r.Project.Services[0].Mounts, c.want) {
				t.Errorf("%v: %+v", r.Mistakes, r.Project.Services[0].Mounts)
			}
			files := 0
			for _, f := range r.Fills {
				files += f.Files
			}
			if files != c.fill || (len(r.Notes) == 0) != (c.says == "") || !strings.Contains(r.Notes.Error(), c.says) {
				t.Errorf("%d files to fill with; %v", files, r.Notes)
			}
		})
	}
}

func TestVolumeOfADirectoryIsNeverAnothers(t *testing.T) {
	for text, want := range map[string]string{
		"services:\n  web: {image: a, volumes: ['./data:/a', 'data:/b']}\nvolumes: {data: {}}": "data_directory data",
		"services:\n  web: {image: a, volumes: ['./my/data:/a', './my_data:/b']}":              "refused",
		"services:\n  web: {image: a, volumes: ['./data:/a', './data/sub:/b:ro']}":             "data ",
		"services:\n  web: {image: a, volumes: ['./data:/a', './data/sub:/b']}":                "data data_sub",
	} {
		r := compose.Read(t.Context(), compose.Request{Texts: []source.Text{{Name: "c.yml", Content: []byte("name: shop\n" + text)}}, Dir: t.TempDir()})
		var names []string
		for _, m := range r.Project.Services[0].Mounts {
			names = append(names, m.Source)
		}
		got := strings.Join(names, " ")
		if strings.Contains(r.Mistakes.Error(), "would both be the volume my_data") {
			got = "refused"
		}
		if got != want {
			t.Errorf("%s: %q, %v", text, got, r.Mistakes)
		}
		if want == "data data_sub" && !strings.Contains(r.Notes.Error(), "lies in data, and each is a volume of its own") {
			t.Errorf("nobody is told: %v", r.Notes)
		}
	}
}

func TestMessagesHitThePoint(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.env"), []byte("A=$NOWHERE\nB=${OTHER:-x}\nC=$A\nD='$QUOTED'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"web: {image: a, depends_on: [wab]}":                                    "did you mean",
		"web: {image: a, x-havre: {domains: ['http://www.example.org/mail/']}}": "write it without http://, like www.example.org/mail:",
		"web: {image: a, x-havre: {domains: ['https://www.example.org']}}":      `"https://www.example.org" is an address and not a domain`,
		"web: {image: a, env_file: a.env}":                                      "variable NOWHERE is not set and counts as empty",
	} {
		r := compose.Read(t.Context(), compose.Request{Texts: []source.Text{{Name: "c.yml", Content: []byte("name: shop\nservices:\n  " + text + "\n")}}, Dir: dir})
		said := ""
		for _, p := range slices.Concat(r.Mistakes, r.Notes) {
			said += p.Says + "; " + p.Remedy + "\n"
		}
		if got := strings.Contains(said, want); got == (want == "did you mean") { // there is nothing else to mean than the service itself
			t.Errorf("%s: %s", text, said)
		}
		if strings.Contains(said, "OTHER") || strings.Contains(said, "QUOTED") || strings.Contains(said, "$A") {
			t.Errorf("%s: %s", text, said)
		}
	}
}
