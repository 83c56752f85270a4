package policy

import (
	"net/netip"
	"strings"

	"havre/internal/dockercall"
)

// Sizes of a project's network, as prefix lengths.
const widest, narrowest = 20, 28

func networkCreate(q question, c *dockercall.NetworkCreate) (dockercall.Call, error) {
	s := c.Spec
	kind := NetKind
	if s.Labels[dockercall.KindLabel] == LinkKind {
		kind = LinkKind
	}
	// Plain containers have no business between two projects.
	if s.Driver != "overlay" || s.Attachable != (kind == NetKind) || s.Scope != "" && s.Scope != "swarm" {
		return nil, refuse(NetworkDriver, "networks are overlays of the swarm; those of projects are attachable, those of links are not")
	}
	if err := judgeAddresses(q.bounds.Pool, s.IPAM); err != nil {
		return nil, err
	}
	if err := judgeVacancy(q.facts.Subnets, s.IPAM.Config[0].Subnet); err != nil {
		return nil, err
	}
	labels, err := stamped(q, s.Labels, kind)
	if err != nil {
		return nil, err
	}
	if project, _, _ := strings.Cut(labels[dockercall.LinkLabel], "."); kind == LinkKind && project == labels[dockercall.ProjectLabel] {
		return nil, refuse(LabelMismatch, "a link network leads to another project")
	}
	if err := agree(labels, networkName, s.Name, dockercall.ProjectLabel); err != nil {
		return nil, err
	}
	s.Labels, s.CheckDuplicate = labels, true
	return &dockercall.NetworkCreate{Spec: s}, nil
}

// judgeAddresses wants one IPv4 network out of the pool: one that overlaps
// the host's own routes would take its traffic.
func judgeAddresses(pool netip.Prefix, ipam *dockercall.IPAM) error {
	if ipam == nil || len(ipam.Config) != 1 || ipam.Driver != "" && ipam.Driver != "default" {
		return refuse(NetworkSubnet, "a network states exactly one subnet")
	}
	subnet, err := netip.ParsePrefix(string(ipam.Config[0].Subnet))
	if err != nil || !pool.IsValid() || !pool.Contains(subnet.Addr()) || subnet.Bits() < pool.Bits() {
		return refuse(NetworkSubnet, "the subnet %q is not in the pool %v", ipam.Config[0].Subnet, pool)
	}
	if subnet.Bits() < widest || subnet.Bits() > narrowest {
		return refuse(NetworkSubnet, "the subnet %v is not of a size from /%d to /%d", subnet, widest, narrowest)
	}
	if g := ipam.Config[0].Gateway; g != "" {
		if a, err := netip.ParseAddr(string(g)); err != nil || !subnet.Contains(a) {
			return refuse(NetworkSubnet, "the gateway %q is not in the subnet %v", g, subnet)
		}
	}
	return nil
}

// judgeVacancy wants addresses that no network has. The engine takes such a
// network, gives it no addresses, and tells nobody.
func judgeVacancy(taken []netip.Prefix, text dockercall.Prefix) error {
	subnet, err := netip.ParsePrefix(string(text))
	if err != nil {
		return refuse(NetworkSubnet, "%q is not a subnet", text)
	}
	for _, p := range taken {
		if p.Overlaps(subnet) {
			return refuse(NetworkTaken, "another network of the engine has the addresses %v, of %v", p, subnet)
		}
	}
	return nil
}

// networkConnect attaches a portal, and nothing but a portal, to a network
// of its environment: tasks get their networks from their service.
func networkConnect(q question, c *dockercall.NetworkConnect) (dockercall.Call, error) {
	if err := mustBeOurs(q, q.facts.Target, "network"); err != nil {
		return nil, err
	}
	if err := mustBePortal(q); err != nil {
		return nil, err
	}
	if q.facts.Target.Labels[dockercall.KindLabel] != NetKind {
		return nil, refuse(NetworkKind, "a portal joins projects' networks only")
	}
	if placeOf(q.facts.Target.Labels).environment != placeOf(q.facts.Container.Labels).environment {
		return nil, refuse(OtherProject, "the network is of another environment than the portal")
	}
	if e := c.Attach.EndpointConfig; e != nil && len(e.Aliases) > 0 {
		return nil, refuse(PortalShape, "a portal has no names on a network")
	}
	return c, nil
}

func networkDisconnect(q question, c *dockercall.NetworkDisconnect) (dockercall.Call, error) {
	if err := mustBeOurs(q, q.facts.Target, "network"); err != nil {
		return nil, err
	}
	return c, mustBePortal(q)
}

func mustBePortal(q question) error {
	if err := mustBeOurs(q, q.facts.Container, "container"); err != nil {
		return err
	}
	if q.facts.Container.Labels[dockercall.KindLabel] != PortalKind {
		return refuse(NetworkKind, "only a portal changes its networks")
	}
	return nil
}
