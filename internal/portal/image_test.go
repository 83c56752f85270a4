package portal_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"havre/internal/portal"
	"havre/internal/problem"
)

func TestProgramIsThereOrSaysHowToGetIt(t *testing.T) {
	program, err := portal.Program()
	if err == nil {
		if !bytes.HasPrefix(program, []byte("\x7fELF")) {
			t.Errorf("the program begins with %q; want an ELF file", program[:4])
		}
		if _, err := portal.Image(portal.Users{}); err != nil {
			t.Errorf("image: %v", err)
		}
		return
	}
	p := problem.Of(err)
	if p.Kind != problem.Unavailable || p.Says != "this havre was built without its portal" || p.Remedy != "build with: make" {
		t.Errorf("problem = %+v", p)
	}
	if _, err := portal.Image(portal.Users{}); !errors.Is(err, &problem.Problem{Kind: problem.Unavailable}) {
		t.Errorf("image: %v; want the same", err)
	}
}

func TestImageIsTheSameEachTime(t *testing.T) {
	one, err := portal.ImageOf([]byte("a program"), portal.Users{Own: 7, Callers: []uint32{8}})
	if err != nil {
		t.Fatal(err)
	}
	two, err := portal.ImageOf([]byte("a program"), portal.Users{Own: 7, Callers: []uint32{8}})
	if err != nil {
		t.Fatal(err)
	}
	other, err := portal.ImageOf([]byte("another one"), portal.Users{Own: 7, Callers: []uint32{8}})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes, two.Bytes) || one.ID != two.ID {
		t.Error("the same program gave two images")
	}
	if one.ID == other.ID || one.Tag == other.Tag || one.Digest == other.Digest {
		t.Error("two programs gave the same image")
	}
}

func TestArchiveHoldsWhatItsIDsName(t *testing.T) {
	a, err := portal.ImageOf([]byte("a program"), portal.Users{Own: 7, Callers: []uint32{8}})
	if err != nil {
		t.Fatal(err)
	}
	files := untar(t, a.Bytes)
	for name, f := range files {
		if sum, ok := strings.CutPrefix(name, "blobs/sha256/"); ok && sum != "" && sum != hexSum(f.body) {
			t.Errorf("%s does not have that digest", name)
		}
	}
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(files["manifest.json"].body, &manifest); err != nil || len(manifest) != 1 {
		t.Fatalf("manifest = %v, %v", manifest, err)
	}
	m := manifest[0]
	if "sha256:"+hexSum(files[m.Config].body) != a.ID || !slices.Equal(m.RepoTags, []string{a.Tag}) || len(m.Layers) != 1 {
		t.Errorf("manifest = %+v; want the image %s, %s", m, a.ID, a.Tag)
	}
	if _, ok := files["blobs/sha256/"+strings.TrimPrefix(a.Digest, "sha256:")]; !ok {
		t.Errorf("there is no manifest %s", a.Digest)
	}
	layer := untar(t, files[m.Layers[0]].body)
	for name, mode := range map[string]int64{"havre-portal": 0o555, "portal/": 0o555, "etc/": 0o555, "etc/nsswitch.conf": 0o444} {
		if f, ok := layer[name]; !ok || f.mode != mode {
			t.Errorf("%s in the layer: %v, mode %o; want it with %o", name, ok, f.mode, mode)
		}
	}
	if len(layer) != 4 || string(layer["havre-portal"].body) != "a program" {
		t.Errorf("the layer has %d files", len(layer))
	}
}

func TestImageMayHaveNoName(t *testing.T) {
	a, err := portal.NewArchive(portal.Recipe{Entrypoint: []string{"/x"}})
	if err != nil || a.Tag != "" {
		t.Fatalf("tag = %q, %v", a.Tag, err)
	}
	if m := string(untar(t, a.Bytes)["manifest.json"].body); !strings.Contains(m, `"RepoTags":null`) {
		t.Errorf("manifest = %s", m)
	}
}

type entry struct {
	mode int64
	body []byte
}

func untar(t *testing.T, archive []byte) map[string]entry {
	t.Helper()
	files := map[string]entry{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 0 {
			t.Errorf("%s is of %d:%d and %v; want root's and no date", h.Name, h.Uid, h.Gid, h.ModTime)
		}
		files[h.Name] = entry{h.Mode, body}
	}
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
