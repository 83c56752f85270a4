package spec

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"havre/internal/pattern"
)

// Unlimited is a Ulimit without a bound.
const Unlimited = -1

// Ulimit is a limit that the kernel holds each process to; setrlimit(2).
type Ulimit struct {
	Name string `json:"name"` // nofile, memlock…
	Soft int64  `json:"soft"` // what counts; a process may raise it up to Hard; -1 is no limit
	Hard int64  `json:"hard"`
}

// Host is a name that one service knows, as in /etc/hosts.
type Host struct {
	Name    string `json:"name"`
	Address string `json:"address"` // IPv4 or IPv6, or HostGateway
}

// HostGateway stands for this machine's address as containers see it.
const HostGateway = "host-gateway"

// DNS is how a service looks up names that are not of its project.
type DNS struct {
	Servers []string `json:"servers,omitempty"` // addresses; none means the machine's
	Search  []string `json:"search,omitempty"`  // domains to try behind a short name
	Options []string `json:"options,omitempty"` // of resolv.conf(5): ndots:1
}

// Log is how much of its output is kept. Zero is the default, 3 files of 10 MiB.
type Log struct {
	Size  Bytes `json:"size,omitempty"`  // of one file, from 1 KiB to 1 GiB
	Files int   `json:"files,omitempty"` // 1 to 10
}

// Capabilities are those that can be dropped; Linux 3.16, capabilities(7).
// The engine of 20.10 knows no newer ones.
func Capabilities() []string {
	return []string{"AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID",
		"IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE",
		"NET_BROADCAST", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE",
		"SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM"}
}

// ulimits are the limits that concern nobody but the service. Not here:
// nice, rtprio and rttime, which take time from others; msgqueue and
// sigpending, which count a user's processes over all containers.
var ulimits = []string{"core", "cpu", "data", "fsize", "locks", "memlock", "nofile", "nproc", "rss", "stack"}

// maxFiles is the kernel's own bound on open files; fs.nr_open.
const maxFiles = 1 << 20

// sysctlForms are the settings that each network namespace has for itself, and
// what they may be. Not here: forwarding and what the addresses of interfaces
// depend on, for a container's interfaces lead to networks of others too.
var sysctlForms = map[string]*pattern.Pattern{
	"net.core.somaxconn":                  upTo(6),
	"net.ipv4.ip_local_port_range":        pattern.New(`^[0-9]{1,5}[ \t][0-9]{1,5}$`),
	"net.ipv4.ip_unprivileged_port_start": upTo(5),
	"net.ipv4.ping_group_range":           pattern.New(`^[0-9]{1,10}[ \t][0-9]{1,10}$`),
	"net.ipv4.tcp_fin_timeout":            upTo(4),
	"net.ipv4.tcp_keepalive_intvl":        upTo(5),
	"net.ipv4.tcp_keepalive_probes":       upTo(3),
	"net.ipv4.tcp_keepalive_time":         upTo(6),
	"net.ipv4.tcp_max_syn_backlog":        upTo(6),
	"net.ipv4.tcp_mtu_probing":            pattern.New(`^[012]$`),
	"net.ipv4.tcp_retries1":               upTo(2),
	"net.ipv4.tcp_retries2":               upTo(2),
	"net.ipv4.tcp_slow_start_after_idle":  pattern.New(`^[01]$`),
	"net.ipv4.tcp_syn_retries":            upTo(2),
	"net.ipv4.tcp_synack_retries":         upTo(2),
	"net.ipv4.tcp_syncookies":             pattern.New(`^[012]$`),
	"net.ipv4.tcp_tw_reuse":               pattern.New(`^[012]$`),
	"net.ipv6.conf.all.disable_ipv6":      pattern.New(`^1$`),
	"net.ipv6.conf.default.disable_ipv6":  pattern.New(`^1$`),
}

// upTo is a decimal number of so many digits.
func upTo(digits int) *pattern.Pattern {
	return pattern.New(fmt.Sprintf(`^(0|[1-9][0-9]{0,%d})$`, digits-1))
}

