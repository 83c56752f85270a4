package dockercall

import (
	"net/netip"
	"strings"

	"havre/internal/pattern"
)

type (
	Group          string // a gid, or a group's name in the image
	HostLine       string // a line of /etc/hosts: an address or HostGateway, a blank, one name
	Server         string // an IP address as netip writes it, without a zone
	Domain         string // a domain to try behind short names, or "."
	ResolverOption string // an option of resolv.conf(5)
)

// Sysctls are kernel settings of a container's own namespaces.
type Sysctls map[SysctlName]Word

// SysctlName has the form of a kernel setting's name.
type SysctlName string

// HostGateway stands for the machine's address as containers see it.
const HostGateway = "host-gateway"

// DNSConfig is how a container looks up names. Docker API 1.41, ServiceSpec.
type DNSConfig struct {
	Nameservers []Server         `json:",omitzero"`
	Search      []Domain         `json:",omitzero"`
	Options     []ResolverOption `json:",omitzero"`
}

// Ulimit is a limit that the kernel holds each process to; -1 is none.
type Ulimit struct {
	Name UlimitName
	Soft int64
	Hard int64
}

// UlimitName has the form of a limit's name.
type UlimitName string

var (
	groupForm    = pattern.New(`^([0-9]{1,9}|[a-zA-Z_][a-zA-Z0-9_.-]{0,31})$`)
	resolverForm = pattern.New(`^(ndots:([0-9]|1[0-5])|timeout:([1-9]|[12][0-9]|30)|attempts:[1-5]|rotate|use-vc|single-request|single-request-reopen|edns0|trust-ad|no-reload|inet6)$`)
	sysctlForm   = pattern.New(`^[a-z0-9_]+(\.[a-zA-Z0-9_-]+)+$`)
	ulimitForm   = pattern.New(`^[a-z]{2,16}$`)
)

func (v Group) check() error { return form(groupForm, string(v), "a group") }
func (v ResolverOption) check() error {
	return form(resolverForm, string(v), "an option of a resolver")
}
func (v SysctlName) check() error { return form(sysctlForm, string(v), "a kernel setting") }
func (v UlimitName) check() error { return form(ulimitForm, string(v), "a limit") }

func (v Server) check() error {
	a, err := netip.ParseAddr(string(v))
	if err != nil || a.Zone() != "" || a.Is4In6() || a.String() != string(v) {
		return refuse(BadValue, "%.80q is not a plain IP address", string(v))
	}
	return nil
}

func (v Domain) check() error {
	if v == "." {
		return nil
	}
	return Alias(v).check()
}

func (v HostLine) check() error {
	address, name := v.Split()
	if address != HostGateway {
		if err := Server(address).check(); err != nil {
			return err
		}
	}
	return Alias(name).check()
}

// Split gives the address and the name.
func (v HostLine) Split() (address, name string) {
	address, name, _ = strings.Cut(string(v), " ")
	return address, name
}
