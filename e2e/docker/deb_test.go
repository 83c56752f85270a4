package docker_test

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/lab"
)

func TestDebianPackages(t *testing.T) {
	lab.Need(t, "docker")
	out := t.TempDir()
	tool(t, "../../script/deb.sh", out)
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		found, err := filepath.Glob(filepath.Join(out, "havre_*_"+arch+".deb"))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: found %v (%v)", arch, found, err)
		}
		has(t, "the control file", tool(t, "dpkg-deb", "-I", found[0]),
			"Package: havre", "Architecture: "+arch, "Recommends: docker.io", "mmdebstrap", "postinst", "prerm", "postrm")
		has(t, "the contents", tool(t, "dpkg-deb", "-c", found[0]),
			"-rwxr-xr-x root/root", "./usr/bin/havre", "./lib/systemd/system/havre.service", "./usr/share/doc/havre/copyright")
		root := t.TempDir()
		tool(t, "dpkg-deb", "-x", found[0], root)
		isFor(t, filepath.Join(root, "usr/bin/havre"), machine)
	}
	found, err := filepath.Glob(filepath.Join(out, "havre_*_amd64.deb"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	installs(t, found[0])
}

// isFor wants a static program for a machine, with a portal for the same in it.
func isFor(t *testing.T, file string, machine elf.Machine) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	programs := 0
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte("\x7fELF\x02\x01\x01"))
		if i < 0 {
			break
		}
		at += i + 1
		f, err := elf.NewFile(bytes.NewReader(text[at-1:]))
		if err != nil || len(f.Progs) == 0 {
			continue // these bytes stand in programs that read programs, too
		}
		programs++
		if f.Machine != machine {
			t.Errorf("%s holds a program for %s, not %s", file, f.Machine, machine)
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				t.Errorf("%s is not static", file)
			}
		}
	}
	if programs != 2 {
		t.Errorf("%s holds %d programs, and should be one with the portal in it", file, programs)
	}
}

// installs has dpkg install the package into a directory, and remove it again.
func installs(t *testing.T, deb string) {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"var/lib/dpkg/updates", "var/lib/dpkg/info", "var/lib/dpkg/triggers", "var/lib/havre"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"status", "available"} {
		if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg", file), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dpkg := func(args ...string) string {
		t.Helper()
		return tool(t, "dpkg", append([]string{"--root=" + root, "--force-script-chrootless", "--force-depends", "--log=/dev/null"}, args...)...)
	}
	link := filepath.Join(root, "etc/systemd/system/multi-user.target.wants/havre.service")

	dpkg("-i", deb)
	if to, err := os.Readlink(link); err != nil || !strings.HasSuffix(to, "/lib/systemd/system/havre.service") {
		t.Errorf("the unit is not enabled: %s, %v", to, err)
	}
	unit, err := os.ReadFile(filepath.Join(root, "lib/systemd/system/havre.service"))
	if err != nil {
		t.Fatal(err)
	}
	has(t, "the unit", string(unit), "ExecStart=/usr/bin/havre up --data /var/lib/havre\n")
	program := filepath.Join(root, "usr/bin/havre")
	file := filepath.Join(t.TempDir(), "havre.service")
	if err := os.WriteFile(file, []byte(strings.Replace(string(unit), "/usr/bin/havre", program, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	verify(t, file)
	has(t, "the installed program", tool(t, program, "version", "--help"), "havre version")

	dpkg("-i", deb) // an upgrade to the same
	dpkg("--remove", "havre")
	if _, err := os.Stat(program); err == nil {
		t.Error("the program is still there")
	}
	said := dpkg("--purge", "havre")
	if _, err := os.Lstat(link); err == nil {
		t.Errorf("the unit is still enabled:\n%s", said)
	}
	if _, err := os.Stat(filepath.Join(root, "var/lib/havre")); err != nil {
		t.Errorf("the data are gone: %v", err)
	}
}

func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
