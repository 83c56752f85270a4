package script_test

import (
	"path/filepath"
	"testing"

	"havre/internal/guard/guardtest"
)

// The attacks of a server that was broken into, on a guard before an engine
// that is a map. e2e/guard repeats them on a real one.
func TestGuardWithstandsAHostileServer(t *testing.T) {
	scripts, err := filepath.Glob("guard_*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no attacks: %v", err)
	}
	guardtest.Run(t, guardtest.Fake, scripts...)
}
