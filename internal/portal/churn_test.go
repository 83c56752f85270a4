package portal_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/ingress"
	"havre/internal/lab"
	"havre/internal/portal"
	"havre/internal/portal/portaltest"
	"havre/internal/route"
	"havre/internal/spec"
)

// churn is three apps of two containers each behind an ingress, in a network
// so small that what one app leaves another one gets.
type churn struct {
	*fence
	bind    netip.Addr // of the ingress: nobody else has its ports there
	control string
	rooms   [apps][2]route.Target // where the ingress is told that an app is

	refused atomic.Int32 // times that the portal said who was asked for is elsewhere
	good    atomic.Int32 // answers of the app that was asked
	wrong   atomic.Int32 // answers of another
	example atomic.Value // one of those
}

const (
	apps  = 3
	waves = 17 // of three addresses each: 51
)

func name(app int) string { return string(rune('a' + app)) }

func tcpPort(app int) uint16 { return uint16(7001 + app) }

// newChurn starts the apps, and an ingress that dials by way of the fence's portal,
// or by dial when that is given.
func newChurn(t *testing.T, dial func(*churn) ingress.Dial) *churn {
	t.Helper()
	c := &churn{fence: newFence(t)}
	t.Cleanup(func() {
		ids, err := c.engine.Ask(context.Background(), "ps", "--all", "--quiet", "--filter", "label=churn="+c.network)
		if err != nil {
			t.Error(err)
		}
		c.remove(t, strings.Fields(ids)...)
	})
	lab.ScratchImage(t, c.engine, "app:churn")
	c.bind = netip.AddrFrom4([4]byte{127, byte(64 + os.Getpid()%128), byte(os.Getpid() / 128), c.subnet.Addr().As4()[2]})
	dir := socketDir(t)
	c.control = filepath.Join(dir, "control.sock")
	i, err := ingress.New(ingress.Settings{
		TableFile: filepath.Join(dir, "table.json"), ControlSocket: c.control,
		Bind: c.bind, Dial: dial(c),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- i.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	listening(t, c.control)
	var all sync.WaitGroup
	for app := range apps {
		for room := range 2 {
			c.last = c.last.Next()
			at := c.last
			all.Go(func() { c.rooms[app][room] = c.settle(t, app, at) })
		}
	}
	c.settled(t, &all)
	c.tell(t)
	return c
}

// settle runs a container of an app at an address, and waits until it listens there.
func (c *churn) settle(t *testing.T, app int, at netip.Addr) route.Target {
	to := portal.Target{Address: at, Port: 2525}
	eventually(t, "a container at "+at.String(), func() (err error) {
		// The engine may take a moment to give away an address that it got back.
		to.Container, err = c.engine.Ask(t.Context(), "run", "--detach", "--network", c.network, "--ip", at.String(),
			"--label", "churn="+c.network, "--env", "VERSION="+name(app), "--env", "TCP=2525", "app:churn")
		return err
	})
	eventually(t, "the app to listen", func() error {
		s, err := portal.Dial(t.Context(), c.socket, to)
		if err == nil {
			s.Close()
		}
		return err
	})
	return route.Target{Environment: "prod", Container: to.Container, Address: at, Port: to.Port}
}

// tell puts the table of who is where into the ingress.
func (c *churn) tell(t *testing.T) {
	t.Helper()
	table := route.Table{HTTPPort: 7080, HTTPSPort: 7443}
	for app := range apps {
		service := "prod.churn." + name(app)
		table.TCP = append(table.TCP, route.TCP{Listen: tcpPort(app), Access: spec.Public, Service: service, Targets: c.rooms[app][:]})
		web := c.rooms[app]
		web[0].Port, web[1].Port = 8080, 8080
		table.HTTP = append(table.HTTP, route.HTTP{Host: name(app) + ".example", Access: spec.Public, Service: service, Targets: web[:]})
	}
	var d net.Dialer
	put := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", c.control)
	}}}
	r, err := http.NewRequest(http.MethodPut, "http://ingress/table", bytes.NewReader(table.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := put.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK || strings.Contains(string(text), `"says"`) {
		t.Fatalf("the table: %s: %s, %v", answer.Status, text, err)
	}
}

// ask has people ask all apps all the time, by TCP and HTTP, until the
// returned function is called.
func (c *churn) ask(t *testing.T) (stop func()) {
	ctx, end := context.WithCancel(context.Background())
	var people sync.WaitGroup
	for app := range apps {
		for _, ask := range []func() string{c.byTCP(app), c.byHTTP(app, true), c.byHTTP(app, false)} {
			people.Go(func() {
				tick := time.NewTicker(25 * time.Millisecond)
				defer tick.Stop()
				for ctx.Err() == nil {
					switch said := ask(); said {
					case "": // nobody is better than another
					case name(app):
						c.good.Add(1)
					default:
						c.wrong.Add(1)
						c.example.Store(fmt.Sprintf("%s was asked, %q answers", name(app), said))
					}
					<-tick.C
				}
			})
		}
	}
	stop = sync.OnceFunc(func() {
		end()
		people.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// byTCP gives the first word that the app says, none when it cannot be reached.
func (c *churn) byTCP(app int) func() string {
	return func() string {
		s, err := net.Dial("tcp", netip.AddrPortFrom(c.bind, tcpPort(app)).String())
		if err != nil {
			return ""
		}
		defer s.Close()
		s.SetDeadline(time.Now().Add(10 * time.Second))
		line, _ := bufio.NewReader(s).ReadString('\n')
		word, _, _ := strings.Cut(line, " ")
		return word
	}
}

func (c *churn) byHTTP(app int, keep bool) func() string {
	web := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: !keep, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", netip.AddrPortFrom(c.bind, 7080).String())
	}}}
	return func() string {
		answer, err := web.Get("http://" + name(app) + ".example/")
		if err != nil {
			return ""
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			return ""
		}
		return strings.TrimSpace(string(text))
	}
}

// wave ends one container of each app and gives its address to one of another
// app. It returns those that ended; the ingress still believes in them.
func (c *churn) wave(t *testing.T, n int) (gone [apps]route.Target) {
	t.Helper()
	room := n % 2
	for app := range apps {
		gone[app] = c.rooms[app][room]
	}
	c.remove(t, gone[0].Container, gone[1].Container, gone[2].Container)
	var all sync.WaitGroup
	for app := range apps {
		all.Go(func() { c.rooms[app][room] = c.settle(t, app, gone[(app+1)%apps].Address) })
	}
	c.settled(t, &all)
	return gone
}

// settled waits for all that settle.
func (c *churn) settled(t *testing.T, all *sync.WaitGroup) {
	t.Helper()
	if all.Wait(); t.Failed() {
		t.FailNow()
	}
}

// throughPortal dials as Havre does, and counts who is not where it was.
func (c *churn) throughPortal() ingress.Dial {
	return func(ctx context.Context, _ spec.Protocol, to route.Target) (net.Conn, error) {
		s, err := portal.Dial(ctx, c.socket, portal.Target{Container: to.Container, Address: to.Address, Port: to.Port})
		var no *portal.Refusal
		if errors.As(err, &no) && (no.Kind == portal.Unknown || no.Kind == portal.Mismatch) {
			c.refused.Add(1)
			err = errors.Join(ingress.ErrElsewhere, err)
		}
		return s, err
	}
}

// byAddress dials from inside the portal's network as a proxy that keeps a
// list of addresses would.
func (c *churn) byAddress(pid int) ingress.Dial {
	return func(ctx context.Context, _ spec.Protocol, to route.Target) (s net.Conn, err error) {
		alone(func() {
			var ns *os.File
			if ns, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil {
				return
			}
			defer ns.Close()
			if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err == nil {
				var d net.Dialer
				s, err = d.DialContext(ctx, "tcp4", netip.AddrPortFrom(to.Address, to.Port).String())
			}
		})
		return s, err
	}
}

// Fail closed: while an address changes from app to app, and the ingress hears
// of it late, everybody is answered by who was asked or by nobody.
func TestAddressesThatAnotherAppGetsLeadNobodyAstray(t *testing.T) {
	t.Parallel()
	c := newChurn(t, (*churn).throughPortal)
	stop := c.ask(t)
	reused := 0
	for n := range waves {
		gone := c.wave(t, n)
		for _, to := range gone { // what the ingress still believes
			portaltest.Refused(t, c.socket, portal.Target{Container: to.Container, Address: to.Address, Port: to.Port}, portal.Unknown)
			reused++
		}
		c.tell(t)
	}
	stop()
	t.Logf("%d addresses were reused; %d good answers, %d wrong ones, %d refusals", reused, c.good.Load(), c.wrong.Load(), c.refused.Load())
	if c.wrong.Load() > 0 || reused < 50 || c.good.Load() < 500 || c.refused.Load() == 0 {
		t.Errorf("wrong answers (%v), or too little of the rest", c.example.Load())
	}
}

// The test above has to be able to fail: who dials by address alone is led astray.
func TestDialledByAddressAloneAppsAnswerForEachOther(t *testing.T) {
	t.Parallel()
	c := newChurn(t, func(c *churn) ingress.Dial { return c.byAddress(c.pid(t)) })
	stop := c.ask(t)
	c.wave(t, 0)
	eventually(t, "an answer of another app", func() error {
		if c.wrong.Load() == 0 {
			return fmt.Errorf("%d good ones", c.good.Load())
		}
		return nil
	})
	stop()
}
