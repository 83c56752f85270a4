// Package guard is the only one that opens the Docker socket. It hands out a
// closed list of calls on a socket of its own: each is parsed into a typed
// value, judged by policy within bounds that no API changes, written afresh
// to the engine, and recorded. What nobody thought of is refused.
package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"havre/internal/audit"
	"havre/internal/dockercall"
	"havre/internal/imagepath"
	"havre/internal/policy"
)

// Settings are everything that can differ between two guards.
type Settings struct {
	Dir         string // the guard's own directory: bounds, instance, audit, spool
	Socket      string // where it listens
	SocketGroup int    // the group that may connect; who of them is judged is for the bounds to say
	Engine      string // the engine's socket; default /var/run/docker.sock
	Owner       uint32 // who must own Dir and all above the volumes; default 0, root

	// PortalUser is as whom portals run, who shall be nobody else on the
	// machine: it has the directory that a portal shares with the ingress.
	PortalUser uint32

	// PortalImage gives the portal's image as docker save writes it, and the
	// image's id. Default: there is no portal.
	PortalImage func() (io.Reader, string, error)

	Patience    time.Duration // how long a body may pause; default 30 s
	Connections int           // most of one user at a time; default 1024

	NoFirewall bool         // leave packet filters alone, where there is nothing to protect: tests
	NoRemount  bool         // leave the volumes' mount flags alone: tests without the right to mount
	Log        *slog.Logger // default: discard
}

// Guard answers calls for the engine.
type Guard struct {
	set      Settings
	bounds   Bounds
	judge    policy.Bounds
	instance string
	engine   *engine
	audit    *audit.Log
	log      *slog.Logger

	mu     sync.Mutex // guards what follows
	portal dockercall.ImageID
	pulls  map[string]chan struct{} // by what is being pulled; closed at its end
	looked map[looked]imagepath.Entry

	filtering sync.Mutex // one change of the packet filters at a time; guards what follows
	ports     []uint16   // of Havre's own, which containers must not reach; nil until the first look
	open      bool       // a purge has taken the rules away

	volumes    sync.Mutex // one change of the volumes' directory at a time
	swarming   sync.Mutex // one making of a swarm at a time
	networking sync.Mutex // held from the look at the engine's subnets until a new network has its own
}

// New checks settings, bounds and directories; it starts nothing.
//
// Errors: Denied when the bounds or a directory could be changed by others.
func New(set Settings) (*Guard, error) {
	if set.Engine == "" {
		set.Engine = "/var/run/docker.sock"
	}
	if set.Patience == 0 {
		set.Patience = 30 * time.Second
	}
	if set.Connections == 0 {
		set.Connections = 1024
	}
	if set.Log == nil {
		set.Log = slog.New(slog.DiscardHandler)
	}
	if set.Dir == "" || set.Socket == "" {
		return nil, errors.New("guard: a directory and a socket are needed")
	}
	bounds, err := readBounds(set.Dir, set.Owner)
	if err != nil {
		return nil, fmt.Errorf("read the guard's bounds: %w", err)
	}
	instance, err := readInstance(set.Dir)
	if err != nil {
		return nil, fmt.Errorf("read the instance's id: %w", err)
	}
	judge := bounds.policy()
	if !set.NoRemount {
		judge.ReadOnly = bounds.readOnly()
	}
	judge.PortalUser = set.PortalUser
	return &Guard{
		set: set, bounds: bounds, judge: judge, instance: instance,
		engine: newEngine(set.Engine), log: set.Log, pulls: map[string]chan struct{}{}, looked: map[looked]imagepath.Entry{},
	}, nil
}

// Instance is this Havre's id, as it stands in labels.
func (g *Guard) Instance() string { return g.instance }

// Run answers calls until ctx is done. It may be called once.
func (g *Guard) Run(ctx context.Context) error {
	if err := g.prepare(); err != nil {
		return err
	}
	defer g.audit.Close()
	socket, err := listen(g.set.Socket, g.set.SocketGroup)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", g.set.Socket, err)
	}
	listener := &crowd{UnixListener: socket, most: g.set.Connections, log: g.log, held: map[uint32]int{}}
	ctx, stop := context.WithCancel(ctx)
	server := &http.Server{
		Handler:           g,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    80 << 10,
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withPeer,
		// net/http would answer "OPTIONS *" by itself, unseen.
		DisableGeneralOptionsHandler: true,
	}
	g.mendFirewall(ctx) // before anybody has a container started
	var rest sync.WaitGroup
	rest.Go(func() { g.keepFirewall(ctx) })
	rest.Go(func() { g.sweep(ctx) })
	rest.Go(func() { g.renew(ctx) })
	rest.Go(func() {
		<-ctx.Done()
		server.Close()
	})
	err = server.Serve(listener)
	stop()
	rest.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// prepare makes what the guard needs on disk.
func (g *Guard) prepare() error {
	for _, dir := range []string{g.spool(), g.bounds.volumes()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(g.bounds.portals(), 0o711); err != nil {
		return err
	}
	if err := emptied(g.spool()); err != nil {
		return err
	}
	if err := guarded(g.bounds.volumes(), g.set.Owner); err != nil {
		return err
	}
	if !g.set.NoRemount {
		if err := g.mountVolumes(); err != nil {
			return err
		}
	}
	if err := g.clearStaging(); err != nil {
		return err
	}
	log, err := audit.Open(g.set.Dir, g.log)
	g.audit = log
	return err
}

// clearStaging removes the halves of volumes that a killed guard left.
func (g *Guard) clearStaging() error {
	root, err := os.OpenRoot(g.bounds.volumes())
	if err != nil {
		return err
	}
	defer root.Close()
	return errors.Join(root.RemoveAll(".staging"), root.Mkdir(".staging", 0o700))
}

func (g *Guard) spool() string { return filepath.Join(g.set.Dir, "spool") }

// emptied removes what a killed guard left.
func emptied(dir string) error {
	left, err := os.ReadDir(dir)
	for _, e := range left {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return err
}
