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

// filter is one of our chains: the tool that knows it, its table, and the chain
// from whose top it is jumped to.
type filter struct{ tool, table, parent, name string }

// input and prerouting are our chains. What containers send anywhere is looked
// at before it is known where it goes, in a table that the engine leaves alone:
// it takes its own jumps out of FORWARD and puts them back whenever a network
// is made, DOCKER-USER's too, and what comes in between would pass.
func input(tool string) filter { return filter{tool, "filter", "INPUT", "HAVRE-INPUT"} }
func prerouting(tool string) filter {
	return filter{tool, "mangle", "PREROUTING", "HAVRE-PREROUTING"}
}

// former are chains of Havres before this one, for unprotect.
func former(tool string) []filter {
	return []filter{{tool, "filter", "DOCKER-USER", "HAVRE-FORWARD"}, {tool, "filter", "FORWARD", "HAVRE-FORWARD"}}
}

var filterTools = []string{"iptables", "ip6tables"}

// fromContainers are the interfaces behind which containers are: the
// engine's bridges. A + is any ending.
var fromContainers = []string{"docker0", "docker_gwbridge", "br-+"}

// fromOurs are those of them behind which services and builds are.
var fromOurs = []string{"docker0", "docker_gwbridge"}

// port is what containers must not reach.
type port struct {
	protocol string
	number   uint16
}

// enginePorts are the swarm's: data plane, gossip, control. A frame for the
// data plane would be delivered inside another environment's network.
var enginePorts = []port{{"udp", 4789}, {"udp", 7946}, {"tcp", 7946}, {"tcp", 2377}}

// metadata is where clouds tell a machine its own secrets, by tool: what is
// link-local, and the services of Azure, Alibaba, AWS and Google that are not.
var metadata = map[string][]string{
	"iptables":  {"169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32"},
	"ip6tables": {"fd00:ec2::254/128", "fd20:ce::254/128"},
}

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

// secretive drops what a container sends to its cloud's metadata, apart from
// questions about names: some clouds have their name server at the same address.
func secretive(tool string) [][]string {
	var lines [][]string
	for _, nic := range fromOurs {
		for _, to := range metadata[tool] {
			for _, protocol := range []string{"tcp", "udp"} {
				lines = append(lines, []string{"-d", to, "-i", nic, "-p", protocol, "-m", protocol, "!", "--dport", "53", "-j", "DROP"})
			}
		}
	}
	return lines
}

func (g *Guard) firewall(r *http.Request, c *dockercall.Firewall) (struct{}, error) {
	g.filtering.Lock()
	g.ports, g.open = append([]uint16{}, c.Ports...), false // nil would be none named yet
	g.filtering.Unlock()
	return struct{}{}, g.protect(r.Context())
}

// protect makes the rules, or puts right what somebody changed. Rules that
// stand are not touched, so that there is no moment without them.
func (g *Guard) protect(ctx context.Context) error {
	g.filtering.Lock()
	defer g.filtering.Unlock()
	if g.set.NoFirewall || g.open {
		return nil
	}
	if g.ports == nil {
		g.ports = closedBefore(ctx)
	}
	own := slices.Clone(enginePorts)
	for _, p := range g.ports {
		own = append(own, port{"tcp", p})
	}
	for _, tool := range filterTools {
		if err := input(tool).hold(ctx, rules(own)); err != nil {
			return err
		}
		all := rules(enginePorts)
		if tool == "iptables" {
			all = append(all, astray(g.bounds.Pool)...)
		}
		if !g.bounds.Metadata {
			all = append(all, secretive(tool)...)
		}
		if err := prerouting(tool).hold(ctx, all); err != nil {
			return err
		}
	}
	return nil
}

