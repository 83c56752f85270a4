package role

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"havre/internal/alert"
	"havre/internal/api"
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
	Offline   bool         `json:"offline"`       // nothing is pulled from registries
	Every     string       `json:"every"`         // the loop looks at least this often
	Log       form         `json:"log,omitempty"` // text or json
	Alert     alert.Config `json:"alert"`         // what is told to whom
	Metrics   string       `json:"metrics"`       // who may read them: "token", or "localhost" for everybody on this machine
	RestFirst string       `json:"restFirst"`     // how long what crashes again and again rests at first
	RestMost  string       `json:"restMost"`      // and at most; in between it is twice as long each time
	LogBytes  int          `json:"logBytes"`      // of what a rollout's containers that are gone printed, so much is kept
	LogAge    string       `json:"logAge"`        // and for so long
	ACME      ACMEConfig   `json:"acme"`          // where public domains get their certificates
}

func defaultServer() *ServerConfig {
	return &ServerConfig{Listen: defaultListen, HTTPPort: 80, HTTPSPort: 443, Pool: defaultPool, Suffix: defaultSuffix, Every: "1m", Metrics: "token", RestFirst: "10s", RestMost: "5m", LogBytes: 1 << 20, LogAge: "168h", ACME: ACMEConfig{Directory: defaultDirectory}}
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
	wrong = append(wrong, c.ACME.Validate()...)
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
	certs := &leaves{authority: authority, dir: l.CertificateDir()}
	space, err := c.addresses()
	if err != nil {
		return err
	}
	loop := reconcile.New(reconcile.Hands{
		Observer: engine, Services: engine, Fences: engine, Portals: engine, Storage: cl, Hooks: cl, Secrets: kept, Shelf: engine, Litter: engine, Logs: cl, Logbook: keeper{cl, book},
		Records: db, Ingress: ing, Holders: engine, Certificates: certs,
	}, reconcile.Settings{Every: every, HTTPPort: uint16(c.HTTPPort), HTTPSPort: uint16(c.HTTPSPort), Suffix: c.Suffix, Backoff: c.backoff(), Addresses: space, Witness: seer, Log: log})
	seer.loop, seer.certs = loop, certs
	if certs.public, err = c.ACME.open(l, ing, loop.Poke, log); err != nil {
		return err
	}
	b, err := newBackend(l, c, db, engine, ing, loopView{loop, uint16(c.HTTPSPort), c.Suffix, certs, uint16(c.HTTPPort)})
	if err != nil {
		return err
	}
	b.Addresses = space
	b.authority, b.journal, b.seer, b.log = authority, journal, seer, log
	b.Logbook, b.Vault, b.Certificates = book, kept, certs
	web := server.New(server.Settings{Socket: l.ServerSocket(), Listen: c.Listen, Token: token, Backend: b.pieces(), Pages: page.New(page.Settings{Token: token, Look: b, Log: log}), Metrics: c.Metrics == "localhost", Log: log})
	b.watch = newWatch(c.Alert, b, db)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return web.Run(ctx) })
	group.Go(func() error { b.settle(ctx, log); return loop.Run(ctx) })
	group.Go(func() error { return b.watch.Run(ctx) })
	group.Go(func() error { return b.remount(ctx, min(every, time.Minute)) })
	if certs.public != nil {
		group.Go(func() error { return certs.public.Run(ctx) })
	}
	group.Go(func() error { return b.listen(ctx, log) })
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// loopView gives the deployer what the loop knows.
type loopView struct {
	*reconcile.Loop
	https  uint16
	suffix string
	certs  *leaves
	http   uint16
}

func (v loopView) Outside() project.Outside {
	s := v.Sight()
	return project.Outside{Listeners: s.Listeners, Sick: s.Sick, HTTPPort: v.http, HTTPSPort: v.https, Suffix: v.suffix, Certificates: v.certs.Troubles(time.Now())}
}

// defaultDirectory is Let's Encrypt's.
const defaultDirectory = "https://acme-v02.api.letsencrypt.org/directory"

// ACMEConfig says which public authority is asked for certificates.
type ACMEConfig struct {
	Agree     bool   `json:"agree"`     // to the authority's terms; without it none is asked
	Directory string `json:"directory"` // URL of its ACME directory
	Email     string `json:"email"`     // whom it may write to; "" is nobody
	Root      string `json:"root"`      // file with the root that vouches for the authority itself; "" is whom the machine trusts
}

// Validate reports all mistakes at once.
func (c ACMEConfig) Validate() problem.List {
	var wrong problem.List
	if u, err := url.Parse(c.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		wrong = append(wrong, problem.New(problem.Invalid, "acme.directory: %q is not an https URL", c.Directory).With("write it as %s", defaultDirectory))
	}
	if a, err := mail.ParseAddress(c.Email); c.Email != "" && (err != nil || a.Address != c.Email) {
		wrong = append(wrong, problem.New(problem.Invalid, "acme.email: %q is not an address", c.Email).With("write it like ops@example.org, or leave it out"))
	}
	return wrong
}

