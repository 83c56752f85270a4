package dockercall

import "net/netip"

// The kinds about networks.
const (
	NetworkCreateKind     Kind = "NetworkCreate"
	NetworkListKind       Kind = "NetworkList"
	NetworkInspectKind    Kind = "NetworkInspect"
	NetworkRemoveKind     Kind = "NetworkRemove"
	NetworkConnectKind    Kind = "NetworkConnect"
	NetworkDisconnectKind Kind = "NetworkDisconnect"
)

// NetworkCreate makes a project's network.
type NetworkCreate struct {
	Spec NetworkSpec `body:"json"`
}

// NetworkSpec is an overlay network. Docker API 1.41, NetworkCreate.
type NetworkSpec struct {
	Name           ObjectName
	CheckDuplicate bool   `json:",omitzero"`
	Driver         string // overlay
	Scope          string `json:",omitzero"` // swarm
	IPAM           *IPAM  `json:",omitzero"`
	Internal       bool   `json:",omitzero"`
	Attachable     bool   `json:",omitzero"`
	Labels         Labels `json:",omitzero"`

	// Never set.
	EnableIPv4, EnableIPv6, Ingress, ConfigOnly, ConfigFrom, Options Zero `json:",omitzero"`
}

// IPAM is a network's addresses.
type IPAM struct {
	Driver  string       `json:",omitzero"` // default
	Config  []IPAMConfig `json:",omitzero"`
	Options Zero         `json:",omitzero"`
}

// IPAMConfig is one range of addresses.
type IPAMConfig struct {
	Subnet  Prefix  `json:",omitzero"`
	Gateway Address `json:",omitzero"`

	// Never set.
	IPRange, AuxiliaryAddresses Zero `json:",omitzero"`
}

// Prefix is an IP prefix in its only canonical spelling.
type Prefix string

// Address is an IP address in its only canonical spelling.
type Address string

func (p Prefix) check() error {
	n, err := netip.ParsePrefix(string(p))
	if err != nil || n.Masked().String() != string(p) {
		return refuse(BadValue, "%.60q is not a network in canonical form", string(p))
	}
	return nil
}

func (a Address) check() error {
	n, err := netip.ParseAddr(string(a))
	if err != nil || n.String() != string(a) {
		return refuse(BadValue, "%.60q is not an address in canonical form", string(a))
	}
	return nil
}

// NetworkList lists Havre's networks.
type NetworkList struct {
	Filters Filters `query:"filters"`
}

// NetworkInspect shows one network of Havre's.
type NetworkInspect struct {
	ID      SwarmID `path:"ID"`
	Verbose bool    `query:"verbose"`
	Scope   Zero    `query:"scope"`
}

// NetworkRemove removes one network of Havre's.
type NetworkRemove struct {
	ID SwarmID `path:"ID"`
}

// NetworkConnect attaches a running portal to one more network.
type NetworkConnect struct {
	ID     SwarmID       `path:"ID"`
	Attach NetworkAttach `body:"json"`
}

// NetworkAttach says what to attach. Docker API 1.41, NetworkConnect.
type NetworkAttach struct {
	Container      ContainerID
	EndpointConfig *Endpoint `json:",omitzero"`
}

// Endpoint is a container's end in a network.
type Endpoint struct {
	Aliases []Alias `json:",omitzero"`

	// Never set.
	IPAMConfig, Links, DriverOpts, GwPriority, NetworkID, EndpointID, Gateway, IPAddress, MacAddress, IPPrefixLen,
	IPv6Gateway, GlobalIPv6Address, GlobalIPv6PrefixLen, DNSNames Zero `json:",omitzero"`
}

// NetworkDisconnect detaches a container from a network.
type NetworkDisconnect struct {
	ID     SwarmID       `path:"ID"`
	Detach NetworkDetach `body:"json"`
}

// NetworkDetach says what to detach. Docker API 1.41, NetworkDisconnect.
type NetworkDetach struct {
	Container ContainerID
	Force     bool `json:",omitzero"`
}

// Kind is the call's kind.
func (NetworkCreate) Kind() Kind     { return NetworkCreateKind }
func (NetworkList) Kind() Kind       { return NetworkListKind }
func (NetworkInspect) Kind() Kind    { return NetworkInspectKind }
func (NetworkRemove) Kind() Kind     { return NetworkRemoveKind }
func (NetworkConnect) Kind() Kind    { return NetworkConnectKind }
func (NetworkDisconnect) Kind() Kind { return NetworkDisconnectKind }
