// Package ingress brings traffic to services: TCP ports, and HTTP and HTTPS by
// host name. It follows a route.Table that it keeps on disk, so it serves on
// without the server, and it reaches containers only through the portals of
// their environments, by id and address together, never by address alone.
package ingress

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"havre/internal/problem"
	"havre/internal/route"
	"havre/internal/spec"
)

// Dial connects to a container inside its environment. The connection is the
// kernel's own, a *net.TCPConn for spec.TCP and a connected *net.UDPConn for spec.UDP: bytes must flow without us.
type Dial func(context.Context, spec.Protocol, route.Target) (net.Conn, error)

// Ask is what Dial is for TCP, but gives the descriptor itself, which need not
// be known to the runtime, and nobody waits. What is given hears once, may be
// before Ask returns, at the latest when the context ends. It does not wait,
// and the descriptor is its own to close.
type Ask func(context.Context, route.Target, func(socket int, err error))

// Settings are everything that can differ between two ingresses.
type Settings struct {
	TableFile     string // where the table is kept; needed
	ControlSocket string // where tables are put and the status is asked for; needed
	ControlGroup  int    // the group that may use it; 0 leaves it with the process's own
	Dial          Dial   // how containers are reached; needed
	Ask           Ask    // how TCP ports reach them faster; default: by Dial

	Bind       netip.Addr                  // the address for ports that are not for localhost alone; default: all
	Local      []netip.Prefix              // what private access lets in; default: LocalNetworks()
	Engine     []netip.Prefix              // containers' networks beside those of the engine's interfaces: never private
	Interfaces func() ([]Interface, error) // default: the machine's
	MaxConns   int                         // open at once by each port; default 10000
	Retry      time.Duration               // between two tries to listen where it did not work; default 2s
	Trusted    []netip.Prefix              // proxies whose X-Forwarded headers, or Forwarded, count; default: none
	Proxies    []netip.Prefix              // proxies that begin each connection with the PROXY protocol's version 2; default: none
	HeaderTime time.Duration               // in which a client must say what it wants; default 10s
	BodyIdle   time.Duration               // how long a client may pause in a body, either way; default 2m
	Recorder   Recorder                    // hears of requests and connections; default: nobody does
	Access     http.Handler                // answers GET /access on the control socket; default: nobody does
	Hold       time.Duration               // how long a connection waits for a container; default not at all
	UDPIdle    time.Duration               // how long a UDP flow may be silent before it ends; default 60s
	Drain      time.Duration               // how long who is inside may stay after another ingress took over; default 2m
	Log        *slog.Logger                // default: discard
}

// Ingress is one; New makes it, Run runs it.
type Ingress struct{ set Settings }

// New checks the settings.
// Errors: Invalid.
func New(set Settings) (*Ingress, error) {
	for what, path := range map[string]string{"table file": set.TableFile, "control socket": set.ControlSocket} {
		if !filepath.IsAbs(path) {
			return nil, problem.New(problem.Invalid, "the ingress's %s %q is not an absolute path", what, path)
		}
	}
	if set.Dial == nil {
		return nil, problem.New(problem.Invalid, "the ingress has no way to reach containers")
	}
	if set.MaxConns < 0 || set.Retry < 0 || set.Hold < 0 || set.UDPIdle < 0 || set.Drain < 0 || set.BodyIdle < 0 || set.HeaderTime < 0 || set.ControlGroup < 0 {
		return nil, problem.New(problem.Invalid, "a limit of the ingress is below zero")
	}
	if set.Local == nil {
		set.Local = LocalNetworks()
	}
	if set.Interfaces == nil {
		set.Interfaces = Machine
	}
	if set.MaxConns == 0 {
		set.MaxConns = 10_000
	}
	if set.Drain == 0 {
		set.Drain = 2 * time.Minute
	}
	if set.UDPIdle == 0 {
		set.UDPIdle = time.Minute
	}
	if set.Retry == 0 {
		set.Retry = 2 * time.Second
	}
	if set.HeaderTime == 0 {
		set.HeaderTime = headerTime
	}
	if set.BodyIdle == 0 {
		set.BodyIdle = 2 * time.Minute
	}
	if set.Recorder == nil {
		set.Recorder = unheard{}
	}
	if set.Log == nil {
		set.Log = slog.New(slog.DiscardHandler)
	}
	set.Bind = set.Bind.Unmap()
	return &Ingress{set}, nil
}

// Run serves the kept table at once, and answers on the control socket until
// parent is done; then it closes everything and returns nil. The control socket
// answers only after the kept table is served. When another ingress runs, it
// takes over from that one without refusing or cutting anybody; when another
// one takes over from it, it returns nil after who is inside has left, or after
// Settings.Drain.
// Errors: Conflict when another ingress answers on the control socket.
func (i *Ingress) Run(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	f := newFront(ctx, i.set)
	stop := f.serveHTTP(cancel)
	defer stop()
	defer func() { cancel(nil); f.close() }()

	var err error
	if f.legacy, err = inherit(HeirSocket(i.set.ControlSocket)); err != nil {
		return err
	}
	control, err := listenControl(i.set.ControlSocket, i.set.ControlGroup, f.legacy != nil)
	if err != nil {
		return err
	}
	f.load()
	stopControl := sync.OnceFunc(f.serveControl(control, cancel))
	defer stopControl()
	stopHeirs, err := f.serveHeirs()
	if err != nil {
		return err
	}
	defer stopHeirs()
	f.succeed()

	f.retry(ctx)
	if f.replaced() {
		stopControl()
		f.drain(ctx)
		cancel(nil)
		return nil
	}
	f.legacy.ask(askEnd, time.Second)
	if parent.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}
