package guard_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"havre/internal/guard"
	"havre/internal/guard/guardtest"
)

// An archive is not bigger, and does not become so, than root lets it be.
func TestArchivesStayWithinTheBounds(t *testing.T) {
	socket, engine := bounded(t, func(b *guard.Bounds) { b.ContextBytes, b.ImageBytes, b.Entries = 8<<10, 16<<10, 3 })
	const build, load = "/v1.41/build?version=1&t=havre.invalid/prod/new:1", "/v1.41/images/load?havre=havre.invalid/prod/new:1"
	dockerfile := file{"Dockerfile", "FROM scratch\n"}
	for name, c := range map[string]struct {
		path string
		body []byte
		rule string
	}{
		"a context":                     {build, archive(t, dockerfile), ""},
		"a context of too many bytes":   {build, archive(t, dockerfile, file{"big", strings.Repeat("x", 9<<10)}), "too-big"},
		"a context of too many entries": {build, archive(t, dockerfile, file{"a", ""}, file{"b", ""}, file{"c", ""}), "too-big"},
		"an image of too many bytes":    {load, archive(t, file{"manifest.json", strings.Repeat(" ", 17<<10)}), "too-big"},
		"a context that would swell":    {build, append(hollow(t, "hole"), archive(t, dockerfile)...), "load-archive"},
	} {
		before := len(engine.Written())
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		status, text := sendArchive(t, conn, "POST "+c.path, c.body)
		if c.rule == "" && status != http.StatusOK || c.rule != "" && !strings.Contains(text, `"rule":"`+c.rule+`"`) {
			t.Errorf("%s: %d %s, want rule %q", name, status, text, c.rule)
		}
		if heard := len(engine.Written()) - before; (heard > 0) != (c.rule == "") {
			t.Errorf("%s: the engine heard %d requests", name, heard)
		}
	}
}

// The portal's image has one name, and no archive brings it another. A layer
// counts by its bytes, also of one that is compressed.
func TestLoadedImagesAreWhatTheySay(t *testing.T) {
	const name = "1111111111111111111111111111111111111111111111111111111111111111"
	layer := "the bytes of a layer"
	pressed := gzipped(t, layer)
	conf := fmt.Sprintf(`{"config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%x"]}}`, sha256.Sum256([]byte(layer)))
	portal := strings.Replace(conf, `{}`, `{"Labels":{"a":"b"}}`, 1)
	set, engine := settings(t, func(b *guard.Bounds) { b.ImageBytes = 1 << 20 })
	set.PortalImage = func() (io.Reader, string, error) {
		return strings.NewReader(""), fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(portal))), nil
	}
	guardtest.Start(t, set)
	for what, c := range map[string]struct{ conf, layer, want string }{
		"a layer":                  {conf, layer, ""},
		"a compressed layer":       {conf, pressed, ""},
		"another layer":            {conf, "other bytes", `"rule":"load-archive"`},
		"another compressed layer": {conf, gzipped(t, "other bytes"), `"rule":"load-archive"`},
		"half a compressed layer":  {conf, pressed[:len(pressed)-9], `"rule":"load-archive"`},
		"a layer that swells":      {conf, gzipped(t, strings.Repeat("x", 2<<20)), "more bytes than the guard's bounds allow"},
		"the portal's image":       {portal, layer, `"rule":"image-of-portal"`},
	} {
		before := len(engine.Written())
		conn, err := net.Dial("unix", set.Socket)
		if err != nil {
			t.Fatal(err)
		}
		_, text := sendArchive(t, conn, "POST /v1.41/images/load?havre=havre.invalid/prod/new:1", archive(t,
			file{"manifest.json", `[{"Config":"` + name + `.json","Layers":["` + name + `/layer.tar"]}]`}, file{name + ".json", c.conf}, file{name + "/layer.tar", c.layer}))
		if heard := len(engine.Written()) - before; !strings.Contains(text, c.want) || (heard > 0) != (c.want == "") {
			t.Errorf("%s: %s; the engine heard %d requests", what, text, heard)
		}
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := io.WriteString(w, text)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A file with holes is a few bytes that become as many as one likes.
func TestCopyWritesNoMoreThanItIsGiven(t *testing.T) {
	world := guardtest.Fake(t)
	for name, body := range map[string][]byte{
		"holes alone":          append(hollow(t, "hole"), archive(t)...),
		"holes after a file":   append(archive(t, file{"big", strings.Repeat("x", 1<<20)})[:1<<20+512], append(hollow(t, "hole"), archive(t)...)...),
		"a file of many bytes": archive(t, file{"big", strings.Repeat("x", 3<<20)}, file{"empty", ""}),
	} {
		conn, err := world.Dial()
		if err != nil {
			t.Fatal(err)
		}
		status, text := sendArchive(t, conn, "PUT /v1.41/containers/"+world.Vars["BOX"]+"/archive?path=/srv", body)
		if hollow := strings.Contains(name, "holes"); hollow && !strings.Contains(text, `"rule":"copy-entry"`) || !hollow && status/100 != 2 {
			t.Errorf("%s: %d %s", name, status, text)
		}
		for _, r := range world.Fake.Written() {
			if len(r.Body) > 8<<20 {
				t.Errorf("%s: of %d bytes the engine got %d", name, len(body), len(r.Body))
			}
		}
	}
}

// What an engine would unpack as root has no owner, no set-user bit that a
// build need not have, and no attribute, which could be a capability.
func TestArchivesAreWrittenAfresh(t *testing.T) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeReg, Name: "Dockerfile", Size: 13},
		{
			Typeflag: tar.TypeReg, Name: "tool", Mode: 0o4755, Uid: 7, Gid: 8, Uname: "root", Format: tar.FormatPAX,
			PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "all of them", "SCHILY.xattr.user.x": "y"},
		},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, "from scratch\n"[:h.Size]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	world := guardtest.Fake(t)
	for path, want := range map[string]struct {
		tool       tar.Header
		dockerfile string
	}{
		"POST /v1.41/build?version=1&t=havre.invalid/prod/new:1":            {tar.Header{Mode: 0o755}, "FROM scratch\n"},
		"PUT /v1.41/containers/" + world.Vars["BOX"] + "/archive?path=/srv": {tar.Header{Mode: 0o4755, Uid: 7, Gid: 8}, "from scratch\n"},
	} {
		conn, err := world.Dial()
		if err != nil {
			t.Fatal(err)
		}
		if status, text := sendArchive(t, conn, path, out.Bytes()); status/100 != 2 {
			t.Fatalf("%s: %d %s", path, status, text)
		}
		heard := world.Fake.Written()
		for from := tar.NewReader(strings.NewReader(heard[len(heard)-1].Body)); ; {
			h, err := from.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(from)
			if h.Name == "Dockerfile" && string(text) != want.dockerfile {
				t.Errorf("%s: the engine got %q, %v", path, text, err)
			}
			if tool := want.tool; h.Name == "tool" && (h.Mode != tool.Mode || h.Uid != tool.Uid || h.Gid != tool.Gid || h.Uname != "" || len(h.PAXRecords) > 0) {
				t.Errorf("%s: the engine got %+v", path, h)
			}
		}
	}
}

