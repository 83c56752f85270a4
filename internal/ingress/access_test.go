package ingress_test

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"havre/internal/ingress"
	"havre/internal/spec"
)

func links() ([]ingress.Interface, error) {
	link := func(name string, prefixes ...string) ingress.Interface {
		i := ingress.Interface{Name: name}
		for _, p := range prefixes {
			i.Prefixes = append(i.Prefixes, netip.MustParsePrefix(p))
		}
		return i
	}
	return []ingress.Interface{
		link("lo", "127.0.0.1/8", "::1/128"),
		link("eth0", "203.0.113.2/24", "2001:db8::2/64", "fe80::2/64"),
		link("eth1", "192.168.1.2/24", "fd00:1::2/64", "fe80::3/64"),
		link("docker0", "172.17.0.1/16", "fe80::42/64", "fd00:d::1/64"),
		link("docker_gwbridge", "172.18.0.1/16"),
		link("br-0123456789ab", "192.168.96.1/20"),
		link("br-lan", "192.168.2.1/24"),
		link("veth12ab", "10.9.9.1/30"),
		link("vxlan-not-ours", "10.9.8.1/30"),
	}, nil
}

func networks() *ingress.Networks {
	return &ingress.Networks{
		Local:      ingress.LocalNetworks(),
		Engine:     []netip.Prefix{netip.MustParsePrefix("10.87.0.0/16")},
		Interfaces: links,
	}
}

func TestAccessIsByTheClientsAddress(t *testing.T) {
	n := networks()
	const here, near, far = "here", "near", "far"
	for client, where := range map[string]string{
		"127.0.0.1":            here,
		"127.8.8.8":            here,
		"::1":                  here,
		"::ffff:127.0.0.1":     here,
		"203.0.113.2":          here, // the machine's own
		"::ffff:203.0.113.2":   here,
		"2001:db8::2":          here,
		"192.168.1.2":          here,
		"172.17.0.1":           here,
		"fe80::2%eth0":         here,
		"192.168.1.77":         near,
		"::ffff:192.168.1.77":  near,
		"192.168.2.9":          near, // a bridge, but not the engine's
		"10.0.0.7":             near,
		"10.9.8.2":             near,
		"172.31.0.9":           near,
		"169.254.3.4":          near,
		"fd00:1::77":           near,
		"fe80::77%eth1":        near,
		"203.0.113.77":         far,
		"2001:db8::77":         far,
		"8.8.8.8":              far,
		"100.64.0.9":           far, // shared by a provider's customers
		"172.32.0.1":           far,
		"11.0.0.1":             far,
		"172.17.0.5":           far, // containers
		"::ffff:172.17.0.5":    far,
		"172.18.0.5":           far,
		"192.168.96.5":         far,
		"192.168.111.5":        far,
		"10.9.9.2":             far,
		"10.87.3.5":            far, // by Settings.Engine
		"::ffff:10.87.3.5":     far,
		"fd00:d::5":            far,
		"fe80::5%docker0":      far,
		"fe80::2%docker0":      far, // the machine's own on eth0 only
		"fe80::5":              far, // on which link?
		"::ffff:192.168.96.50": far,
		"0.0.0.0":              far,
	} {
		a := netip.MustParseAddr(client)
		for access, want := range map[spec.Access]bool{
			spec.Public:    true,
			spec.Private:   where != far,
			spec.Localhost: where == here,
			"":             false,
			"PUBLIC":       false,
		} {
			if n.Allow(access, a) != want {
				t.Errorf("%s comes in by %q access: %v", client, access, !want)
			}
		}
	}
	for _, access := range []spec.Access{spec.Public, spec.Private, spec.Localhost} {
		if n.Allow(access, netip.Addr{}) {
			t.Errorf("a client without an address comes in by %s access", access)
		}
	}
}

func TestSharedAddressSpaceComesInWhenToldTo(t *testing.T) {
	n := networks()
	n.Local = append(n.Local, netip.MustParsePrefix("100.64.0.0/10"))
	if !n.Allow(spec.Private, netip.MustParseAddr("100.64.0.9")) {
		t.Error("it does not")
	}
}

func TestWhileInterfacesAreUnknownNoStrangerIsPrivate(t *testing.T) {
	n := networks()
	n.Interfaces = func() ([]ingress.Interface, error) { return nil, errors.New("no netlink today") }
	for client, want := range map[string]bool{"192.168.1.77": false, "172.17.0.5": false, "127.0.0.1": true} {
		if n.Allow(spec.Private, netip.MustParseAddr(client)) != want {
			t.Errorf("%s comes in: %v", client, !want)
		}
	}
	if !n.Allow(spec.Public, netip.MustParseAddr("8.8.8.8")) {
		t.Error("public access suffers")
	}
}

func TestNewNetworkOfTheEngineIsSeenAfterASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, asked, made := networks(), 0, false
		n.Interfaces = func() ([]ingress.Interface, error) {
			asked++
			all, err := links()
			if made {
				all = append(all, ingress.Interface{Name: "br-ba9876543210", Prefixes: []netip.Prefix{netip.MustParsePrefix("172.20.0.1/16")}})
			}
			return all, err
		}
		container := netip.MustParseAddr("172.20.0.5")
		if !n.Allow(spec.Private, container) {
			t.Error("nothing says yet that it is a container")
		}
		made = true
		for range 1000 {
			n.Allow(spec.Private, container)
		}
		if asked != 1 {
			t.Errorf("asked %d times within a second", asked)
		}
		time.Sleep(time.Second)
		if n.Allow(spec.Private, container) {
			t.Error("a container comes in by private access")
		}
	})
}

func TestMachineHasALoopback(t *testing.T) {
	all, err := ingress.Machine()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		for _, p := range i.Prefixes {
			if i.Name == "lo" && p.Addr() == netip.MustParseAddr("127.0.0.1") {
				return
			}
		}
	}
	t.Errorf("interfaces = %v", all)
}
