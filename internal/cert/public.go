package cert

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"havre/internal/problem"
)

// PublicSettings say where public certificates come from.
type PublicSettings struct {
	Directory string                                           // URL of the authority's ACME directory
	Email     string                                           // whom the authority may write to; "" is nobody
	Root      []byte                                           // PEM of who vouches for the authority itself; nil: whom the machine trusts
	Dir       string                                           // where keys and certificates are kept; private, made when missing
	Show      func(ctx context.Context, all []Challenge) error // answers exactly these at their hosts, from its return on
	Renewed   func()                                           // is called when a host has another certificate
	Log       *slog.Logger
}

// Public gets certificates of a public authority by ACME (RFC 8555), and
// renews them when a third of their life is left. It may be used by many at once.
type Public struct {
	set   PublicSettings
	roots *x509.CertPool
	poke  chan struct{}

	mu     sync.Mutex // guards what follows
	wanted []string
	leaves map[string]Leaf
	tries  map[string]attempt
	orders string // the host whose certificate is being ordered
}

// attempt is how often an order failed in a row. It is kept, for authorities
// count too, and a restart must not begin anew.
type attempt struct {
	Failures int       `json:"failures"`
	At       time.Time `json:"at"`
	Says     string    `json:"says"`
}

// OpenPublic reads what was kept in the settings' directory.
// Errors: Invalid when the root is none; Failed when the directory cannot be read.
func OpenPublic(set PublicSettings) (*Public, error) {
	roots, err := pool(set.Root)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(set.Directory)) // what one authority gave is not another's
	set.Dir = filepath.Join(set.Dir, hex.EncodeToString(sum[:8]))
	p := &Public{set: set, roots: roots, poke: make(chan struct{}, 1), leaves: map[string]Leaf{}, tries: map[string]attempt{}}
	if err = os.MkdirAll(set.Dir, 0o700); err == nil {
		err = p.load(time.Now())
	}
	if err != nil {
		return nil, problem.New(problem.Failed, "open the public certificates in %s", set.Dir).Because(err)
	}
	return p, nil
}

func pool(root []byte) (*x509.CertPool, error) {
	if root == nil {
		return nil, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root) {
		return nil, problem.New(problem.Invalid, "the root of the public authority is no certificate").With("put it into its file as PEM")
	}
	return roots, nil
}

func (p *Public) load(now time.Time) error {
	b, err := os.ReadFile(p.triesFile())
	if err == nil && json.Unmarshal(b, &p.tries) != nil {
		p.tries = map[string]attempt{} // only counts are lost
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	files, _ := filepath.Glob(filepath.Join(p.set.Dir, "*.pem")) // the pattern is well formed
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		host := strings.TrimSuffix(filepath.Base(file), ".pem")
		if l, err := parsePair(b); err == nil && l.Covers(host) && now.Before(l.NotAfter) {
			p.leaves[host] = l
		} else if err := os.Remove(file); err != nil { // another is ordered, if the host still wants one
			return err
		}
	}
	return nil
}

func (p *Public) triesFile() string           { return filepath.Join(p.set.Dir, "tries.json") }
func (p *Public) leafFile(host string) string { return filepath.Join(p.set.Dir, host+".pem") }

