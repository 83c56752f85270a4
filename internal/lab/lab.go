// Package lab makes worlds for tests: a Docker Engine of the test's own, in a
// network namespace of its own, with its own data, that the test may break.
//
// A test that breaks its engine takes one for itself:
//
//	w := lab.Engine(t)
//
// Tests that only use an engine share one per package:
//
//	var shared lab.Shared
//
//	func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }
//	func TestSomething(t *testing.T) { w := shared.World(t); … }
//
// Whatever a killed test run left behind is removed by the next one, see Sweep.
package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// root holds a directory per world. Only root can write above it, as above a
// real data directory.
const root = "/var/lib/havre-lab"

// World is a machine as Havre sees one: an engine, a network, a disk.
// Its methods may be called by several tests at once, except those that stop
// or start the engine.
type World struct {
	Dir     string     // for the test's own files; mounts made below it are seen by the engine; 0711
	Socket  string     // the engine's API
	Netns   string     // path of the network namespace
	Address netip.Addr // of the world, as seen from the host
	Gateway netip.Addr // of the host, as seen from the world

	id     string
	net    network
	spaces []*os.File // mount and UTS namespace, kept alive between two engines
	relay  *relay
	engine *engine
	app    func() (string, error)
}

// Engine makes a world with a running engine that ends with the test. It skips
// or fails as Need does.
func Engine(t testing.TB) *World {
	t.Helper()
	Need(t, "docker")
	w, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.report(t)
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// open makes a world. Close ends it.
func open(ctx context.Context) (*World, error) {
	w, err := found()
	if err == nil {
		err = w.boot()
	}
	if err == nil {
		err = w.start(ctx)
	}
	if err == nil {
		return w, nil
	}
	err = fmt.Errorf("make a world: %w", err)
	if w != nil {
		err = errors.Join(err, w.Close())
	}
	return nil, err
}

// found takes a name and a subnet that nobody else has, and makes what a
// reboot leaves alone. With an error it may return a world to be closed.
func found() (*World, error) {
	if err := os.MkdirAll(root, 0o711); err != nil {
		return nil, err
	}
	unlock, err := lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := sweep(); err != nil {
		fmt.Fprintln(os.Stderr, err) // a pity, but no obstacle
	}
	dir, err := os.MkdirTemp(root, "") // ten digits at most, so that an interface can have the name
	if err != nil {
		return nil, err
	}
	id := filepath.Base(dir)
	w := &World{Dir: dir, Socket: filepath.Join(dir, "docker.sock"), Netns: "/run/netns/" + name(id), id: id}
	w.app = sync.OnceValues(w.buildApp)
	if err := errors.Join(os.Chmod(dir, 0o711), writeOwner(dir), share(dir)); err != nil {
		return w, err
	}
	if w.net, err = newNetwork(id); err != nil {
		return w, err
	}
	w.Address, w.Gateway = w.net.inside, w.net.outside
	return w, w.net.up()
}

// Close ends every process of the world and removes all of it. It may be
// called twice.
func (w *World) Close() error {
	w.relay.close()
	w.release()
	return remove(w.id)
}

// remove takes a world away, of which nothing but its name need be known.
// The directory goes last: it is what Sweep finds.
func remove(id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	dir := filepath.Join(root, id)
	if err := errors.Join(endAll(ctx, id), removeNetwork(id), removeCgroups(id), unmountBelow(dir, true)); err != nil {
		return fmt.Errorf("remove world %s: %w", id, err)
	}
	return os.RemoveAll(dir)
}

// name is what everything of a world is called outside of its directory.
func name(id string) string { return "hl" + id }
