package guard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"havre/internal/dockercall"
	"havre/internal/guard/guardtest"
	"havre/internal/lab"
	"havre/internal/swarm"
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
	// What a container could have done: a link to the host's root.
	if err := os.Symlink("/", v.Source+"/in"); err != nil {
		t.Fatal(err)
	}
	s.runOnce(t, "ggggggg2", "swapped", `["ls", "/vol/rw/in"]`)
	box := s.containerOf(t, "ggggggg2")
	lab.Eventually(t, "the container to end", func(context.Context) error {
		if state := s.Docker(t, "inspect", "--format", "{{.State.Status}}", box); state != "exited" {
			return fmt.Errorf("it is %s", state)
		}
		return nil
	})
	out := s.Docker(t, "logs", box)
	if strings.Contains(out, "proc") && strings.Contains(out, "boot") {
		t.Errorf("the container sees the host: %s", out)
	}
	if !strings.Contains(out, "app") {
		t.Errorf("the link does not lead into the container itself: %s", out)
	}
}

// What is called like a device at a volume's top leads nowhere, should the
// volume ever come to be a container's /dev.
func TestNoNameOfADeviceIsSeeded(t *testing.T) {
	s := open(t)
	image := lab.ScratchImage(t, s.World, "havre.invalid/prod/devices:latest",
		lab.File{Path: "seeded/null", Link: "/proc/sys/kernel/core_pattern"}, lab.File{Path: "seeded/link", Link: "file"}, lab.File{Path: "seeded/file", Text: "from the image"},
		lab.File{Path: "seeded/tty", Text: "a file"}, lab.File{Path: "seeded/below/null", Link: "kept"})
	body := fmt.Sprintf(`{"environment":"prod","project":"$PROJECT","name":"devices","image":%q,"path":"/seeded","user":""}`, image)
	var v dockercall.VolumeSource
	s.must(t, "POST", dockercall.VolumeEnsurePath, body, &v)
	entries, err := os.ReadDir(v.Source)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "below file link tty" {
		t.Errorf("the volume holds %s", got)
	}
	if leads, err := os.Readlink(v.Source + "/below/null"); leads != "kept" {
		t.Errorf("a link below leads to %q, %v", leads, err)
	}
}

// The engine makes no volume of its own: not for what looks into an image, nor
// for the commands of a build.
func TestEngineMakesNoVolumes(t *testing.T) {
	s := open(t)
	since := time.Now()
	body := `{"environment":"prod","project":"$PROJECT","name":"declared","image":"$VOLUMEIMAGE","path":"/data","user":""}`
	s.must(t, "POST", dockercall.VolumeEnsurePath, body, nil)
	s.must(t, "POST", dockercall.ConventionsPath, `{"image":"$VOLUMEIMAGE"}`, nil)
	// One that was removed with its container was there for a moment.
	moment := func(at time.Time) string { return fmt.Sprintf("%d.%09d", at.Unix(), at.Nanosecond()) }
	made := s.Docker(t, "events", "--since", moment(since), "--until", moment(time.Now()), "--filter", "type=volume")
	if left := s.Docker(t, "volume", "ls", "-q"); left != "" || made != "" {
		t.Errorf("the engine has the volumes %q, and had %q", left, made)
	}
	files := tarOf(t, map[string]string{"Dockerfile": "FROM app\nWORKDIR /data\nVOLUME /data\nRUN [\"/app\", \"write\", \"/data/x\", \"kept\"]\n"})
	var lines []string
	if err := asRoot(t, s).BuildImage(t.Context(), swarm.BuildRequest{Environment: "prod", Name: "written:1"}, files, func(l string) { lines = append(lines, l) }); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(lines, "\n"))
	}
	box := s.Docker(t, "create", "havre.invalid/prod/written:1")
	defer s.Docker(t, "rm", "-v", box)
	if got := s.Docker(t, "cp", box+":/data/x", "-"); !strings.Contains(got, "kept") {
		t.Errorf("the command wrote to a volume that is gone: %q", got)
	}
	if declared := s.Docker(t, "inspect", "--format", "{{.Config.Volumes}}", box); !strings.Contains(declared, "/data") {
		t.Errorf("the image declares %s", declared)
	}
}

// Remounted for a container, a mount that is only read would lose both.
func TestVolumeThatIsOnlyReadKeepsItsFlags(t *testing.T) {
	s := open(t)
	if _, err := s.ensure(t, "read", "/vol/ro", "1"); err != nil {
		t.Fatal(err)
	}
	body := strings.NewReplacer("ccccccc2", "kkkkkkk2", "/data\"", "/read\"", `"Target": "/vol/rw"`, `"Target": "/vol/rw", "ReadOnly": true`, `"Replicas": 0`, `"Replicas": 1`).
		Replace(guardtest.Bodies()["service.json"])
	var made struct{ ID string }
	s.must(t, "POST", "/v1.41/services/create", body, &made)
	check := func() {
		t.Helper()
		box := s.containerOf(t, "kkkkkkk2")
		text, err := os.ReadFile("/proc/" + s.Docker(t, "inspect", "--format", "{{.State.Pid}}", box) + "/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		options := ""
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 5 && f[4] == "/vol/rw" {
				options = f[5]
			}
		}
		if !strings.HasPrefix(options, "ro,nosuid,nodev") {
			t.Errorf("it is mounted %q", options)
		}
		if out, err := exec.Command("docker", "--host", "unix://"+s.Socket, "exec", box, "/app", "write", "/vol/rw/x", "y").CombinedOutput(); err == nil || !strings.Contains(string(out), "read-only file system") {
			t.Errorf("a write gave %q, %v", out, err)
		}
	}
	check()
	// What was asked for comes back in an update as it is.
	var service struct {
		Version struct{ Index uint64 }
		Spec    map[string]any
	}
	s.must(t, "GET", "/v1.41/services/"+made.ID, "", &service)
	service.Spec["TaskTemplate"].(map[string]any)["ForceUpdate"] = 1
	again, err := json.Marshal(service.Spec)
	if err != nil {
		t.Fatal(err)
	}
	before := s.containerOf(t, "kkkkkkk2")
	s.must(t, "POST", fmt.Sprintf("/v1.41/services/%s/update?version=%d", made.ID, service.Version.Index), string(again), nil)
	lab.Eventually(t, "another container", func(context.Context) error {
		if now := s.Docker(t, "ps", "-q", "--no-trunc", "--filter", "label=havre.service=kkkkkkk2"); now == before || now == "" || strings.Contains(now, "\n") {
			return fmt.Errorf("there is %q", now)
		}
		return nil
	})
	s.Docker(t, "rm", before)
	check()
	err = s.ask("POST", dockercall.VolumeRemovePath, `{"environment":"prod","project":"$PROJECT","name":"read"}`, nil)
	if err == nil || !strings.Contains(err.Error(), "volume-in-use") {
		t.Errorf("it is removed while it is read: %v", err)
	}
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