// open gives the public certificates, nil when none are to be asked for.
func (c ACMEConfig) open(l Layout, ing *control, renewed func(), log *slog.Logger) (*cert.Public, error) {
	if !c.Agree {
		return nil, nil
	}
	var root []byte
	if c.Root != "" {
		var err error
		if root, err = os.ReadFile(c.Root); err != nil {
			return nil, fmt.Errorf("read acme.root: %w", err)
		}
	}
	return cert.OpenPublic(cert.PublicSettings{
		Directory: c.Directory, Email: c.Email, Root: root, Dir: l.PublicDir(), Show: ing.Show, Renewed: renewed, Log: log,
	})
}

// leaves gives each host its certificate: that of a file that proves it, else a
// public authority's, else one of our own, so that there always is one. Each
// host has its own, and a new domain does not change the others'.
type leaves struct {
	authority *cert.Authority
	public    *cert.Public // nil: none is asked
	dir       string       // of files

	mu       sync.Mutex           // guards what follows
	ends     map[string]time.Time // by host; of the last table
	unusable map[string]string    // by file: why; at the last table
}

// Ends tells when the certificates of the last table end, by host.
func (ls *leaves) Ends() map[string]time.Time {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return maps.Clone(ls.ends)
}

// Troubles tells why hosts have no public certificate.
func (ls *leaves) Troubles(now time.Time) map[string]string {
	if ls.public == nil {
		return nil
	}
	return ls.public.Troubles(now)
}

// For gives each host its certificate.
func (ls *leaves) For(hosts []route.Host, now time.Time) ([]route.Certificate, error) {
	files, unusable := cert.Files(ls.dir, now)
	var certs []route.Certificate
	var wanted []string
	ends := map[string]time.Time{}
	for _, h := range hosts {
		leaf, ok := fileFor(files, h.Name)
		if !ok && h.Public && ls.public != nil {
			wanted = append(wanted, h.Name)
			leaf, ok = ls.public.Leaf(h.Name, now)
		}
		if !ok {
			var err error
			if leaf, err = ls.authority.Leaf([]string{h.Name}, now); err != nil {
				return certs, fmt.Errorf("certificate of %s: %w", h.Name, err)
			}
		}
		ends[h.Name] = leaf.NotAfter
		certs = append(certs, route.Certificate{Hosts: []string{h.Name}, Chain: leaf.Chain, Key: leaf.Key.Reveal()})
	}
	if ls.public != nil {
		ls.public.Want(wanted)
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.ends, ls.unusable = ends, unusable
	return certs, nil
}

// Mountable is the certificate of a host, with its key.
// Errors: Invalid; those of the authority.
func (ls *leaves) Mountable(host string, now time.Time) (secret.Text, error) {
	if !route.ValidHost(host) {
		return secret.Text{}, problem.New(problem.Invalid, "%q is not a host name in lower case", host).With("write it like mail.example.org")
	}
	files, _ := cert.Files(ls.dir, now)
	leaf, ok := fileFor(files, host)
	if !ok && ls.public != nil {
		leaf, ok = ls.public.Leaf(host, now)
	}
	if !ok {
		var err error
		if leaf, err = ls.authority.Leaf([]string{host}, now); err != nil {
			return secret.Text{}, err
		}
	}
	return secret.New(leaf.Chain + leaf.Key.Reveal()), nil
}

// remount looks now and then whether a service mounts a certificate that is not
// the present one.
func (b *backend) remount(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := b.RenewCertificates(ctx); err != nil && ctx.Err() == nil {
			b.log.Warn("certificates that services mount", "problem", err)
		}
	}
}

func fileFor(files []cert.File, host string) (cert.Leaf, bool) {
	i := slices.IndexFunc(files, func(f cert.File) bool { return f.Covers(host) })
	if i < 0 {
		return cert.Leaf{}, false
	}
	return files[i].Leaf, true
}

// part says how certificates are. What is amiss is a domain's trouble and not
// Havre's, for another certificate serves meanwhile.
func (ls *leaves) part(now time.Time) api.Part {
	p := api.Part{Name: "certificates", Well: true}
	var all []string
	for _, host := range slices.Sorted(maps.Keys(ls.Troubles(now))) {
		all = append(all, host+": "+ls.Troubles(now)[host])
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, file := range slices.Sorted(maps.Keys(ls.unusable)) {
		all = append(all, "file "+file+" is not used: "+ls.unusable[file])
	}
	p.Says = strings.Join(all, "; ")
	return p
}

// addresses is where networks find addresses.
func (c *ServerConfig) addresses() (*project.Addresses, error) {
	m, err := newMachine()
	if err != nil {
		return nil, err
	}
	pool, err := netip.ParsePrefix(c.Pool)
	return &project.Addresses{Pool: pool, Routes: m.Routes}, err
}
