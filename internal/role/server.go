package role

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"havre/internal/alert"
	"havre/internal/cert"
	"havre/internal/event"
	"havre/internal/logbook"
	"havre/internal/page"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/reconcile"
	"havre/internal/route"
	"havre/internal/secret"
	"havre/internal/server"
	"havre/internal/service"
	"havre/internal/store"
	"havre/internal/swarm"
)

const (
	defaultListen = "127.0.0.1:7080"
	defaultPool   = "10.87.0.0/16"
	defaultSuffix = "localhost" // RFC 6761, 6.3: leads home without DNS
)

// ServerConfig is the server's configuration.
type ServerConfig struct {
	Listen    string       `json:"listen"`        // TCP address of the API; a loopback one
	HTTPPort  int          `json:"httpPort"`      // where the ingress serves domains
	HTTPSPort int          `json:"httpsPort"`     // and with TLS
	Pool      string       `json:"pool"`          // projects' networks are taken from it; the guard's bounds name it too
	Suffix    string       `json:"suffix"`        // SERVICE.PROJECT.ENVIRONMENT.suffix is a service's default domain; "" is none
	Every     string       `json:"every"`         // the loop looks at least this often
	Log       form         `json:"log,omitempty"` // text or json
	Alert     alert.Config `json:"alert"`         // what is told to whom
	Metrics   string       `json:"metrics"`       // who may read them: "token", or "localhost" for everybody on this machine
	RestFirst string       `json:"restFirst"`     // how long what crashes again and again rests at first
	RestMost  string       `json:"restMost"`      // and at most; in between it is twice as long each time
	LogBytes  int          `json:"logBytes"`      // of what a rollout's containers that are gone printed, so much is kept
	LogAge    string       `json:"logAge"`        // and for so long
}

func defaultServer() *ServerConfig {
	return &ServerConfig{Listen: defaultListen, HTTPPort: 80, HTTPSPort: 443, Pool: defaultPool, Suffix: defaultSuffix, Every: "1m", Metrics: "token", RestFirst: "10s", RestMost: "5m", LogBytes: 1 << 20, LogAge: "168h"}
}

// Validate reports all mistakes at once.
func (c *ServerConfig) Validate() problem.List {
	var wrong problem.List
	at, err := netip.ParseAddrPort(c.Listen)
	if err != nil || !at.Addr().IsLoopback() {
		wrong = append(wrong, problem.New(problem.Invalid, "listen: %q is not an address of this machine alone", c.Listen).With("write it as %s", defaultListen))
	}
	goodPort(&wrong, "httpPort", c.HTTPPort)
	goodPort(&wrong, "httpsPort", c.HTTPSPort)
	if p, err := netip.ParsePrefix(c.Pool); err != nil || !p.Addr().Is4() || p.Bits() > project.SubnetBits {
		wrong = append(wrong, problem.New(problem.Invalid, "pool: %q is not a network of /%d or larger", c.Pool, project.SubnetBits).With("write it as %s", defaultPool))
	}
	if c.Metrics != "token" && c.Metrics != "localhost" {
		wrong = append(wrong, problem.New(problem.Invalid, "metrics: %q says not who may read them", c.Metrics).With("write token or localhost"))
	}
	if c.Suffix != "" && !route.ValidHost(c.Suffix) {
		wrong = append(wrong, problem.New(problem.Invalid, "suffix: %q is not a domain", c.Suffix).With("write it like home.arpa, or \"\" for no default domains"))
	}
	wrong = append(wrong, c.Alert.Validate()...)
	c.Log.check(&wrong)
	if d, err := time.ParseDuration(c.Every); err != nil || d < time.Second {
		wrong = append(wrong, problem.New(problem.Invalid, "every: %q is not a time of a second or more", c.Every).With("write it as 1m"))
	}
	first, err := time.ParseDuration(c.RestFirst)
	if err != nil || first < time.Second {
		wrong = append(wrong, problem.New(problem.Invalid, "restFirst: %q is not a time of a second or more", c.RestFirst).With("write it as 10s"))
	}
	if most, err := time.ParseDuration(c.RestMost); err != nil || most < first {
		wrong = append(wrong, problem.New(problem.Invalid, "restMost: %q is not a time as long as restFirst or longer", c.RestMost).With("write it as 5m"))
	}
	if c.LogBytes < 0 || c.LogBytes > mostLogBytes {
		wrong = append(wrong, problem.New(problem.Invalid, "logBytes: %d is not a size of 0 to %d", c.LogBytes, mostLogBytes).With("write it as 1048576; 0 keeps nothing"))
	}
	if d, err := time.ParseDuration(c.LogAge); err != nil || d < time.Minute {
		wrong = append(wrong, problem.New(problem.Invalid, "logAge: %q is not a time of a minute or more", c.LogAge).With("write it as 168h"))
	}
	return wrong
}

