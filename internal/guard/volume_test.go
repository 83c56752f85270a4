package guard_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"havre/internal/guard"
	"havre/internal/guard/guardtest"
)

// empty asks a guard to empty the volume data, and gives the status.
func empty(t *testing.T, w *guardtest.World, keep string) int {
	t.Helper()
	return ofVolume(t, w, "clean", `,"keep":`+keep)
}

// ofVolume asks a guard for something about the volume data.
func ofVolume(t *testing.T, w *guardtest.World, verb, more string) int {
	t.Helper()
	conn, err := w.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"environment":"prod","project":"` + w.Vars["PROJECT"] + `","name":"data"` + more + `}`
	r, err := http.NewRequest("POST", "http://guard/havre/v1/volume/"+verb, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	a, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	return a.StatusCode
}

// What an app put into its volume to lead the guard elsewhere does not.
func TestEmptyingGoesThroughNoLink(t *testing.T) {
	for _, keep := range []string{"true", "false"} {
		w := guardtest.Fake(t)
		volume := filepath.Join(w.Vars["DATA"], "volume/prod", w.Vars["PROJECT"], "data")
		outside := t.TempDir()
		for dir, file := range map[string]string{volume + "/a/b": "inside", volume: "top", outside: "precious"} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, file), []byte("text"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for link, to := range map[string]string{"dir": outside, "file": outside + "/precious"} {
			if err := os.Symlink(to, filepath.Join(volume, link)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Link(outside+"/precious", volume+"/second"); err != nil {
			t.Fatal(err)
		}
		if status := empty(t, w, keep); status != http.StatusOK {
			t.Fatalf("keep %s: %d", keep, status)
		}
		if text, err := os.ReadFile(outside + "/precious"); string(text) != "text" {
			t.Errorf("keep %s: what is outside holds %q, %v", keep, text, err)
		}
		text, err := os.ReadFile(volume + "/a/b/inside")
		if kept := err == nil; kept != (keep == "true") || len(text) > 0 {
			t.Errorf("keep %s: inside there is %q, %v", keep, text, err)
		}
		left, err := os.ReadDir(volume)
		if err != nil || keep == "false" && len(left) > 0 {
			t.Errorf("keep %s: %v stays, %v", keep, left, err)
		}
	}
}

// A service may remove a directory that is just being looked through.
func TestDirectoryMayGoUnderAWalk(t *testing.T) {
	dir := t.TempDir()
	for _, below := range []string{"/a/b/c", "/d/e"} {
		if err := os.MkdirAll(dir+below, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"/a/b/c/first", "/d/e/first"} {
		if err := os.WriteFile(dir+file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	met := map[string]int{}
	err := guard.Walk(t.Context(), dir, func(name string) {
		met[name]++
		if name == "first" {
			os.RemoveAll(dir + "/a/b")
		}
	})
	if err != nil || met["first"] == 0 || met["d"] != 1 {
		t.Errorf("%v, met %v", err, met)
	}
}

// What was ended may lie in the engine for a moment yet. Who removes a service
// with its volumes is not refused for that; what runs is.
func TestVolumeOfWhatIsBeingRemovedIsWaitedFor(t *testing.T) {
	for state, want := range map[string]int{"removing": http.StatusOK, "created": http.StatusOK, "running": http.StatusForbidden, "paused": http.StatusForbidden} {
		w := guardtest.Fake(t)
		volume := filepath.Join(w.Vars["DATA"], "volume/prod", w.Vars["PROJECT"], "data")
		if err := os.MkdirAll(volume, 0o700); err != nil {
			t.Fatal(err)
		}
		w.Fake.Put("/containers/json", fmt.Sprintf(`[{"State":%q,"Mounts":[{"Source":%q,"Destination":"/data"}]}]`, state, volume))
		later := time.AfterFunc(time.Second, func() { w.Fake.Put("/containers/json", "[]") })
		got := ofVolume(t, w, "rm", "")
		later.Stop()
		if _, err := os.Stat(volume); got != want || (err == nil) != (want == http.StatusForbidden) {
			t.Errorf("%s: %d, want %d; the volume: %v", state, got, want, err)
		}
	}
}
