package docker_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"havre/internal/lab"
)

// verify has systemd read a unit file, and wants no complaint.
func verify(t *testing.T, file string) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatalf("%v; get it with: script/setup.sh test", err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), "havre") { // it complains with exit code 0, too; other units are not ours
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

func TestProfilesAreWhatAppArmorUnderstands(t *testing.T) {
	lab.Need(t, "docker")
	if _, err := exec.LookPath("apparmor_parser"); err != nil {
		t.Fatalf("%v; get it with: script/setup.sh test", err)
	}
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{"/var/lib/havre", "/srv/a+b@c/x_1-2"} { // what a unit may name
		root := t.TempDir()
		file := filepath.Join(root, "etc/apparmor.d/havre")
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(bin, "install", "--root", root, "--data", data).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		names, err := exec.Command("apparmor_parser", "-N", file).CombinedOutput()
		if out, perr := exec.Command("apparmor_parser", "-Q", "-K", file).CombinedOutput(); perr != nil {
			t.Errorf("%s: %v: %s", data, perr, out)
		}
		for _, role := range []string{"server", "ingress"} {
			want := "havre-" + role + "." + strings.ReplaceAll(data[1:], "/", ".")
			if err != nil || !slices.Contains(strings.Fields(string(names)), want) {
				t.Errorf("the profiles are %s, %v; want %s", names, err, want)
			}
		}
	}
}

func TestUnitIsWhatSystemdUnderstands(t *testing.T) {
	lab.Need(t, "docker")
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if out, err := exec.Command(bin, "install", "--root", root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(root, "etc/systemd/system/havre.service"))
	if err != nil {
		t.Fatal(err)
	}
	// The program must exist where the unit says, which is not in a test's hands.
	file := filepath.Join(root, "havre.service")
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "/usr/local/bin/havre", bin, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	verify(t, file)
	for _, stays := range []string{"Requires=", "BindsTo=", "PartOf="} {
		if strings.Contains(string(text), stays+"docker") {
			t.Errorf("a restart of the engine would stop Havre: %s", text)
		}
	}
}

// What the unit takes away from Havre must not be needed: it starts, serves
// and is well with just the capabilities that are left.
func TestHavreLivesWithinItsUnit(t *testing.T) {
	w := lab.Engine(t)
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	h := &havre{world: w, bin: bin, data: filepath.Join(w.Dir, "havre"), home: filepath.Join(w.Dir, "home"), work: t.TempDir()}
	if err := os.MkdirAll(h.home, 0o700); err != nil {
		t.Fatal(err)
	}
	unit := h.must(t, "install", "--dry-run")
	set := regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`).FindStringSubmatch(unit)
	if set == nil || !strings.Contains(unit, "\nNoNewPrivileges=yes\n") {
		t.Fatalf("the unit keeps all rights:\n%s", unit)
	}
	keep := "-all"
	for _, c := range strings.Fields(set[1]) {
		keep += ",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
	}
	cmd := h.command(t.Context(), "up", "--detach", "--data", h.data, "--engine", w.Socket)
	cmd.Args = append([]string{cmd.Args[0], cmd.Args[1], "--", "setpriv", "--no-new-privs", "--bounding-set=" + keep, "--"}, cmd.Args[3:]...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s%s", err, out, h.logs())
	}
	status, err := os.ReadFile(filepath.Join("/proc", strings.Fields(h.read(t, "run/pid/guard"))[0], "status"))
	if err != nil {
		t.Fatal(err)
	}
	has(t, "the guard", string(status), "NoNewPrivs:\t1")
	h.recovers(t)
	h.buildApp(t)
	file := h.write(t, "one/compose.yml", "services: {web: {image: 'app:1', ports: ['127.0.0.1:8090:8080'], volumes: ['data:/data']}}\nvolumes: {data: {}}\n")
	h.must(t, "apply", "-f", file, "-p", "one", "--yes")
	h.must(t, "down", "--data", h.data)
	h.must(t, "up", "--detach", "--data", h.data)
	h.must(t, "down", "--purge", "--yes", "--data", h.data)
}

func (h *havre) read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.data, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
