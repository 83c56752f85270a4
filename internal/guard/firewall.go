package guard

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"havre/internal/dockercall"
	"havre/internal/holder"
	"havre/internal/problem"
)

// The chains of Havre's own. Each is jumped to from the top of another one.
const (
	inputChain   = "HAVRE-INPUT"
	forwardChain = "HAVRE-FORWARD"
)

// fromContainers are the interfaces behind which containers are: the
// engine's bridges. A + is any ending.
var fromContainers = []string{"docker0", "docker_gwbridge", "br-+"}

// port is what containers must not reach.
type port struct {
	protocol string
	number   uint16
}

// enginePorts are the swarm's: data plane, gossip, control. A frame for the
// data plane would be delivered inside another environment's network.
var enginePorts = []port{{"udp", 4789}, {"udp", 7946}, {"tcp", 7946}, {"tcp", 2377}}

// rules are the lines of a chain, as iptables takes them.
func rules(ports []port) [][]string {
	var lines [][]string
	for _, nic := range fromContainers {
		for _, p := range ports {
			lines = append(lines, []string{"-i", nic, "-p", p.protocol, "-m", p.protocol, "--dport", strconv.Itoa(int(p.number)), "-j", "DROP"})
		}
	}
	return lines
}

// astray drops what a container sends to another project's network. No way
// leads there, so the machine would hand it to its own router.
func astray(pool netip.Prefix) [][]string {
	var lines [][]string
	for _, nic := range fromContainers {
		lines = append(lines, []string{"-d", pool.Masked().String(), "-i", nic, "-j", "DROP"})
	}
	return lines
}

func (g *Guard) firewall(r *http.Request, c *dockercall.Firewall) (struct{}, error) {
	g.mu.Lock()
	g.ports = slices.Clone(c.Ports)
	g.mu.Unlock()
	return struct{}{}, g.protect(r.Context())
}

// protect makes the rules, or puts right what somebody changed. Rules that
// stand are not touched, so that there is no moment without them.
func (g *Guard) protect(ctx context.Context) error {
	if g.set.NoFirewall {
		return nil
	}
	g.mu.Lock()
	input := slices.Clone(enginePorts)
	for _, p := range g.ports {
		input = append(input, port{"tcp", p})
	}
	g.mu.Unlock()
	for _, tool := range []string{"iptables", "ip6tables"} {
		if err := chain(ctx, tool, inputChain, "INPUT", rules(input)); err != nil {
			return err
		}
		// What is forwarded to other nodes passes the engine's own hook,
		// where it has one.
		parent := "DOCKER-USER"
		if tables(ctx, tool, "-n", "-L", parent) != nil {
			parent = "FORWARD"
		}
		forward := rules(enginePorts)
		if tool == "iptables" {
			forward = append(forward, astray(g.bounds.Pool)...)
		}
		if err := chain(ctx, tool, forwardChain, parent, forward); err != nil {
			return err
		}
	}
	return nil
}

// chain makes one of our chains hold lines, and be jumped to first.
func chain(ctx context.Context, tool, name, parent string, lines [][]string) error {
	have, err := exec.CommandContext(ctx, tool, "-w", "5", "-S", name).Output()
	if err != nil {
		if err := tables(ctx, tool, "-N", name); err != nil {
			return err
		}
	}
	for _, line := range lines {
		if tables(ctx, tool, append([]string{"-C", name}, line...)...) == nil {
			continue
		}
		if err := tables(ctx, tool, append([]string{"-A", name}, line...)...); err != nil {
			return err
		}
	}
	if err := dropOthers(ctx, tool, name, string(have), lines); err != nil {
		return err
	}
	if jumpsFirst(ctx, tool, parent, name) {
		return nil
	}
	if err := tables(ctx, tool, "-I", parent, "1", "-j", name); err != nil {
		return err
	}
	return onlyFirst(ctx, tool, parent, name)
}

