package lab

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// pools are where worlds get their subnets from: private addresses, for a
// world's neighbours are a local network to Havre.
var pools = []netip.Prefix{netip.MustParsePrefix("10.254.0.0/16"), netip.MustParsePrefix("172.30.0.0/16")}

// network is the way between the host and a world: a veth pair, and rules that
// let the world out as the host.
type network struct {
	name            string
	subnet          netip.Prefix
	outside, inside netip.Addr
	mtu             string
}

// newNetwork chooses a subnet that the host has no route into.
func newNetwork(id string) (network, error) {
	taken, err := hostRoutes()
	if err != nil {
		return network{}, err
	}
	for _, server := range nameservers("/etc/resolv.conf") {
		taken = append(taken, netip.PrefixFrom(server, server.BitLen()))
	}
	for _, pool := range pools {
		for range 64 {
			subnet := pick(pool)
			if slices.ContainsFunc(taken, subnet.Overlaps) {
				continue
			}
			outside := subnet.Addr().Next()
			return network{name: name(id), subnet: subnet, outside: outside, inside: outside.Next(), mtu: mtu()}, nil
		}
	}
	return network{}, fmt.Errorf("find a free subnet in %v: the host has routes into all that were tried", pools)
}

func pick(pool netip.Prefix) netip.Prefix {
	a := pool.Addr().As4()
	a[2], a[3] = byte(rand.IntN(256)), byte(rand.IntN(64)*4)
	return netip.PrefixFrom(netip.AddrFrom4(a), 30)
}

// hostRoutes lists the destinations of the host's routes, the default one
// apart.
func hostRoutes() ([]netip.Prefix, error) {
	f, err := os.Open("/proc/thread-self/net/route")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []netip.Prefix
	for lines := bufio.NewScanner(f); lines.Scan(); {
		word := strings.Fields(lines.Text())
		if len(word) < 8 || word[0] == "Iface" || word[7] == "00000000" {
			continue
		}
		to, err1 := kernelBytes(word[1])
		mask, err2 := kernelBytes(word[7])
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		// Some tunnels halve or quarter the default route.
		if bits, _ := net.IPMask(mask[:]).Size(); bits >= 8 {
			all = append(all, netip.PrefixFrom(netip.AddrFrom4(to), bits))
		}
	}
	return all, nil
}

// kernelBytes reads an address as /proc/net/route writes it: hexadecimal, in
// the order of a little-endian machine.
func kernelBytes(s string) (a [4]byte, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 4 {
		return a, fmt.Errorf("address %q of a route: %w", s, err)
	}
	slices.Reverse(b)
	return [4]byte(b), nil
}

// mtu is the smallest of the host's interfaces that are up: a packet that
// leaves the world fits whichever way it takes.
func mtu() string {
	least := 1500
	all, _ := net.Interfaces()
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagLoopback == 0 && i.MTU >= 1280 {
			least = min(least, i.MTU)
		}
	}
	return strconv.Itoa(least)
}

// up makes the rules. They stay over a reboot.
func (n network) up() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return err
	}
	mark := []string{"-m", "comment", "--comment", n.name}
	return runAll(
		append([]string{"iptables", "-w", "-t", "nat", "-I", "POSTROUTING", "-s", n.subnet.String(), "!", "-o", n.name, "-j", "MASQUERADE"}, mark...),
		append([]string{"iptables", "-w", "-I", "FORWARD", "-i", n.name, "-j", "ACCEPT"}, mark...),
		append([]string{"iptables", "-w", "-I", "FORWARD", "-o", n.name, "-j", "ACCEPT"}, mark...),
	)
}

// plug makes the namespace and the cable to it, at each boot.
func (n network) plug() error {
	outside, inside := n.outside.String()+"/30", n.inside.String()+"/30"
	return runAll(
		[]string{"ip", "netns", "add", n.name},
		[]string{"ip", "link", "add", n.name, "mtu", n.mtu, "type", "veth", "peer", "name", "eth0", "mtu", n.mtu, "netns", n.name},
		[]string{"ip", "address", "add", outside, "dev", n.name},
		[]string{"ip", "link", "set", n.name, "up"},
		[]string{"ip", "-n", n.name, "link", "set", "lo", "up"},
		[]string{"ip", "-n", n.name, "address", "add", inside, "dev", "eth0"},
		[]string{"ip", "-n", n.name, "link", "set", "eth0", "up"},
		[]string{"ip", "-n", n.name, "route", "add", "default", "via", n.outside.String()},
	)
}

// unplug takes away what plug made and is still there. The cable goes first:
// with the namespace alone its end would linger, and its name with it.
func unplug(id string) error {
	var errs []error
	if _, err := net.InterfaceByName(name(id)); err == nil {
		errs = append(errs, run("ip", "link", "delete", name(id)))
	}
	if _, err := os.Stat("/run/netns/" + name(id)); err == nil {
		errs = append(errs, run("ip", "netns", "delete", name(id)))
	}
	return errors.Join(errs...)
}

func removeNetwork(id string) error {
	errs := []error{unplug(id)}
	for _, at := range [][]string{{"nat", "POSTROUTING"}, {"filter", "FORWARD"}} {
		rules, err := exec.Command("iptables", "-w", "-t", at[0], "-S", at[1]).Output()
		errs = append(errs, err)
		for rule := range strings.Lines(string(rules)) {
			word := strings.Fields(strings.ReplaceAll(rule, `"`, ""))
			if slices.Contains(word, name(id)) && word[0] == "-A" {
				errs = append(errs, run("iptables", append([]string{"-w", "-t", at[0], "-D"}, word[1:]...)...))
			}
		}
	}
	return errors.Join(errs...)
}

// runAll stops at the first command that fails.
func runAll(commands ...[]string) error {
	for _, c := range commands {
		if err := run(c[0], c[1:]...); err != nil {
			return err
		}
	}
	return nil
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