var (
	publicForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?$`)
	// localEnds are names that no public authority vouches for: RFC 2606, 6761, 6762, 7686, 8375, and .internal.
	localEnds = []string{".test", ".example", ".invalid", ".localhost", ".local", ".onion", ".home.arpa", ".arpa", ".internal", ".lan", ".home", ".corp"}
)

// CanBePublic tells whether a public authority could vouch for a host. It
// could not for a wildcard, which needs access to the domain's DNS.
func CanBePublic(host string) bool {
	return publicForm.MatchString(host) && !slices.ContainsFunc(localEnds, func(end string) bool { return strings.HasSuffix(host, end) })
}

// Want says for which hosts there are to be certificates, from now on for
// these alone. Hosts that can't be public are left out.
func (p *Public) Want(hosts []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	hosts = slices.DeleteFunc(normal(hosts), func(h string) bool { return !CanBePublic(h) })
	if slices.Equal(hosts, p.wanted) {
		return
	}
	p.wanted = hosts
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

// Leaf gives the certificate that a host has, unless it has ended.
func (p *Public) Leaf(host string, now time.Time) (Leaf, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.leaves[host]
	return l, ok && now.Before(l.NotAfter)
}

// Troubles tells why wanted hosts have no certificate, or no new one, and when
// it is tried again.
func (p *Public) Troubles(now time.Time) map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]string{}
	for _, host := range p.wanted {
		if host == p.orders {
			all[host] = "a public certificate is being ordered"
			continue
		}
		a, failed := p.tries[host]
		if l := p.leaves[host]; !failed || !l.Due(now) {
			continue
		}
		all[host] = "no public certificate: " + a.Says
		if left := a.again().Sub(now); left > 0 {
			all[host] += "; tried again in " + left.Round(time.Second).String()
		}
	}
	return all
}

// again is when a host is tried again: after a minute, then four times as long
// each time, at most six hours. The first hour sees four tries: authorities
// refuse who fails five times in it.
func (a attempt) again() time.Time {
	wait := time.Minute
	for range min(a.Failures, 10) - 1 {
		wait *= 4
	}
	return a.At.Add(min(wait, 6*time.Hour))
}

// look is how long Run waits at most before it looks at its certificates.
const look = time.Hour

// Run orders what is wanted, one after the other, until ctx is done.
func (p *Public) Run(ctx context.Context) error {
	for {
		host, wait := p.next(time.Now())
		if host != "" {
			if err := p.try(ctx, host); err != nil {
				p.set.Log.Warn("no public certificate", "host", host, "problem", err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-p.poke:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// next is the host whose turn it is, or how long there is none.
func (p *Public) next(now time.Time) (host string, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait = look
	for _, h := range p.wanted {
		if l := p.leaves[h]; !l.Due(now) {
			continue
		}
		a, failed := p.tries[h]
		if left := a.again().Sub(now); failed && left > 0 {
			wait = min(wait, left)
			continue
		}
		if host == "" || a.At.Before(p.tries[host].At) {
			host = h
		}
	}
	return host, wait
}

// try orders a certificate for a host. The try is counted before it begins, so
// that a server which ends in the midst of it again and again is not one that
// orders again and again.
func (p *Public) try(ctx context.Context, host string) error {
	p.mu.Lock()
	p.orders = host
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.orders = ""
		p.mu.Unlock()
	}()
	begun := attempt{p.failures(host) + 1, time.Now().UTC(), "the server ended while it was ordered"}
	if err := p.note(host, &begun); err != nil {
		return p.failed(host, begun, err)
	}
	b, err := p.order(ctx, host)
	if err != nil {
		return p.failed(host, begun, err)
	}
	l, err := parsePair(b)
	if err == nil && !l.Covers(host) {
		err = errors.New("the authority's certificate is for another host")
	}
	if err == nil && l.Due(time.Now()) {
		err = errors.New("the authority's certificate has ended already, or will too soon; is this machine's clock right?")
	}
	if err == nil {
		err = keep(p.leafFile(host), b)
	}
	if err != nil {
		return p.failed(host, begun, err)
	}
	p.mu.Lock()
	p.leaves[host] = l
	p.mu.Unlock()
	p.set.Log.Info("public certificate", "host", host, "until", l.NotAfter)
	p.set.Renewed()
	return p.note(host, nil)
}

func (p *Public) failures(host string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tries[host].Failures
}

func (p *Public) failed(host string, a attempt, err error) error {
	a.Says, a.At = cmp.Or(says(err), "for an unknown reason"), time.Now().UTC()
	return errors.Join(err, p.note(host, &a))
}

// note keeps how a host's tries went; nil is well.
func (p *Public) note(host string, a *attempt) error {
	p.mu.Lock()
	if a == nil {
		delete(p.tries, host)
	} else {
		p.tries[host] = *a
	}
	all := maps.Clone(p.tries)
	p.mu.Unlock()
	b, err := json.Marshal(all)
	if err == nil {
		err = keep(p.triesFile(), b)
	}
	if err != nil {
		return fmt.Errorf("keep the count of tries: %w", err)
	}
	return nil
}
