package role_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/role"
)

// printing is what the roles of these tests print before they are ready.
func printing(name string) {
	switch name {
	case "vandal": // was broken into, and would take back what it printed
		fmt.Println("the break-in")
		for _, fd := range []int{1, 2} {
			_ = unix.Ftruncate(fd, 0) // each may be refused
			_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFL, 0)
			_, _ = unix.Pwrite(fd, []byte("nothing at all"), 0)
			_, _ = unix.Seek(fd, 0, 0)
		}
	case "talker": // more than a pipe holds
		fmt.Println("first words")
		log := role.Logger("talker")
		for range 40_000 {
			log.Info("so much to say that no pipe takes it all, and nobody listens")
		}
		os.Exit(0)
	}
}

// unprivileged is a role of a user without rights, which is gone when the test is.
func unprivileged(t *testing.T, l role.Layout, name string) role.Process {
	t.Helper()
	p, err := role.StartAs(l, name, "nobody", self(t))
	must(t, err)
	t.Cleanup(func() {
		_ = syscall.Kill(p.Pid(), syscall.SIGKILL) // it may have ended
		<-p.Done()
	})
	return p
}

func keepLog(t *testing.T, l role.Layout, name string) (end func()) {
	t.Helper()
	end, err := l.KeepLog(name)
	must(t, err)
	end = sync.OnceFunc(end)
	t.Cleanup(end)
	return end
}

func logged(t *testing.T, l role.Layout, name, words string) {
	t.Helper()
	eventually(t, "the log to have "+words, func() bool { return strings.Contains(logOf(t, l, name), words) })
}

func logOf(t *testing.T, l role.Layout, name string) string {
	t.Helper()
	text, err := os.ReadFile(l.Log(name))
	if !os.IsNotExist(err) {
		must(t, err)
	}
	return string(text)
}

// Who breaks into the server finds its log in its hands, and what it says of
// the break-in.
func TestLogIsNotTheServersToTakeBack(t *testing.T) {
	l, root := rooted(t)
	if !root {
		return
	}
	must(t, os.WriteFile(l.Log("vandal"), []byte("what was before\n"), 0o600))
	keepLog(t, l, "vandal")
	unprivileged(t, l, "vandal")
	logged(t, l, "vandal", "ready")
	if text := logOf(t, l, "vandal"); !strings.HasPrefix(text, "what was before\nthe break-in\n") {
		t.Errorf("the log is %q", text)
	}
}

// A supervisor that is killed takes no line with it, and the next one reads on.
func TestLinesWaitForTheNextSupervisor(t *testing.T) {
	l, root := rooted(t)
	if !root {
		return
	}
	p := unprivileged(t, l, "server")
	eventually(t, "it to run", func() bool { return l.Running("server") == p.Pid() })
	end := keepLog(t, l, "server")
	logged(t, l, "server", "ready")
	end()
	before := logOf(t, l, "server")
	pipe, err := os.OpenFile(l.LogPipe("server"), os.O_WRONLY, 0) // as the role has it
	must(t, err)
	_, err = pipe.WriteString("while nobody was there\n")
	must(t, err, pipe.Close())
	if now := logOf(t, l, "server"); now != before {
		t.Errorf("somebody reads: %q", now)
	}
	keepLog(t, l, "server")
	logged(t, l, "server", "while nobody was there\n")
	if text := logOf(t, l, "server"); strings.Count(text, "ready") != 1 {
		t.Errorf("the log is %q", text)
	}
}

// What is in a pipe when the supervisor is told to stop is written first.
func TestWhatIsInAPipeIsWrittenAtTheEnd(t *testing.T) {
	l, root := rooted(t)
	if !root {
		return
	}
	keepLog(t, l, "server")() // makes the pipe
	pipe, err := os.OpenFile(l.LogPipe("server"), os.O_RDWR, 0)
	must(t, err)
	defer pipe.Close()
	text := strings.Repeat("a line of sixteen\n", 3_000) // fits a pipe of any size
	_, err = pipe.WriteString(text)
	must(t, err)
	end, err := l.KeepLog("server")
	must(t, err)
	end()
	if got := logOf(t, l, "server"); got != text {
		t.Errorf("%d bytes of %d are in the log", len(got), len(text))
	}
}

// As long as there is no supervisor lines may be lost, and nothing waits.
func TestFullPipeHoldsNobodyUp(t *testing.T) {
	l, root := rooted(t)
	if !root {
		return
	}
	p := unprivileged(t, l, "talker")
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("a role waits for somebody to read its log")
	}
}

func TestPipeIsAPipe(t *testing.T) {
	l, root := rooted(t)
	if !root {
		return
	}
	must(t, os.WriteFile(l.LogPipe("server"), nil, 0o600))
	if _, err := l.KeepLog("server"); err == nil || !strings.Contains(err.Error(), "is not a pipe") {
		t.Errorf("a file in its place: %v", err)
	}
}
