package main

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

// socketLine is a line of the kernel's table.
func socketLine(state, inode string) string {
	return head + "   0: 0200570A:8CA2 0300570A:0019 " + state + " 00000000:00000000 00:00000000 00000000 65534        0 " + inode + " 1 0000000000000000 20 4 30 10 -1\n"
}

func TestWhatCountsAsAConnection(t *testing.T) {
	for _, c := range []struct {
		what, table string
		counts      bool
	}{
		{"none", head, false},
		{"one that stands", socketLine("01", "4711"), true},
		{"one that is being made", socketLine("02", "4711"), true},
		{"one with something left to send, that nobody holds", socketLine("04", "0"), true},
		{"one that waits for the other's end", socketLine("05", "4711"), true},
		{"the same, and nobody holds it", socketLine("05", "0"), false},
		{"one that is over", socketLine("06", "0"), false},
		{"the name service's UDP socket", socketLine("07", "4711"), false},
		{"one that the other end closed", socketLine("08", "4711"), true},
		{"the name service's listener", socketLine("0A", "4711"), false},
		{"another table than this", "x\n", true},
	} {
		if got := connectedIn(bufio.NewScanner(strings.NewReader(c.table))); got != c.counts {
			t.Errorf("%s: %v; want %v", c.what, got, c.counts)
		}
	}
}

func TestDrainEndsWithTheLastConnectionAndNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		drain(t.Context(), func() bool { return time.Since(began) < 90*time.Minute })
		if took := time.Since(began); took != 90*time.Minute {
			t.Errorf("it ended after %s", took)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		drain(ctx, func() bool { return true }) // told to stop, it does
	})
}

func stands(t *testing.T, path, self string) *stand {
	t.Helper()
	s, err := takeOver(path, self)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestReplacedPortalDoesNotTakeTheNameBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old := stands(t, path, "old")
	if old.lost() {
		t.Error("lost at once")
	}
	young := stands(t, path, "new")
	if !old.lost() || young.lost() {
		t.Errorf("lost: the old %v, the new %v", old.lost(), young.lost())
	}
	old.Close() // as a crash does
	if _, err := takeOver(path, "old"); !errors.Is(err, errReplaced) {
		t.Errorf("started again, the old one got %v", err)
	}
	young.Close()
	if again := stands(t, path, "new"); again.lost() {
		t.Error("started again, the new one did not get the name")
	}
	if c, err := net.Dial("unix", path); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
}

func TestMarksOfThoseThatAreGoneAreTakenAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	killed, drains := stands(t, path, "killed"), stands(t, path, "drains")
	killed.Close()
	last := stands(t, path, "last")
	drains.leave()
	left, _ := filepath.Glob(path + ".*")
	if len(left) != 1 || left[0] != last.mark {
		t.Errorf("marks = %v", left)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestPortalThatIsToldToStopComesBackAndAReplacedOneDoesNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	s := stands(t, path, "a")
	if err := newPortal("").hold(ctx, s); !errors.Is(err, errStopped) {
		t.Errorf("told to stop: %v", err)
	}
	old := stands(t, path, "b")
	stands(t, path, "c")
	if err := newPortal("").hold(ctx, old); err != nil {
		t.Errorf("replaced and told to stop: %v", err)
	}
}