// closedBefore are the ports that a guard before this one closed: the server
// names them when it starts, not when a guard does.
func closedBefore(ctx context.Context) []uint16 {
	ports := []uint16{}
	lines, err := input("iptables").list(ctx, input("iptables").name)
	if err != nil {
		return ports // there was none
	}
	for line := range strings.Lines(lines) {
		words := strings.Fields(line)
		i := slices.Index(words, "--dport")
		if i < 0 || i+1 == len(words) || !slices.Contains(words, "tcp") {
			continue
		}
		n, err := strconv.ParseUint(words[i+1], 10, 16)
		p := uint16(n)
		if err == nil && !slices.Contains(enginePorts, port{"tcp", p}) && !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	return ports
}

// hold makes our chain hold lines, and be jumped to first.
func (f filter) hold(ctx context.Context, lines [][]string) error {
	have, err := f.list(ctx, f.name)
	if err != nil {
		if err := f.run(ctx, "-N", f.name); err != nil {
			return err
		}
	}
	for _, line := range lines {
		if f.run(ctx, append([]string{"-C", f.name}, line...)...) == nil {
			continue
		}
		if err := f.run(ctx, append([]string{"-A", f.name}, line...)...); err != nil {
			return err
		}
	}
	if err := f.dropOthers(ctx, have, lines); err != nil {
		return err
	}
	if slices.Equal(f.jumps(ctx), []int{1}) {
		return nil
	}
	if err := f.run(ctx, "-I", f.parent, "1", "-j", f.name); err != nil {
		return err
	}
	return f.onlyFirst(ctx)
}

// dropOthers takes lines out of our chain that are not wanted any more.
func (f filter) dropOthers(ctx context.Context, have string, lines [][]string) error {
	for text := range strings.Lines(have) {
		rule, ok := strings.CutPrefix(strings.TrimSpace(text), "-A "+f.name+" ")
		if !ok || slices.ContainsFunc(lines, func(l []string) bool { return strings.Join(l, " ") == rule }) {
			continue
		}
		if err := f.run(ctx, append([]string{"-D", f.name}, strings.Fields(rule)...)...); err != nil {
			return err
		}
	}
	return nil
}

// jumps gives the numbers, from 1, of the rules of the parent that jump to our chain.
func (f filter) jumps(ctx context.Context) []int {
	text, err := f.list(ctx, f.parent)
	if err != nil {
		return nil
	}
	var found []int
	n := 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "-A ") {
			continue
		}
		n++
		if strings.TrimSpace(line) == "-A "+f.parent+" -j "+f.name {
			found = append(found, n)
		}
	}
	return found
}

// onlyFirst removes all jumps but the one at the top.
func (f filter) onlyFirst(ctx context.Context) error {
	for _, n := range slices.Backward(f.jumps(ctx)) {
		if n == 1 {
			continue
		}
		if err := f.run(ctx, "-D", f.parent, strconv.Itoa(n)); err != nil {
			return err
		}
	}
	return nil
}

// args are those of a call of the tool; -w waits for others who change rules.
func (f filter) args(more ...string) []string {
	return append([]string{"-w", "5", "-t", f.table}, more...)
}

func (f filter) list(ctx context.Context, chain string) (string, error) {
	text, err := exec.CommandContext(ctx, f.tool, f.args("-S", chain)...).Output()
	return string(text), err
}

func (f filter) run(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, f.tool, f.args(args...)...).CombinedOutput()
	if err != nil {
		return problem.New(problem.Failed, "%s -t %s %s", f.tool, f.table, strings.Join(args, " ")).
			Because(fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out))))
	}
	return nil
}

// unprotect removes what protect made, and keeps it from being made again: the
// networks that a purge removes would have it made in the middle of that.
func (g *Guard) unprotect(ctx context.Context) error {
	g.filtering.Lock()
	defer g.filtering.Unlock()
	if g.set.NoFirewall {
		return nil
	}
	g.open = true
	for _, tool := range filterTools {
		all := append(former(tool), input(tool), prerouting(tool))
		for _, f := range all {
			for _, n := range slices.Backward(f.jumps(ctx)) {
				if err := f.run(ctx, "-D", f.parent, strconv.Itoa(n)); err != nil {
					return err
				}
			}
		}
		for _, f := range all {
			if f.run(ctx, "-n", "-L", f.name) != nil {
				continue
			}
			if err := f.run(ctx, "-F", f.name); err != nil {
				return err
			}
			if err := f.run(ctx, "-X", f.name); err != nil {
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
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-changed:
		}
		g.mendFirewall(ctx)
	}
}

func (g *Guard) mendFirewall(ctx context.Context) {
	if err := g.protect(ctx); err != nil && ctx.Err() == nil {
		g.log.Error("the firewall rules cannot be kept", "err", err)
	}
}

// holder names the process that has a TCP or UDP port. Only root sees whose
// sockets are whose, and people want to be told who has their port.
func (g *Guard) holder(_ *http.Request, c *dockercall.Holder) (dockercall.HolderAnswer, error) {
	pid, name := holder.Process(holder.Sockets(c.Protocol == dockercall.UDPPort, c.Port)...)
	return dockercall.HolderAnswer{PID: pid, Name: name}, nil
}
