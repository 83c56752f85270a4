package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tools are the programs a world is made with.
var tools = []string{"dockerd", "docker", "ip", "iptables", "nsenter", "unshare", "mount"}

// Need skips the test where what it needs is not to be had, and in the quick
// loop (-short). It fails the test instead where HAVRE_NEED (words with commas
// between them) says that it must run. The words are docker, swarm and browser.
func Need(t testing.TB, what string) {
	t.Helper()
	missing := lacking(what)
	switch must := slices.Contains(strings.Split(os.Getenv("HAVRE_NEED"), ","), what); {
	case missing == "" && (must || !testing.Short()):
	case must:
		t.Fatalf("needs %s, as HAVRE_NEED says: %s", what, missing)
	case missing == "":
		t.Skipf("needs %s, which is for: make docker-test", what)
	default:
		t.Skipf("needs %s: %s", what, missing)
	}
}

// lacking says what this machine lacks, and the remedy; nothing when it lacks
// nothing.
func lacking(what string) string {
	if what == "browser" {
		if _, err := exec.LookPath("chromium"); err != nil {
			return "there is no chromium; get it with: script/setup.sh test"
		}
		return ""
	}
	if os.Geteuid() != 0 {
		return "only root can make network namespaces; run the test as root"
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Sprintf("there is no %s; get it with: script/setup.sh engine", tool)
		}
	}
	return ""
}

// Eventually asks until ask succeeds, and says what it waited for when it
// gives up after a minute. It only asks: a change is made once, outside it.
func Eventually(t testing.TB, what string, ask func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := until(ctx, 100*time.Millisecond, ask); err != nil {
		t.Fatalf("waited in vain for %s: %v", what, err)
	}
}

// until asks again and again until ask succeeds or ctx is done, and gives its
// last answer.
func until(ctx context.Context, pause time.Duration, ask func(context.Context) error) error {
	var last error
	for ctx.Err() == nil {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // that time ran out says less than what came before
			last = err
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	if last == nil {
		last = ctx.Err()
	}
	return last
}

// Shared is one world for all tests of a package, made when the first asks for
// it. The zero value is ready.
type Shared struct {
	once  sync.Once
	world *World
	err   error
}

// World returns the world. It skips or fails as Need does.
func (s *Shared) World(t testing.TB) *World {
	t.Helper()
	Need(t, "docker")
	s.once.Do(func() { s.world, s.err = open(context.WithoutCancel(t.Context())) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	t.Cleanup(func() { s.world.report(t) })
	return s.world
}

// Main runs the package's tests, removes the world, and returns the exit code.
func (s *Shared) Main(m *testing.M) int {
	code := m.Run()
	if s.world == nil {
		return code
	}
	if err := s.world.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}
