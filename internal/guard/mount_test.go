package guard_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"havre/internal/guard"
	"havre/internal/problem"
)

// Whoever can change a directory above the volumes could put a link in their
// place between a judgement and the engine's mount.
func TestVolumesThatOthersCouldSwapAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		make    func(above string) error
		refused bool
	}{
		"the owner's": {func(above string) error { return os.Mkdir(above, 0o755) }, false},
		"for all, and sticky": {func(above string) error {
			return errors.Join(os.Mkdir(above, 0o700), os.Chmod(above, 0o777|os.ModeSticky))
		}, false},
		"for all to write":     {func(above string) error { return errors.Join(os.Mkdir(above, 0o700), os.Chmod(above, 0o757)) }, true},
		"for a group to write": {func(above string) error { return errors.Join(os.Mkdir(above, 0o700), os.Chmod(above, 0o770)) }, true},
		"a link to the owner's": {func(above string) error {
			return errors.Join(os.Mkdir(above+"-real", 0o755), os.Symlink(above+"-real", above))
		}, true},
	} {
		dir := t.TempDir()
		if err := errors.Join(os.Chmod(dir, 0o700), c.make(dir+"/above")); err != nil {
			t.Fatal(err)
		}
		if err := guard.WriteBounds(dir+"/guard", guard.DefaultBounds(dir+"/above/data", 998, 997)); err != nil {
			t.Fatal(err)
		}
		g, err := guard.New(guard.Settings{
			Dir: dir + "/guard", Socket: dir + "/guard.sock", SocketGroup: os.Getgid(), Engine: dir + "/none", Owner: uint32(os.Getuid()),
			NoFirewall: true, NoRemount: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		over, end := context.WithCancel(t.Context())
		end() // a guard that starts ends at once
		if err := g.Run(over); (err != nil) != c.refused || err != nil && problem.KindOf(err) != problem.Denied {
			t.Errorf("%s: %v", name, err)
		}
	}
}