// mostLogBytes is what a rollout's kept lines may take at most: they are held in memory while they are read.
const mostLogBytes = 64 << 20

func (c *ServerConfig) logbook(l Layout) *logbook.Book {
	age, _ := time.ParseDuration(c.LogAge) // Load validated it
	return logbook.New(logbook.Settings{Dir: l.LogbookDir(), Bytes: c.LogBytes, Age: age})
}

func (c *ServerConfig) backoff() service.Backoff {
	first, _ := time.ParseDuration(c.RestFirst) // Load validated them
	most, _ := time.ParseDuration(c.RestMost)
	return service.Backoff{First: first, Most: most}
}

// port of the API, for the guard's rules.
func (c *ServerConfig) port() uint16 {
	at, err := netip.ParseAddrPort(c.Listen)
	if err != nil {
		return 0 // Validate refused it
	}
	return at.Port()
}

func runServer(ctx context.Context, l Layout) error {
	c, err := Load(l, "server", defaultServer())
	if err != nil {
		return err
	}
	log := logger("server", c.Log)
	db, err := store.Open(ctx, l.Database())
	if err != nil {
		return err
	}
	defer db.Close()
	engine, err := swarm.New(l.GuardSocket())
	if err != nil {
		return err
	}
	defer engine.Close()
	token, err := secret.Read(l.Token())
	if err != nil {
		return fmt.Errorf("read the admin token: %w", err)
	}
	authority, err := cert.Open(l.AuthorityDir(), time.Now())
	if err != nil {
		return err
	}
	every, _ := time.ParseDuration(c.Every) // Load validated it
	ing := newControl(l.IngressSocket())
	key, err := secret.ReadKey(l.SecretKey())
	if err != nil {
		return fmt.Errorf("read the key of the secrets: %w", err)
	}
	cl, kept := cluster{engine}, vault{db, key, engine}
	book := c.logbook(l)
	journal := event.New(db)
	seer := &witness{journal: journal, https: uint16(c.HTTPSPort), suffix: c.Suffix, log: log}
	engine.OnRefusal(func(says string) { seer.refused(ctx, says) })
	certs := &leaves{authority: authority}
	loop := reconcile.New(reconcile.Hands{
		Observer: engine, Services: engine, Fences: engine, Portals: engine, Storage: cl, Hooks: cl, Secrets: kept, Shelf: engine, Litter: engine, Logs: cl, Logbook: keeper{cl, book},
		Records: db, Ingress: ing, Holders: engine, Certificates: certs,
	}, reconcile.Settings{Every: every, HTTPPort: uint16(c.HTTPPort), HTTPSPort: uint16(c.HTTPSPort), Suffix: c.Suffix, Backoff: c.backoff(), Witness: seer, Log: log})
	seer.loop, seer.certs = loop, certs
	b, err := newBackend(l, c, db, engine, loop, ing)
	if err != nil {
		return err
	}
	b.authority, b.journal, b.seer, b.log = authority, journal, seer, log
	b.Logbook, b.Vault = book, kept
	web := server.New(server.Settings{Socket: l.ServerSocket(), Listen: c.Listen, Token: token, Backend: b.pieces(), Pages: page.New(page.Settings{Token: token, Look: b, Log: log}), Metrics: c.Metrics == "localhost", Log: log})
	b.watch = newWatch(c.Alert, b, db)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return web.Run(ctx) })
	group.Go(func() error { b.settle(ctx, log); return loop.Run(ctx) })
	group.Go(func() error { return b.watch.Run(ctx) })
	group.Go(func() error { return b.listen(ctx, log) })
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// leaves gives each host a certificate of its own, so that a new domain does
// not change the others'.
type leaves struct {
	authority *cert.Authority

	mu   sync.Mutex           // guards what follows
	ends map[string]time.Time // by host; of the last table
}

// Ends tells when the certificates of the last table end, by host.
func (ls *leaves) Ends() map[string]time.Time {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return maps.Clone(ls.ends)
}

// For gives each host its certificate.
func (ls *leaves) For(hosts []string, now time.Time) ([]route.Certificate, error) {
	var certs []route.Certificate
	ends := map[string]time.Time{}
	for _, h := range hosts {
		leaf, err := ls.authority.Leaf([]string{h}, now)
		if err != nil {
			return certs, fmt.Errorf("certificate of %s: %w", h, err)
		}
		ends[h] = leaf.NotAfter
		certs = append(certs, route.Certificate{Hosts: []string{h}, Chain: leaf.Chain, Key: leaf.Key.Reveal()})
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.ends = ends
	return certs, nil
}

// loopView gives the deployer what the loop knows.
type loopView struct {
	*reconcile.Loop
	https  uint16
	suffix string
}

func (v loopView) Outside() project.Outside {
	return project.Outside{Listeners: v.Sight().Listeners, HTTPSPort: v.https, Suffix: v.suffix}
}
