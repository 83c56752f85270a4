package docker_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// killedAt runs a command and ends victim like a crash as soon as the command
// says a line with that word. The command itself may be the victim.
func (h *havre) killedAt(t *testing.T, victim, word string, args ...string) (said string, code int) {
	t.Helper()
	cmd := h.command(t.Context(), args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	var all strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		all.WriteString(lines.Text() + "\n")
		if killed || !strings.Contains(lines.Text(), word) {
			continue
		}
		killed = true
		pid := cmd.Process.Pid
		if victim != "client" {
			pid = h.pid(t, victim)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	_ = cmd.Wait() // the code tells
	if !killed {
		t.Errorf("%v never said %q, so %s lives:\n%s", args, word, victim, all.String())
	}
	return all.String(), cmd.ProcessState.ExitCode()
}

// Who ends in the middle of an import: guard and server come back, and it goes
// on by itself; after an end of its own the same command goes on, or undo goes
// back. What was written is there all the while.
func TestImportGoesOnWhoeverIsKilled(t *testing.T) {
	t.Parallel()
	h := alone(t)
	h.foreign(t, "tough:1")
	h.world.Docker(t, "run", "-d", "--name", "tough", "--restart", "always", "-p", "18065:8080", "-v", "tough-data:/data", "tough:1")
	h.removeLater(t, "tough")
	was := h.world.Docker(t, "inspect", "-f", "{{.HostConfig.RestartPolicy}} {{.State.Running}}", "tough")
	lines := []string{"begun"}
	h.note(t, 18065, "begun")
	take := []string{"import", "container", "tough", "--data", h.data, "--yes"}
	undo := []string{"import", "undo", "tough", "--data", h.data}
	for _, round := range []struct{ victim, coming, going string }{
		{"guard", "taking over the data", "starting tough"},
		{"server", "starting tough", "removing tough"},
		{"client", "stopping tough", "giving back"},
	} {
		for _, do := range []struct {
			word string
			args []string
		}{{round.coming, take}, {round.going, undo}} {
			what := fmt.Sprintf("%s killed when %v says %q", round.victim, do.args[:2], do.word)
			said, code := h.killedAt(t, round.victim, do.word, do.args...)
			if round.victim != "client" && code != 0 {
				t.Fatalf("%s: it ends with %d:\n%s%s", what, code, said, h.logs())
			}
			if round.victim == "client" {
				has(t, what, h.must(t, "import", "ls", "--data", h.data), "tough")
				h.must(t, do.args...)
			}
			h.notes(t, 18065, strings.Join(lines, "\n"))
			h.note(t, 18065, what)
			lines = append(lines, what)
		}
		if now := h.world.Docker(t, "inspect", "-f", "{{.HostConfig.RestartPolicy}} {{.State.Running}}", "tough"); now != was {
			t.Errorf("%s killed: it was %q and came back %q", round.victim, was, now)
		}
	}
	h.killedAt(t, "client", "taking over the data", take...)
	h.must(t, undo...) // halfway, and back
	h.notes(t, 18065, strings.Join(lines, "\n"))
	h.must(t, take...)
	if _, code := h.killedAt(t, "guard", "removing the old", "import", "confirm", "tough", "--data", h.data); code != 0 {
		t.Errorf("confirm: exit code %d", code)
	}
	h.notes(t, 18065, strings.Join(lines, "\n"))
	if left := h.world.Docker(t, "ps", "-aq", "--filter", "name=^tough$") + h.world.Docker(t, "volume", "ls", "-q", "--filter", "name=tough-data"); left != "" {
		t.Errorf("left of the old one: %s", left)
	}
}

// A directory of the machine is moved with all that is in it: in one step on
// its own file system, as a compared copy from another.
func TestDirectoriesOfTheMachineAreTakenAndGivenBack(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.foreign(t, "bound:1")
	small(t, filepath.Join(h.world.Dir, "elsewhere"), 8)
	near, far := filepath.Join(h.world.Dir, "near/site"), filepath.Join(h.world.Dir, "elsewhere/site")
	for _, dir := range []string{near, far} {
		h.write(t, dir+"/note", "begun\n")
		h.write(t, dir+"/sub/mine", "byte for byte\x00\n")
		if err := os.Symlink("../note", dir+"/sub/link"); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir+"/sub/mine", 0o640); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir+"/sub/mine", 1234, 4321); err != nil {
			t.Fatal(err)
		}
	}
	h.world.Docker(t, "run", "-d", "--name", "bound", "-p", "18066:8080", "-v", near+":/near", "-v", far+":/data", "bound:1")
	t.Cleanup(func() { _, _ = h.world.Ask(context.Background(), "rm", "-f", "-v", "bound") })
	h.removeLater(t, "bound")
	whole := func(dir string) os.FileInfo {
		t.Helper()
		info := fileAt(t, dir+"/sub/mine")
		its := info.Sys().(*syscall.Stat_t)
		text, err := os.ReadFile(dir + "/sub/mine")
		target, err2 := os.Readlink(dir + "/sub/link")
		if err != nil || err2 != nil || string(text) != "byte for byte\x00\n" || target != "../note" || info.Mode().Perm() != 0o640 || its.Uid != 1234 || its.Gid != 4321 {
			t.Errorf("%s: %q, %s, %v, %d:%d (%v, %v)", dir, text, target, info.Mode(), its.Uid, its.Gid, err, err2)
		}
		return info
	}
	stays, moves := whole(near), whole(far)

	r := h.run(t, "import", "container", "bound", "--data", h.data, "--plan-only")
	has(t, "plan without --take-binds", r.out, "with --take-binds")
	has(t, "import", h.must(t, "import", "container", "bound", "--data", h.data, "--take-binds", "--yes"), near+" becomes", far+" becomes", "bound: healthy")
	h.notes(t, 18066, "begun")
	for _, dir := range []string{near, far} {
		if err := unix.Access(dir, unix.F_OK); err != unix.ENOENT {
			t.Errorf("%s is still there: %v", dir, err)
		}
	}
	volume := func(of string) string {
		return filepath.Join(h.data, "volume/prod/*", strings.ReplaceAll(strings.Trim(of, "/"), "/", "-"))
	}
	dirs, err := filepath.Glob(volume(near))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("%v, %v", dirs, err)
	}
	if now := whole(dirs[0]); !os.SameFile(stays, now) {
		t.Error("what could be renamed was copied")
	}
	if dirs, err = filepath.Glob(volume(far)); err != nil || len(dirs) != 1 {
		t.Fatalf("%v, %v", dirs, err)
	}
	if now := whole(dirs[0]); os.SameFile(moves, now) {
		t.Error("what is on another file system was not copied")
	}
	h.note(t, 18066, "later")
	h.must(t, "import", "undo", "bound", "--data", h.data)
	h.notes(t, 18066, "begun\nlater")
	whole(near)
	whole(far)
}
