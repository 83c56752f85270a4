package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Port is a TCP port of the machine that Havre wants for itself.
type Port struct {
	Number uint16
	For    string // "the API"
	Flag   string // of havre up, with what follows it before the number
	API    bool
	Holder Holder // who listens there; none when nobody
	Free   uint16 // another one that nobody has
}

// Holder is a program that listens.
type Holder struct {
	There bool
	Ours  bool
	PID   int // 0 when it cannot be seen
	Name  string
	User  string
}

// String names it as well as it is known.
func (h Holder) String() string {
	switch {
	case h.PID != 0:
		return fmt.Sprintf("%s (process %d)", h.Name, h.PID)
	case h.User != "":
		return "a program of the user " + h.User
	}
	return "another program"
}

// Listener is a port that a service asked for and that the ingress cannot have.
type Listener struct {
	Listen, Service, Says string
	Holder                Holder
}

func ports(f Facts) []Check {
	if f.Hidden {
		return skipped("ports", needsRoot)
	}
	var found []Check
	for _, p := range f.Ports {
		if !p.Holder.There || p.Holder.Ours {
			continue
		}
		move := fmt.Sprintf("%s && %s", f.havre("down"), f.havre(fmt.Sprintf("up --detach %s%d", p.Flag, p.Free)))
		c := bad("ports", fmt.Sprintf("port %d, for %s, is held by %s: end that, or move Havre", p.Number, p.For, p.Holder), move)
		if !p.API { // one may do without domains
			c.Level = Warning
		}
		found = append(found, c)
	}
	for _, l := range f.Listeners {
		says := fmt.Sprintf("the ingress cannot listen on %s: %s", l.Listen, l.Says)
		if l.Service != "" {
			says = fmt.Sprintf("service %s has no port %s: %s", l.Service, l.Listen, l.Says)
		}
		mend := "tail -n 30 " + f.Data + "/log/ingress.log"
		if l.Holder.There && !l.Holder.Ours {
			says += "; " + l.Holder.String() + " has it"
			if l.Holder.PID != 0 {
				mend = fmt.Sprintf("kill %d", l.Holder.PID)
			}
		}
		found = append(found, bad("ports", says, mend))
	}
	return orWell(found, "ports", "the ports that Havre wants are free, or its own")
}

// Network is what the machine knows about addresses.
type Network struct {
	Pool   netip.Prefix // projects' networks are cut from it
	Bounds netip.Prefix // the same, as the guard knows it; zero when unknown
	Routes []netip.Prefix
}

func pool(f Facts) []Check {
	n := f.Network
	if f.Hidden {
		return skipped("pool", needsRoot)
	}
	if !n.Pool.IsValid() {
		return skipped("pool", "no pool is configured")
	}
	files := fmt.Sprintf("%[1]s/config/server.json, %[1]s/config/ingress.json and %[1]s/guard/bounds.json", f.Data)
	if n.Bounds.IsValid() && n.Bounds != n.Pool {
		return []Check{bad("pool", fmt.Sprintf("the server takes networks from %s, and the guard allows %s; write one \"pool\" into %s", n.Pool, n.Bounds, files),
			"grep -Hs pool "+strings.NewReplacer(",", "", " and", "").Replace(files))}
	}
	for _, r := range n.Routes {
		if r.Overlaps(n.Pool) && r.Bits() > 0 {
			return []Check{bad("pool", fmt.Sprintf("the machine has a route to %s, which clashes with the networks of projects (%s): write another \"pool\" into %s, as %s, and restart; or remove the route", r, n.Pool, files, n.free()),
				"ip route del "+r.String())}
		}
	}
	return well("pool", "no route of the machine leads into %s", n.Pool)
}

// free is a network of the usual size that clashes with no route.
func (n Network) free() netip.Prefix {
	for second := byte(88); second > 0; second++ {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, second, 0, 0}), 16)
		if !slices.ContainsFunc(n.Routes, func(r netip.Prefix) bool { return r.Bits() > 0 && r.Overlaps(p) }) {
			return p
		}
	}
	return netip.MustParsePrefix("192.168.128.0/17")
}

// Table is a packet filter as iptables -S prints it.
type Table struct {
	Tool  string // iptables, ip6tables
	Rules []string
}

// walls are what containers must not reach; the port of the API comes to them.
var walls = []struct {
	protocol string
	port     uint16
}{{"udp", 4789}, {"udp", 7946}, {"tcp", 7946}, {"tcp", 2377}}

// fromContainers are the interfaces behind which containers are.
var fromContainers = []string{"docker0", "docker_gwbridge", "br-+"}

func firewall(f Facts) []Check {
	switch {
	case !f.SetUp:
		return skipped("firewall", "there is no Havre in "+f.Data+" yet; havre up makes the rules")
	case !f.Root:
		return skipped("firewall", needsRoot)
	}
	var found []Check
	for _, t := range f.Tables {
		if gone := t.missing(f.apiPort()); gone != "" {
			found = append(found, bad("firewall", fmt.Sprintf("%s: %s, so containers may reach what they must not; the guard mends it each minute while it runs", t.Tool, gone), f.rules()))
		}
	}
	return orWell(found, "firewall", "the rules that keep containers from the engine's ports and the API stand")
}

func (f Facts) apiPort() uint16 {
	for _, p := range f.Ports {
		if p.API {
			return p.Number
		}
	}
	return 0
}

// rules is the command that has the rules made now: the guard makes them when
// it is asked, without a connection being cut.
func (f Facts) rules() string {
	if !f.role("guard") {
		return f.start()
	}
	return fmt.Sprintf(`curl -sS --fail-with-body --unix-socket %s/run/guard.sock -H 'Content-Type: application/json' -d '{"ports":[%d]}' http://guard/havre/v1/firewall`, f.Data, f.apiPort())
}

// missing says what is not there, "" when all is.
func (t Table) missing(api uint16) string {
	if !t.jumpsFirst("INPUT", "HAVRE-INPUT") {
		return "INPUT does not go through HAVRE-INPUT first"
	}
	if !t.jumpsFirst("PREROUTING", "HAVRE-PREROUTING") {
		return "PREROUTING of the table mangle does not go through HAVRE-PREROUTING first"
	}
	for _, nic := range fromContainers {
		for _, w := range walls {
			for _, chain := range []string{"HAVRE-INPUT", "HAVRE-PREROUTING"} {
				if !t.drops(chain, nic, w.protocol, w.port) {
					return fmt.Sprintf("%s does not drop %s port %d from %s", chain, w.protocol, w.port, nic)
				}
			}
		}
		if api != 0 && !t.drops("HAVRE-INPUT", nic, "tcp", api) {
			return fmt.Sprintf("HAVRE-INPUT does not drop tcp port %d from %s", api, nic)
		}
	}
	return ""
}

func (t Table) jumpsFirst(parent, chain string) bool {
	for _, r := range t.Rules {
		if strings.HasPrefix(r, "-A "+parent+" ") {
			return r == "-A "+parent+" -j "+chain
		}
	}
	return false
}

func (t Table) drops(chain, nic, protocol string, port uint16) bool {
	return slices.ContainsFunc(t.Rules, func(r string) bool {
		f := strings.Fields(r)
		return len(f) > 2 && f[0] == "-A" && f[1] == chain && f[len(f)-1] == "DROP" &&
			after(f, "-i") == nic && after(f, "-p") == protocol && after(f, "--dport") == strconv.Itoa(int(port))
	})
}

// after is the word that follows another one.
func after(words []string, word string) string {
	if i := slices.Index(words, word); i >= 0 && i+1 < len(words) {
		return words[i+1]
	}
	return ""
}
