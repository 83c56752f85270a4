package compose

import (
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"havre/internal/problem"
	"havre/internal/spec"
)

func (r *reader) ports(name string, s types.ServiceConfig) []spec.Port {
	var ports []spec.Port
	places := r.items(name, "ports", portKeys)
	for _, p := range s.Ports {
		at := places.at(portKey(p))
		port, ok := r.port(at, p)
		if !ok || slices.Contains(ports, port) { // as when published for 127.0.0.1 and for ::1
			continue
		}
		r.Origins[fmt.Sprintf("services.%s.ports[%d]", name, len(ports))] = at
		ports = append(ports, port)
	}
	return ports
}

func portKey(p types.ServicePortConfig) string {
	return fmt.Sprintf("%s|%s|%d", p.HostIP, p.Published, p.Target)
}

// portKeys are the ports that one item makes.
func portKeys(n *yaml.Node) []string {
	if n.Kind == yaml.ScalarNode {
		made, err := types.ParsePortConfig(n.Value)
		if err != nil {
			return nil
		}
		keys := make([]string, len(made))
		for i, p := range made {
			keys[i] = portKey(p)
		}
		return keys
	}
	word := func(name string) string {
		if _, value := child(n, name); value != nil {
			return value.Value
		}
		return ""
	}
	return []string{fmt.Sprintf("%s|%s|%s", word("host_ip"), word("published"), word("target"))}
}

func (r *reader) port(at problem.Place, p types.ServicePortConfig) (spec.Port, bool) {
	port := spec.Port{Protocol: spec.Protocol(strings.ToLower(p.Protocol))} // its access is for fronted to say
	if p.Target > math.MaxUint16 {
		r.Refuse(at, fmt.Sprintf("there is no port %d", p.Target), "use 1 to 65535")
		return port, false
	}
	port.Internal = uint16(p.Target)
	if p.HostIP != "" {
		ip, err := netip.ParseAddr(strings.Trim(p.HostIP, "[]"))
		switch {
		case err == nil && ip.IsUnspecified():
			port.Access = spec.Public
		case err == nil && (ip == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || ip == netip.IPv6Loopback()):
			port.Access = spec.Localhost
		default:
			r.Refuse(at, fmt.Sprintf("a port cannot be bound to the address %s alone", p.HostIP), "use 127.0.0.1 for this machine only, or no address for everyone")
			return port, false
		}
	}
	switch published, err := strconv.ParseUint(p.Published, 10, 16); {
	case p.Published == "":
	case err == nil:
		port.External = uint16(published)
	default:
		r.Refuse(at, fmt.Sprintf("%q is not one port of the machine", p.Published), "name one port, as many as in the container, or none to have a free one chosen")
		return port, false
	}
	return port, true
}

// expose reads "3000", "3000-3005" and "3000/tcp". Only TCP has links and
// health checks that look at it.
func (r *reader) expose(name string, s types.ServiceConfig) []uint16 {
	var ports []uint16
	places := r.items(name, "expose", itself)
	for _, e := range s.Expose {
		at := places.at(e)
		span, protocol, _ := strings.Cut(e, "/")
		first, last, isSpan := strings.Cut(span, "-")
		if !isSpan {
			last = first
		}
		from, err := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		switch {
		case err != nil || err2 != nil || from == 0 || to < from:
			r.Refuse(at, fmt.Sprintf("%q is not a port or a range of ports", e), "write it like 3000 or 3000-3005")
		case protocol == "udp":
			r.Warn(at, "expose has no effect for UDP: links and health look at TCP ports", leaveOut)
		case protocol != "" && protocol != "tcp":
			r.Refuse(at, fmt.Sprintf("protocol %q is unknown", protocol), "use tcp or udp")
		default:
			for p := from; p <= to; p++ {
				ports = append(ports, uint16(p))
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// maxPorts is the most ports that the ranges of a project may stand for.
const maxPorts = 1000

var span = regexp.MustCompile(`(\d+)-(\d+)`)

// spans refuses ranges that stand for too many ports, and leaves their first.
func (c *checker) spans(n *yaml.Node) {
	more := 0
	for _, s := range span.FindAllStringSubmatch(n.Value, -1) {
		from, _ := strconv.Atoi(s[1]) // too large a number is an error later
		to, _ := strconv.Atoi(s[2])
		more = max(more, to-from)
	}
	if c.spanned+more > maxPorts {
		c.Refuse(c.place(n), fmt.Sprintf("%s: ranges of ports come to more than %d", n.Value, maxPorts), "name the ports that are needed")
		n.Value = span.ReplaceAllString(n.Value, "$1")
		return
	}
	c.spanned += more
}
