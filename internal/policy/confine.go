package policy

import (
	"net/netip"
	"slices"
	"strconv"

	"havre/internal/dockercall"
	"havre/internal/pattern"
)

// maxNames bounds lists that become files in a container.
const maxNames = 64

// maxOpenFiles is the kernel's own bound, fs.nr_open.
const maxOpenFiles = 1 << 20

// ownUlimits are the limits that concern nobody but the container. Not here:
// nice, rtprio and rttime, which take time from others; msgqueue and
// sigpending, which count a user's processes over all containers.
var ownUlimits = []dockercall.UlimitName{"core", "cpu", "data", "fsize", "locks", "memlock", "nofile", "nproc", "rss", "stack"}

// ownSysctls are the settings that each network namespace has for itself.
// Forwarding and what concerns the addresses of interfaces are not here: the
// engine puts a leg of each container into a network that all share.
var ownSysctls = map[dockercall.SysctlName]*pattern.Pattern{
	"net.core.somaxconn":                  number(6),
	"net.ipv4.ip_local_port_range":        pattern.New(`^[0-9]{1,5}[ \t][0-9]{1,5}$`),
	"net.ipv4.ip_unprivileged_port_start": number(5),
	"net.ipv4.ping_group_range":           pattern.New(`^[0-9]{1,10}[ \t][0-9]{1,10}$`),
	"net.ipv4.tcp_fin_timeout":            number(4),
	"net.ipv4.tcp_keepalive_intvl":        number(5),
	"net.ipv4.tcp_keepalive_probes":       number(3),
	"net.ipv4.tcp_keepalive_time":         number(6),
	"net.ipv4.tcp_max_syn_backlog":        number(6),
	"net.ipv4.tcp_mtu_probing":            pattern.New(`^[012]$`),
	"net.ipv4.tcp_retries1":               number(2),
	"net.ipv4.tcp_retries2":               number(2),
	"net.ipv4.tcp_slow_start_after_idle":  pattern.New(`^[01]$`),
	"net.ipv4.tcp_syn_retries":            number(2),
	"net.ipv4.tcp_synack_retries":         number(2),
	"net.ipv4.tcp_syncookies":             pattern.New(`^[012]$`),
	"net.ipv4.tcp_tw_reuse":               pattern.New(`^[012]$`),
	"net.ipv6.conf.all.disable_ipv6":      pattern.New(`^1$`),
	"net.ipv6.conf.default.disable_ipv6":  pattern.New(`^1$`),
}

// number is a decimal number of so many digits.
func number(digits int) *pattern.Pattern {
	return pattern.New(`^(0|[1-9][0-9]{0,` + strconv.Itoa(digits-1) + `})$`)
}

// judgeConfinement looks at what a service says of its container alone.
func judgeConfinement(q question, box *dockercall.ContainerSpec) error {
	if len(box.Groups) > maxNames || len(box.Hosts) > maxNames || len(box.Ulimits) > maxNames {
		return refuse(Amount, "a container gets at most %d groups, hosts and limits", maxNames)
	}
	for name, value := range box.Sysctls {
		if form, own := ownSysctls[name]; !own || !form.MatchString(string(value)) {
			return refuse(SysctlRule, "the kernel setting %.60s=%.60q is not the container's to make", name, value)
		}
	}
	for _, u := range box.Ulimits {
		if err := judgeUlimit(u); err != nil {
			return err
		}
	}
	for _, h := range box.Hosts {
		if a, name := h.Split(); a != dockercall.HostGateway && !foreign(q, a) {
			return refuse(LookupAddress, "the name %s must not lead to %s", name, a)
		}
	}
	return judgeDNS(q, box.DNSConfig)
}

func judgeUlimit(u dockercall.Ulimit) error {
	const unlimited = -1
	within := u.Soft >= unlimited && u.Hard >= unlimited && (u.Hard == unlimited || u.Soft != unlimited && u.Soft <= u.Hard)
	files := u.Name != "nofile" || u.Hard != unlimited && u.Hard <= maxOpenFiles
	if !slices.Contains(ownUlimits, u.Name) || !within || !files {
		return refuse(UlimitRule, "the limit %s of %d to %d is not the container's to set", u.Name, u.Soft, u.Hard)
	}
	return nil
}

// judgeDNS allows servers that the container reaches by itself. The engine's
// own resolver asks them for it; never on the machine's loopback.
func judgeDNS(q question, d *dockercall.DNSConfig) error {
	if d == nil {
		return nil
	}
	if len(d.Nameservers)+len(d.Search)+len(d.Options) > maxNames {
		return refuse(Amount, "a container gets at most %d servers, domains and options", maxNames)
	}
	for _, s := range d.Nameservers {
		if a, err := netip.ParseAddr(string(s)); err != nil || !a.IsGlobalUnicast() || !foreign(q, string(s)) {
			return refuse(LookupAddress, "%s is no server for names", s)
		}
	}
	return nil
}

// foreign tells whether an address is outside the pool of networks: in it,
// addresses go from one project to another.
func foreign(q question, address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && q.bounds.Pool.IsValid() && !q.bounds.Pool.Contains(a)
}
