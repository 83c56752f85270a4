package role

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"havre/internal/accesslog"
	"havre/internal/api"
	"havre/internal/ingress"
	"havre/internal/portal"
	"havre/internal/problem"
	"havre/internal/route"
	"havre/internal/spec"
)

// hold is how long a new connection waits for a container: the time in which
// one that writes may be replaced (promise 4 of the design).
const hold = 30 * time.Second

// IngressConfig is the ingress's configuration.
type IngressConfig struct {
	Bind    string        `json:"bind"`              // address for ports that are not for this machine alone; "" is all
	Local   []string      `json:"local"`             // networks that "private" lets in; none means the usual private ones
	Drain   spec.Duration `json:"drain,omitempty"`   // how long connections of an ingress that was replaced may stay; 0 is 2m
	UDPIdle spec.Duration `json:"udpIdle,omitempty"` // how long a UDP flow may be silent before it ends; 0 is 1m
	Pool    string        `json:"pool"`              // networks of projects, which are never private

	Log         form   `json:"log,omitempty"` // text or json
	Access      string `json:"access"`        // "on" keeps a log of who came to each service, "off" does not
	AccessBytes int    `json:"accessBytes"`   // a service's log takes at most twice as much

	Trusted []string `json:"trusted"` // networks of proxies whose X-Forwarded headers, or Forwarded, count
	Proxies []string `json:"proxies"` // networks of proxies that begin each connection with the PROXY protocol's version 2
}

func defaultIngress() *IngressConfig {
	return &IngressConfig{Pool: defaultPool, Access: "on", AccessBytes: 4 << 20}
}

// Validate reports all mistakes at once.
func (c *IngressConfig) Validate() problem.List {
	_, wrong := c.settings()
	return wrong
}

func (c *IngressConfig) settings() (ingress.Settings, problem.List) {
	var s ingress.Settings
	var wrong problem.List
	var err error
	if c.Bind != "" {
		if s.Bind, err = netip.ParseAddr(c.Bind); err != nil {
			wrong = append(wrong, problem.New(problem.Invalid, "bind: %q is not an address", c.Bind).With("write an IP address, or leave it out"))
		}
	}
	s.Local = networks("local", c.Local, &wrong)
	s.Trusted = networks("trusted", c.Trusted, &wrong)
	s.Proxies = networks("proxies", c.Proxies, &wrong)
	p, err := netip.ParsePrefix(c.Pool)
	if err != nil {
		wrong = append(wrong, problem.New(problem.Invalid, "pool: %q is not a network", c.Pool).With("write it as %s", defaultPool))
	}
	if c.UDPIdle < 0 {
		wrong = append(wrong, problem.New(problem.Invalid, "udpIdle: %s is below zero", c.UDPIdle.Std()).With("write it as 1m, or leave it out"))
	}
	if c.Drain < 0 {
		wrong = append(wrong, problem.New(problem.Invalid, "drain: %s is below zero", c.Drain.Std()).With("write it as 2m, or leave it out"))
	}
	s.Drain = c.Drain.Std()
	c.Log.check(&wrong)
	if c.Access != "on" && c.Access != "off" {
		wrong = append(wrong, problem.New(problem.Invalid, "access: %q is neither on nor off", c.Access).With("write on or off"))
	}
	if c.AccessBytes < 64<<10 {
		wrong = append(wrong, problem.New(problem.Invalid, "accessBytes: %d is too little", c.AccessBytes).With("write 65536 or more"))
	}
	s.UDPIdle = c.UDPIdle.Std()
	s.Engine = []netip.Prefix{p}
	return s, wrong
}

func networks(key string, words []string, wrong *problem.List) []netip.Prefix {
	var all []netip.Prefix
	for _, n := range words {
		p, err := netip.ParsePrefix(n)
		if err != nil {
			*wrong = append(*wrong, problem.New(problem.Invalid, "%s: %q is not a network", key, n).With("write it as 192.168.1.0/24"))
			continue
		}
		all = append(all, p.Masked())
	}
	return all
}

func runIngress(ctx context.Context, l Layout) error {
	c, err := Load(l, "ingress", defaultIngress())
	if err != nil {
		return err
	}
	s, _ := c.settings() // Load validated it
	s.TableFile, s.ControlSocket, s.Log = l.Table(), l.IngressSocket(), logger("ingress", c.Log)
	by := portals{dir: l.PortalDir()}
	s.Dial, s.Ask = by.dial, by.ask
	server, err := systemUser(ServerUser)
	if err != nil {
		return err
	}
	s.ControlGroup, s.Hold = server.gid, hold
	if c.Access == "on" {
		if err := os.Mkdir(l.AccessDir(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		book := accesslog.New(l.AccessDir(), int64(c.AccessBytes), s.Log)
		s.Recorder, s.Access = visitors{book}, book
		writing := make(chan struct{})
		life, end := context.WithCancel(context.Background()) // what came while it stops is written, too
		go func() { defer close(writing); _ = book.Run(life) }()
		defer func() { end(); <-writing }()
	}
	i, err := ingress.New(s)
	if err != nil {
		return err
	}
	return i.Run(ctx)
}

// portals reach containers in their environments: that of environment E
// listens on E/portal.sock below dir.
type portals struct {
	dir  string
	asks portal.Dialer
}

func (p *portals) dial(ctx context.Context, by spec.Protocol, t route.Target) (net.Conn, error) {
	if by != spec.TCP && by != spec.UDP {
		return nil, problem.New(problem.Invalid, "a portal does not connect by %s", by)
	}
	to := portal.Target{Container: t.Container, Address: t.Address, Port: t.Port, UDP: by == spec.UDP}
	c, err := p.asks.Dial(ctx, p.of(t), to)
	return c, elsewhere(err)
}

func (p *portals) ask(ctx context.Context, t route.Target, hears func(int, error)) {
	to := portal.Target{Container: t.Container, Address: t.Address, Port: t.Port}
	p.asks.Ask(ctx, p.of(t), to, func(socket int, err error) { hears(socket, elsewhere(err)) })
}

func (p *portals) of(t route.Target) string {
	return filepath.Join(p.dir, t.Environment, "portal.sock")
}

// elsewhere marks a portal's word that the container is not where it was.
func elsewhere(err error) error {
	var no *portal.Refusal
	if errors.As(err, &no) && (no.Kind == portal.Unknown || no.Kind == portal.Mismatch) {
		return errors.Join(ingress.ErrElsewhere, err)
	}
	return err
}

// visitors keeps what the ingress tells in access logs.
type visitors struct{ book *accesslog.Book }

// Request keeps one.
func (v visitors) Request(r ingress.Request) {
	v.book.Add(r.Service, api.Access{
		Time: r.Began.UTC(), ID: r.ID, Client: address(r.Client), Protocol: r.Protocol, Secure: r.Secure, Method: r.Method, Host: r.Host, Path: r.Path,
		Status: r.Status, In: r.In, Out: r.Out, Seconds: r.Took.Seconds(), Replica: r.Replica,
	})
}

// Connection keeps one.
func (v visitors) Connection(c ingress.Connection) {
	v.book.Add(c.Service, api.Access{
		Time: c.Began.UTC(), Client: address(c.Client), Protocol: c.Listen, Denied: c.Denied, In: c.In, Out: c.Out, Seconds: c.Took.Seconds(),
	})
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