// SysctlNames are the kernel settings that can be made, sorted.
func SysctlNames() []string {
	names := make([]string, 0, len(sysctlForms))
	for name := range sysctlForms {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

var (
	groupForm  = pattern.New(`^([0-9]{1,9}|[a-zA-Z_][a-zA-Z0-9_.-]{0,31})$`)
	nameInHost = pattern.New(`^[a-zA-Z0-9_]([a-zA-Z0-9_.-]{0,251}[a-zA-Z0-9_])?$`)
	dnsOption  = pattern.New(`^(ndots:([0-9]|1[0-5])|timeout:([1-9]|[12][0-9]|30)|attempts:[1-5]|rotate|use-vc|single-request|single-request-reopen|edns0|trust-ad|no-reload|inet6)$`)
)

// maxNames bounds each list below: an attacker shall not fill /etc/hosts.
const maxNames = 64

// confinement looks at what narrows or widens the container itself.
func (f *finder) confinement(at string, s Service) {
	for _, g := range s.Groups {
		if !groupForm.MatchString(g) {
			f.invalid(at+".groups", "write a gid or a name", "%q is not a group", g)
		}
	}
	for _, c := range s.CapDrop {
		if c != "ALL" && !slices.Contains(Capabilities(), c) {
			f.invalid(at+".capDrop", "write it like CHOWN, or ALL", "capability %q is unknown", c)
		}
	}
	for _, c := range s.CapAdd {
		switch {
		case c == "ALL":
			f.invalid(at+".capAdd", "name those that it needs, like NET_ADMIN", "nobody is given ALL capabilities")
		case !slices.Contains(Capabilities(), c):
			f.invalid(at+".capAdd", "write it like NET_ADMIN", "capability %q is unknown", c)
		case slices.Contains(s.CapDrop, c):
			f.invalid(at+".capAdd", "keep one of them", "capability %s is both added and dropped", c)
		}
	}
	for _, u := range s.Ulimits {
		f.ulimit(at+".ulimits", u)
	}
	for name, value := range s.Sysctls {
		form, known := sysctlForms[name]
		switch {
		case !known:
			f.invalid(at+".sysctls", "take it out; docs/reference/compose.md lists those that are", "the kernel setting %s is not free to choose", name)
		case !form.MatchString(value):
			f.invalid(at+".sysctls", "look into the kernel's documentation of "+name, "%s cannot be %q here", name, value)
		}
	}
	if l := s.Log; l.Size < 0 || l.Size > 0 && l.Size < 1<<10 || l.Size > 1<<30 || l.Files < 0 || l.Files > 10 {
		f.invalid(at+".log", "keep 1 to 10 files of 1 KiB to 1 GiB", "%d files of %d bytes of output cannot be kept", l.Files, l.Size)
	}
	if slices.Equal(s.Entrypoint, []string{""}) && len(s.Command) == 0 {
		f.invalid(at+".entrypoint", "write the command, too", "the image's entry point is taken away, and nothing is there to run")
	}
	f.lookups(at, s)
}

func (f *finder) ulimit(at string, u Ulimit) {
	switch {
	case !slices.Contains(ulimits, u.Name):
		f.invalid(at, "take it out, or use one of: "+strings.Join(ulimits, ", "), "the limit %q is not free to choose", u.Name)
	case u.Soft < Unlimited || u.Hard < Unlimited:
		f.invalid(at, "use -1 for no limit", "the limit %s is below zero", u.Name)
	case u.Hard != Unlimited && (u.Soft == Unlimited || u.Soft > u.Hard):
		f.invalid(at, "let soft be at most hard", "the soft limit %s is above the hard one", u.Name)
	case u.Name == "nofile" && (u.Hard == Unlimited || u.Hard > maxFiles):
		f.invalid(at, fmt.Sprintf("use at most %d", maxFiles), "more open files than the kernel has")
	}
}

// lookups looks at names and addresses that the service knows by itself.
func (f *finder) lookups(at string, s Service) {
	for _, h := range s.Hosts {
		if !nameInHost.MatchString(h.Name) || slices.ContainsFunc(strings.Split(strings.ToLower(h.Name), "."), LooksLikeID) {
			f.invalid(at+".hosts", nameRemedy, "%q cannot be a name", h.Name)
		}
		if a, err := netip.ParseAddr(h.Address); h.Address != HostGateway && (err != nil || a.Zone() != "") {
			f.invalid(at+".hosts", "write an IPv4 or IPv6 address, or host-gateway", "%q is not an address", h.Address)
		}
	}
	for _, server := range s.DNS.Servers {
		if a, err := netip.ParseAddr(server); err != nil || !a.IsGlobalUnicast() || a.Zone() != "" {
			f.invalid(at+".dns", "write the address of a server that can be reached from the container", "%q is not the address of a DNS server", server)
		}
	}
	for _, domain := range s.DNS.Search {
		if domain != "." && (len(domain) > 253 || !nameInHost.MatchString(domain)) {
			f.invalid(at+".dns", "write a domain, like example.org", "%q is not a domain to search", domain)
		}
	}
	for _, o := range s.DNS.Options {
		if !dnsOption.MatchString(o) {
			f.invalid(at+".dns", "take it out, or use one of resolv.conf(5): ndots:N, timeout:N, attempts:N, rotate, use-vc, edns0…", "DNS option %q is unknown", o)
		}
	}
	if len(s.Hosts) > maxNames || len(s.DNS.Servers)+len(s.DNS.Search)+len(s.DNS.Options) > maxNames || len(s.Groups) > maxNames {
		f.invalid(at, fmt.Sprintf("use at most %d", maxNames), "too many names, servers or groups")
	}
}