// dropOthers takes lines out of our chain that are not wanted any more.
func dropOthers(ctx context.Context, tool, name, have string, lines [][]string) error {
	for text := range strings.Lines(have) {
		rule, ok := strings.CutPrefix(strings.TrimSpace(text), "-A "+name+" ")
		if !ok || slices.ContainsFunc(lines, func(l []string) bool { return strings.Join(l, " ") == rule }) {
			continue
		}
		if err := tables(ctx, tool, append([]string{"-D", name}, strings.Fields(rule)...)...); err != nil {
			return err
		}
	}
	return nil
}

// jumps gives the numbers, from 1, of the rules of parent that jump to name.
func jumps(ctx context.Context, tool, parent, name string) []int {
	text, err := exec.CommandContext(ctx, tool, "-w", "5", "-S", parent).Output()
	if err != nil {
		return nil
	}
	var found []int
	n := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "-A ") {
			continue
		}
		n++
		if strings.TrimSpace(line) == "-A "+parent+" -j "+name {
			found = append(found, n)
		}
	}
	return found
}

func jumpsFirst(ctx context.Context, tool, parent, name string) bool {
	return slices.Equal(jumps(ctx, tool, parent, name), []int{1})
}

// onlyFirst removes all jumps but the one at the top.
func onlyFirst(ctx context.Context, tool, parent, name string) error {
	found := jumps(ctx, tool, parent, name)
	for _, n := range slices.Backward(found) {
		if n == 1 {
			continue
		}
		if err := tables(ctx, tool, "-D", parent, strconv.Itoa(n)); err != nil {
			return err
		}
	}
	return nil
}

// tables runs iptables or ip6tables; -w waits for others who change rules.
func tables(ctx context.Context, tool string, args ...string) error {
	out, err := exec.CommandContext(ctx, tool, append([]string{"-w", "5"}, args...)...).CombinedOutput()
	if err != nil {
		return problem.New(problem.Failed, "%s %s", tool, strings.Join(args, " ")).
			Because(fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out))))
	}
	return nil
}

// unprotect removes what protect made.
func (g *Guard) unprotect(ctx context.Context) error {
	if g.set.NoFirewall {
		return nil
	}
	for _, tool := range []string{"iptables", "ip6tables"} {
		for _, at := range [][2]string{{"INPUT", inputChain}, {"DOCKER-USER", forwardChain}, {"FORWARD", forwardChain}} {
			for _, n := range slices.Backward(jumps(ctx, tool, at[0], at[1])) {
				if err := tables(ctx, tool, "-D", at[0], strconv.Itoa(n)); err != nil {
					return err
				}
			}
		}
		for _, name := range []string{inputChain, forwardChain} {
			if tables(ctx, tool, "-n", "-L", name) != nil {
				continue
			}
			if err := tables(ctx, tool, "-F", name); err != nil {
				return err
			}
			if err := tables(ctx, tool, "-X", name); err != nil {
				return err
			}
		}
	}
	return nil
}

// keepFirewall looks after the rules: each minute, and soon after the
// engine's networks changed, which is when it writes its own.
func (g *Guard) keepFirewall(ctx context.Context) {
	if g.set.NoFirewall {
		return
	}
	changed := make(chan struct{}, 1)
	var watch sync.WaitGroup
	watch.Go(func() { g.watchNetworks(ctx, changed) })
	defer watch.Wait()
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		if err := g.protect(ctx); err != nil && ctx.Err() == nil {
			g.log.Error("the firewall rules cannot be kept", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-changed:
		}
	}
}

// holder names the process that has a TCP or UDP port. Only root sees whose
// sockets are whose, and people want to be told who has their port.
func (g *Guard) holder(_ *http.Request, c *dockercall.Holder) (dockercall.HolderAnswer, error) {
	pid, name := holder.Process(holder.Sockets(c.Protocol == dockercall.UDPPort, c.Port)...)
	return dockercall.HolderAnswer{PID: pid, Name: name}, nil
}
