package guard_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"havre/internal/dockercall"
	"havre/internal/guard/guardtest"
	"havre/internal/lab"
)

// ensure asks for a volume of the project.
func (s *site) ensure(t testing.TB, name, path, user string) (dockercall.VolumeSource, error) {
	t.Helper()
	var v dockercall.VolumeSource
	body := fmt.Sprintf(`{"environment":"prod","project":"$PROJECT","name":%q,"image":"$IMAGE","path":%q,"user":%q}`, name, path, user)
	err := s.ask("POST", dockercall.VolumeEnsurePath, body, &v)
	return v, err
}

func TestNewVolumeHoldsWhatTheImageHas(t *testing.T) {
	s := open(t)
	v, err := s.ensure(t, "seeded", "/seeded", "")
	if err != nil || !v.Created {
		t.Fatalf("%+v, %v", v, err)
	}
	text, err := os.ReadFile(v.Source + "/file")
	if err != nil || string(text) != "from the image" {
		t.Errorf("the file holds %q, %v", text, err)
	}
	if err := os.WriteFile(v.Source+"/file", []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	again, err := s.ensure(t, "seeded", "/seeded", "")
	if err != nil || again.Created || again.Source != v.Source {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	if text, _ := os.ReadFile(v.Source + "/file"); string(text) != "changed" {
		t.Errorf("the volume was filled again: %q", text)
	}
	if left := s.Docker(t, "ps", "-aq", "--filter", "label=havre.kind=seed"); left != "" {
		t.Errorf("containers of the guard's own stay: %s", left)
	}
}

func TestVolumeThatWasKeptAndIsGoneIsNotMade(t *testing.T) {
	s := open(t)
	v, err := s.ensure(t, "gone", "/seeded", "")
	if err != nil {
		t.Fatal(err)
	}
	body := `{"environment":"prod","project":"$PROJECT","name":"gone","image":"$IMAGE","path":"/seeded","user":"","kept":true}`
	if err := s.ask("POST", dockercall.VolumeEnsurePath, body, nil); err != nil {
		t.Errorf("while it is there: %v", err)
	}
	if err := os.RemoveAll(v.Source); err != nil {
		t.Fatal(err)
	}
	if err := s.ask("POST", dockercall.VolumeEnsurePath, body, nil); err == nil || !strings.Contains(err.Error(), "is gone") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(v.Source); err == nil {
		t.Error("it was made, empty")
	}
}

func TestVolumeBelowVolBelongsToTheService(t *testing.T) {
	s := open(t)
	v, err := s.ensure(t, "owned", "/vol/cache", "1234:567")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(v.Source)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 1234 || st.Gid != 567 {
		t.Errorf("owned by %d:%d", st.Uid, st.Gid)
	}
}

func TestVolumesTakeNoSetuidAndNoDevices(t *testing.T) {
	s := open(t)
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 5 && f[4] == s.data+"/volume" {
			if !strings.Contains(f[5], "nosuid") || !strings.Contains(f[5], "nodev") {
				t.Errorf("the volumes are mounted %s", f[5])
			}
			return
		}
	}
	t.Errorf("%s/volume is no mount", s.data)
}

// A link that is planted where a volume should be leads nowhere.
func TestPlantedLinkIsNotFollowed(t *testing.T) {
	s := open(t)
	outside := filepath.Join(s.Dir, "outside")
	if err := os.MkdirAll(outside, 0o700); err != nil {
		t.Fatal(err)
	}
	place := s.data + "/volume/prod/" + projectID
	if err := os.Symlink(outside, place+"/planted"); err != nil {
		t.Fatal(err)
	}
	if v, err := s.ensure(t, "planted", "/vol/rw", "1"); err == nil {
		t.Errorf("a link became the volume %+v", v)
	}
	body := fmt.Sprintf(`{"environment":"prod","project":%q,"name":"planted"}`, projectID)
	if err := s.ask("POST", dockercall.VolumeRemovePath, body, nil); err == nil {
		t.Error("a link was removed as a volume")
	}
	if err := os.Symlink(outside, s.data+"/volume/evil"); err != nil {
		t.Fatal(err)
	}
	if err := s.ask("POST", dockercall.VolumeEnsurePath, `{"environment":"evil","project":"$PROJECT","name":"x","image":"$IMAGE","path":"/x","user":""}`, nil); err == nil {
		t.Error("an environment that is a link was used")
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("something came through the link: %v, %v", left, err)
	}
}

// A service's container may swap everything inside its volume between the
// judgement and the start; the top directory itself it cannot.
func TestSwapInsideAVolumeReachesNothing(t *testing.T) {
	s := open(t)
	v, err := s.ensure(t, "swapped", "/vol/rw", "0")
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Replace(guardtest.Bodies()["probe.json"], `"Mounts": []`,
		`"Mounts": [{"Type": "bind", "Source": "$DATA/volume/prod/$PROJECT/swapped", "Target": "/vol/rw"}]`, 1)
	body = strings.Replace(body, `["sleep", "1s"]`, `["ls", "/vol/rw/in"]`, 1)
	var made struct{ Id string }
	s.must(t, "POST", "/v1.41/containers/create?name=h-"+projectID+"-"+serviceID+"-swap", body, &made)
	// What the container could have done meanwhile: a link to the host's root.
	if err := os.Symlink("/", v.Source+"/in"); err != nil {
		t.Fatal(err)
	}
	s.must(t, "POST", "/v1.41/containers/"+made.Id+"/start", "", nil)
	var state struct {
		State struct{ Running bool }
	}
	lab.Eventually(t, "the container to end", func(context.Context) error {
		if err := s.ask("GET", "/v1.41/containers/"+made.Id+"/json", "", &state); err != nil || state.State.Running {
			return fmt.Errorf("running, %v", err)
		}
		return nil
	})
	out := s.Docker(t, "logs", made.Id)
	if strings.Contains(out, "proc") && strings.Contains(out, "boot") {
		t.Errorf("the container sees the host: %s", out)
	}
	if !strings.Contains(out, "app") {
		t.Errorf("the link does not lead into the container itself: %s", out)
	}
	s.must(t, "DELETE", "/v1.41/containers/"+made.Id+"?force=1", "", nil)
}

func TestVolumeInUseStays(t *testing.T) {
	s := open(t)
	body := fmt.Sprintf(`{"environment":"prod","project":%q,"name":"data"}`, projectID)
	err := s.ask("POST", dockercall.VolumeRemovePath, body, nil)
	if err == nil || !strings.Contains(err.Error(), "volume-in-use") {
		t.Errorf("the volume of a running service: %v", err)
	}
	if _, err := s.ensure(t, "free", "/vol/rw", "1"); err != nil {
		t.Fatal(err)
	}
	s.must(t, "POST", dockercall.VolumeRemovePath, strings.Replace(body, `"data"`, `"free"`, 1), nil)
	if _, err := os.Stat(s.data + "/volume/prod/" + projectID + "/free"); !os.IsNotExist(err) {
		t.Errorf("the volume is there: %v", err)
	}
}

func TestOnlyNamedUsersAreServed(t *testing.T) {
	s := open(t)
	info, err := os.Stat(s.socket)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket's mode is %v, %v", info.Mode(), err)
	}
	for _, path := range []string{"/guard", "/guard/bounds.json", "/guard/audit.jsonl", "/volume"} {
		info, err := os.Stat(s.data + path)
		if err != nil || info.Mode().Perm()&fs.FileMode(0o077) != 0 {
			t.Errorf("%s can be read by others: %v, %v", path, info.Mode(), err)
		}
	}
}