// bounded starts a guard whose bounds are changed, before an engine that is a map.
func bounded(t *testing.T, change func(*guard.Bounds)) (socket string, engine *guardtest.Engine) {
	t.Helper()
	set, engine := settings(t, change)
	guardtest.Start(t, set)
	return set.Socket, engine
}

// settings are those of a guard before an engine that is a map.
func settings(t *testing.T, change func(*guard.Bounds)) (guard.Settings, *guardtest.Engine) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	bounds := guard.DefaultBounds(dir+"/data", uint32(os.Getuid()), 4242)
	change(&bounds)
	if err := guard.WriteBounds(dir+"/guard", bounds); err != nil {
		t.Fatal(err)
	}
	engine := guardtest.NewEngine(t, dir)
	return guard.Settings{
		Dir: dir + "/guard", Socket: dir + "/guard.sock", SocketGroup: os.Getgid(), Engine: engine.Socket, Owner: uint32(os.Getuid()),
		NoFirewall: true, NoRemount: true,
	}, engine
}

type file struct{ name, text string }

func archive(t *testing.T, files ...file) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.text)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// hollow is the beginning of an archive: a file of 64 MiB without a byte in it,
// as GNU tar writes it (its manual, "PAX Format, Version 1.0").
func hollow(t *testing.T, name string) []byte {
	t.Helper()
	const size = 64 << 20
	var records strings.Builder
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=" + name, fmt.Sprintf("GNU.sparse.realsize=%d", size)} {
		n := len(r) + 4 // two digits, a blank, a line's end
		fmt.Fprintf(&records, "%d %s\n", n, r)
	}
	said := archive(t, file{"records", records.String()})[:1024]
	said[156] = tar.TypeXHeader
	copy(said[148:156], "        ") // the sum is made with blanks in its place
	sum := 0
	for _, b := range said[:512] {
		sum += int(b)
	}
	copy(said[148:156], fmt.Sprintf("%06o\x00 ", sum))
	where := fmt.Sprintf("1\n%d\n0\n", size)
	data := archive(t, file{"data", where + strings.Repeat("\x00", 512-len(where))})[:1024]
	return append(said, data...)
}

// sendArchive sends an archive on a connection of its own to "METHOD PATH", and
// gives the answer.
func sendArchive(t *testing.T, conn net.Conn, to string, body []byte) (int, string) {
	t.Helper()
	defer conn.Close()
	method, path, _ := strings.Cut(to, " ")
	r, err := http.NewRequest(method, "http://guard"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-tar")
	if err := r.Write(conn); err != nil && !errors.Is(err, unix.EPIPE) { // a refusal need not wait for the rest
		t.Fatal(err)
	}
	a, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(text)
}
