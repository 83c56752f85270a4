package lab_test

import (
	"testing"

	"havre/internal/lab"
)

// listener is a test that hears from Need alone.
type listener struct {
	testing.TB
	failed, skipped bool
}

func (l *listener) Helper()               {}
func (l *listener) Fatalf(string, ...any) { l.failed = true }
func (l *listener) Skipf(string, ...any)  { l.skipped = true }

func TestWhatIsNeededFailsWhereItIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // there is no browser in it
	for need, must := range map[string]bool{"": false, "docker": false, "browser": true, "docker,browser": true} {
		t.Setenv("HAVRE_NEED", need)
		l := &listener{TB: t}
		if lab.Need(l, "browser"); l.failed != must || l.skipped == must {
			t.Errorf("where %q must run, a test for browsers failed: %v, skipped: %v", need, l.failed, l.skipped)
		}
	}
}
