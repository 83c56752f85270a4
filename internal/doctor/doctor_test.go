package doctor_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/doctor"
)

var now = time.Date(2031, 5, 4, 3, 2, 1, 0, time.UTC)

// sound is a machine on which nothing is wrong.
func sound() doctor.Facts {
	own := doctor.Owner{User: "root", Group: "root", Mode: 0o711}
	return doctor.Facts{
		Root: true, Data: "/var/lib/havre", SetUp: true,
		Engine: doctor.Engine{
			Socket: "/var/run/docker.sock", Program: true, Exists: true, Version: "20.10.24", API: "1.41", Driver: "overlay2", Memory: true,
			Runc: "1.3.3", Security: []string{"name=apparmor", "name=seccomp,profile=default"},
			Swarm: doctor.Swarm{State: "active", Manager: true, Node: "n1"},
			Nodes: []doctor.Node{{Name: "one", ID: "n1", State: "ready"}},
		},
		Parts:   []doctor.Part{{Path: "/var/lib/havre", Exists: true, Needed: true, Want: own, Have: own}},
		Roles:   []doctor.Role{{Name: "up", Running: true}, {Name: "guard", Running: true}, {Name: "server", Running: true}, {Name: "ingress", Running: true}},
		Health:  []doctor.Health{{Name: "loop", Well: true}},
		Trusted: true, Ports: []doctor.Port{{Number: 7080, For: "the API", Flag: "--listen 127.0.0.1:", API: true, Free: 17080, Holder: doctor.Holder{There: true, Ours: true}}},
		Network: doctor.Network{Pool: netip.MustParsePrefix("10.87.0.0/16"), Routes: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24")}},
		Tables:  []doctor.Table{{Tool: "iptables", Rules: rules()}},
		Clock:   doctor.Clock{Now: now, Engine: now.Add(time.Second), Newest: now.Add(-time.Minute)},
		Disks:   []doctor.Disk{{Of: "Havre's data", Path: "/var/lib/havre", Bytes: 0.5, Inodes: 0.1}},
		Kernel:  doctor.Kernel{Release: "6.1.0-18-amd64", Overlay: true, VXLAN: true, Tried: true, Forwarding: true},
		Tools:   []doctor.Tool{{Name: "iptables", Package: "iptables", There: true}},
		Context: doctor.Context{File: "/root/.config/havre/context.json", Exists: true, Mode: 0o600},
	}
}

// rules is a packet filter with all our rules in it.
func rules() []string {
	lines := []string{"-P INPUT ACCEPT", "-A INPUT -j HAVRE-INPUT", "-A INPUT -i lo -j ACCEPT", "-A PREROUTING -j HAVRE-PREROUTING"}
	for _, nic := range []string{"docker0", "docker_gwbridge", "br-+"} {
		for _, p := range []string{"udp:4789", "udp:7946", "tcp:7946", "tcp:2377", "tcp:7080"} {
			proto, port, _ := strings.Cut(p, ":")
			for _, chain := range []string{"HAVRE-INPUT", "HAVRE-PREROUTING"} {
				lines = append(lines, "-A "+chain+" -i "+nic+" -p "+proto+" -m "+proto+" --dport "+port+" -j DROP")
			}
		}
	}
	return lines
}

func TestSoundMachineHasNoFaults(t *testing.T) {
	for _, c := range doctor.Examine(sound()) {
		if c.Level != doctor.Well || !c.OK || c.Says == "" || c.Remedy != "" {
			t.Errorf("%+v", c)
		}
	}
}

func TestEachFaultIsNamedWithItsRemedy(t *testing.T) {
	for _, c := range []struct {
		spoil  func(*doctor.Facts)
		name   string
		level  doctor.Level
		says   string
		remedy string
	}{
		{func(f *doctor.Facts) { f.Root = false }, "root", doctor.Warning, "not run as root", "sudo havre doctor"},
		{func(f *doctor.Facts) { f.Engine = doctor.Engine{Socket: "/s"} }, "engine", doctor.Bad, "no Docker Engine", "apt-get install docker.io"},
		{func(f *doctor.Facts) { f.Engine = doctor.Engine{Socket: "/s", Program: true} }, "engine", doctor.Bad, "/s is missing", "service docker start"},
		{func(f *doctor.Facts) {
			f.Systemd, f.Engine = true, doctor.Engine{Socket: "/s", Program: true, Exists: true, Says: "connection refused"}
		}, "engine", doctor.Bad, "connection refused", "systemctl start docker"},
		{func(f *doctor.Facts) { f.Engine.API = "1.40" }, "engine", doctor.Bad, "too old", "docker.io"},
		{func(f *doctor.Facts) { f.Engine.API = "1.9" }, "engine", doctor.Bad, "too old", "docker.io"},
		{func(f *doctor.Facts) { f.Engine = doctor.Engine{Denied: true} }, "engine", doctor.Skipped, "only root", ""},
		{func(f *doctor.Facts) { f.Engine.Runc = "1.1.5+ds1" }, "runc", doctor.Warning, "runc 1.1.5+ds1 is older than 1.2.8 and 1.3.3", "--only-upgrade runc"},
		{func(f *doctor.Facts) { f.Engine.Runc = "" }, "runc", doctor.Skipped, "does not tell", ""},
		{func(f *doctor.Facts) {
			f.Engine.Security, f.Kernel.AppArmor = []string{"name=seccomp,profile=default"}, true
		}, "confinement", doctor.Warning, "the kernel has AppArmor", "apt-get install apparmor && service docker restart"},
		{func(f *doctor.Facts) { f.Engine.Security = nil }, "confinement", doctor.Warning, "the kernel has no AppArmor", "lsm"},
		{func(f *doctor.Facts) { f.Engine.Swarm.State = "locked" }, "swarm", doctor.Bad, "is locked", "docker swarm unlock"},
		{func(f *doctor.Facts) { f.Engine.Swarm.State = "inactive" }, "swarm", doctor.Bad, "in no swarm any more", "havre down && havre up --detach"},
		{func(f *doctor.Facts) { f.Engine.Swarm.State, f.Engine.Swarm.Says = "error", "expired" }, "swarm", doctor.Bad, "error: expired", "docker info"},
		{func(f *doctor.Facts) { f.Engine.Swarm.Manager = false }, "swarm", doctor.Bad, "worker", "docker node promote n1"},
		{func(f *doctor.Facts) {
			f.Engine.Nodes = append(f.Engine.Nodes, doctor.Node{Name: "two", ID: "n2", State: "down"})
		}, "swarm", doctor.Bad, "node two is down", "docker node rm --force n2"},
		{func(f *doctor.Facts) { f.Engine.Memory = false }, "memory", doctor.Warning, "no memory controller", "cgroup_enable=memory"},
		{func(f *doctor.Facts) { f.Kernel.Release = "5.10.0-28-amd64" }, "kernel", doctor.Bad, "too old", "reboot"},
		{func(f *doctor.Facts) { f.Kernel.VXLAN = false }, "kernel", doctor.Bad, "no VXLAN", "modprobe vxlan"},
		{func(f *doctor.Facts) { f.Kernel.Overlay, f.Engine.Driver = false, "vfs" }, "kernel", doctor.Bad, "no overlay", "modprobe overlay"},
		{func(f *doctor.Facts) { f.Kernel.Forwarding = false }, "forwarding", doctor.Bad, "does not forward", "sysctl -w net.ipv4.ip_forward=1"},
		{func(f *doctor.Facts) { f.Trusted = false }, "certificates", doctor.Well, "does not trust Havre's own authority", "curl -fsS http://127.0.0.1:7080/v1/authority | sudo tee"},
		{func(f *doctor.Facts) { f.Tools[0].There = false }, "tools", doctor.Bad, "no iptables", "apt-get install iptables"},
		{func(f *doctor.Facts) { f.Parts[0].Have.Mode = 0o777 }, "data", doctor.Bad, "mode 0777", "chmod 0711 /var/lib/havre"},
		{func(f *doctor.Facts) { f.Parts[0].Have.User = "alice" }, "data", doctor.Bad, "belongs to alice:root", "chown root:root /var/lib/havre"},
		{func(f *doctor.Facts) { f.Parts[0].Want.Mode, f.Parts[0].Have = 0o2750, doctor.Owner{User: "x"} }, "data", doctor.Bad, "x:", "chown root:root /var/lib/havre && chmod 2750 /var/lib/havre"},
		{func(f *doctor.Facts) { f.Parts[0].Link = true }, "data", doctor.Bad, "is a link", "ls -l /var/lib/havre"},
		{func(f *doctor.Facts) { f.Parts[0].Exists = false }, "data", doctor.Bad, "is missing", "havre up"},
		{func(f *doctor.Facts) { f.Config = []doctor.Finding{{"unknown key", "havre config check server"}} }, "config", doctor.Bad, "unknown key", "havre config check"},
		{func(f *doctor.Facts) { f.Hidden = true }, "config", doctor.Skipped, "only root", ""},
		{func(f *doctor.Facts) { f.Hidden, f.Ports[0].Holder = true, doctor.Holder{There: true} }, "ports", doctor.Skipped, "only root", ""},
		{func(f *doctor.Facts) { f.Hidden, f.Network.Bounds = true, netip.MustParsePrefix("10.9.0.0/16") }, "pool", doctor.Skipped, "only root", ""},
		{func(f *doctor.Facts) { f.Roles[0].Running = false }, "roles", doctor.Bad, "supervisor", "havre up --detach"},
		{func(f *doctor.Facts) { f.Roles[2] = doctor.Role{Name: "server", Log: "/l", Last: "disk full"} }, "roles", doctor.Bad, "disk full", "tail -n 30 /l"},
		{func(f *doctor.Facts) { f.Roles, f.Systemd, f.Unit = nil, true, true }, "roles", doctor.Bad, "Havre is down", "systemctl restart havre"},
		{func(f *doctor.Facts) { f.Health[0] = doctor.Health{Name: "loop", Says: "stuck"} }, "parts", doctor.Bad, "stuck", "server.log"},
		{func(f *doctor.Facts) {
			f.Health = append(f.Health, doctor.Health{Name: "certificates", Well: true, Says: "www.example.org: no public certificate: no such name"})
		}, "certificates", doctor.Warning, "no such name", "server.log"},
		{func(f *doctor.Facts) { f.Ports[0].Holder = doctor.Holder{There: true, PID: 7, Name: "nginx"} }, "ports", doctor.Bad, "7080, for the API, is held by nginx (process 7)", "havre down && havre up --detach --listen 127.0.0.1:17080"},
		{func(f *doctor.Facts) {
			f.Ports[0] = doctor.Port{Number: 80, For: "domains", Flag: "--http-port ", Free: 10080, Holder: doctor.Holder{There: true, User: "www"}}
		}, "ports", doctor.Warning, "a program of the user www", "--http-port 10080"},
		{func(f *doctor.Facts) {
			f.Listeners = []doctor.Listener{{Listen: ":25/tcp", Service: "mail", Says: "in use", Holder: doctor.Holder{There: true, PID: 9, Name: "exim"}}}
		}, "ports", doctor.Bad, "service mail has no port :25/tcp: in use; exim", "kill 9"},
		{func(f *doctor.Facts) {
			f.Network.Routes = append(f.Network.Routes, netip.MustParsePrefix("10.87.3.0/24"), netip.MustParsePrefix("10.88.0.0/16"))
		}, "pool", doctor.Bad, "as 10.89.0.0/16", "ip route del 10.87.3.0/24"},
		{func(f *doctor.Facts) { f.Network.Bounds = netip.MustParsePrefix("10.9.0.0/16") }, "pool", doctor.Bad, "the guard allows 10.9.0.0/16", "grep -Hs pool"},
		{func(f *doctor.Facts) { f.Tables[0].Rules = nil }, "firewall", doctor.Bad, "INPUT does not go through", "run/guard.sock"},
		{func(f *doctor.Facts) { f.Tables[0].Rules, f.Roles = nil, nil }, "firewall", doctor.Bad, "INPUT does not go through", "havre up --detach"},
		{func(f *doctor.Facts) { f.Tables[0].Rules[1] = "-A INPUT -j ACCEPT" }, "firewall", doctor.Bad, "HAVRE-INPUT first", `"ports":[7080]`},
		{func(f *doctor.Facts) { f.Tables[0].Rules = slices.Delete(f.Tables[0].Rules, 3, 4) }, "firewall", doctor.Bad, "HAVRE-PREROUTING first", "curl"},
		{func(f *doctor.Facts) { f.Disks[0].Bytes = 0.85 }, "disk", doctor.Warning, "85 %", "du -xh"},
		{func(f *doctor.Facts) { f.Disks[0].Bytes = 0.95 }, "disk", doctor.Bad, "95 %", "du -xh"},
		{func(f *doctor.Facts) { f.Disks[0].Inodes = 0.96 }, "inodes", doctor.Bad, "96 %", "--inodes"},
		{func(f *doctor.Facts) { f.Clock.Engine = now.Add(-2 * time.Minute) }, "clock", doctor.Bad, "2m1s apart|2m0s apart", "date -s"},
		{func(f *doctor.Facts) { f.Clock.Newest, f.Clock.File, f.Systemd = now.Add(time.Hour), "/f", true }, "clock", doctor.Bad, "went back: /f", "timedatectl set-ntp true"},
		{func(f *doctor.Facts) { f.Clock.Built = now.Add(time.Hour) }, "clock", doctor.Bad, "before this program was made", "date -s"},
		{func(f *doctor.Facts) { f.PortalFlaw = "no file" }, "portal", doctor.Bad, "no portal", "make build"},
		{func(f *doctor.Facts) { f.Context.Mode = 0o644 }, "context", doctor.Bad, "others may read", "chmod 600"},
		{func(f *doctor.Facts) { f.Context.Says = "not understood" }, "context", doctor.Bad, "not understood", "rm "},
	} {
		f := sound()
		c.spoil(&f)
		all := doctor.Examine(f)
		i := slices.IndexFunc(all, func(x doctor.Check) bool { return x.Name == c.name && x.Level == c.level })
		if i < 0 {
			t.Errorf("%s is not %s: %+v", c.name, c.level, all)
			continue
		}
		said := slices.ContainsFunc(strings.Split(c.says, "|"), func(s string) bool { return strings.Contains(all[i].Says, s) })
		if !said || !strings.Contains(all[i].Remedy, c.remedy) || all[i].OK != (c.level != doctor.Bad) || doctor.Sick(all) != slices.ContainsFunc(all, func(x doctor.Check) bool { return !x.OK }) {
			t.Errorf("%s: %+v; want %q and %q", c.name, all[i], c.says, c.remedy)
		}
	}
}

func TestRuncIsJudgedByItsLine(t *testing.T) {
	for version, mended := range map[string]bool{
		"1.0.0-rc93": false, "1.1.5+ds1": false, "1.1.15": false, "1.2.7": false, "1.2.8": true, "1.2.10": true, "1.3.0-rc.2": false, "1.3.2": false, "1.3.3": true, "1.3.3+ds1": true,
		"1.4.0-rc.1": false, "1.4.0-rc.3": true, "1.4.0": true, "1.5.0": true, "2.0.0": true, "0.9.9": false, "unknown": false,
	} {
		f := sound()
		f.Engine.Runc = version
		warned := slices.ContainsFunc(doctor.Examine(f), func(c doctor.Check) bool { return c.Name == "runc" && c.Level == doctor.Warning })
		if warned == mended {
			t.Errorf("%s: warned %v", version, warned)
		}
	}
	f := sound()
	f.Engine.Security = []string{"name=selinux"}
	if all := doctor.Examine(f); slices.ContainsFunc(all, func(c doctor.Check) bool { return c.Level != doctor.Well }) {
		t.Errorf("with SELinux: %+v", all)
	}
}

// A rule that is gone is seen, whichever it is.
func TestEveryFirewallRuleIsMissed(t *testing.T) {
	for i, rule := range rules() {
		if !strings.HasSuffix(rule, "DROP") || strings.HasPrefix(rule, "-A HAVRE-PREROUTING") && strings.Contains(rule, "7080") {
			continue
		}
		f := sound()
		f.Tables[0].Rules = slices.Delete(rules(), i, i+1)
		if !doctor.Sick(doctor.Examine(f)) {
			t.Errorf("%s is gone and nothing is said", rule)
		}
	}
}

func TestOtherDataDirectoryIsNamedInRemedies(t *testing.T) {
	f := sound()
	f.Data, f.Roles = "/srv/havre", nil
	for _, c := range doctor.Examine(f) {
		if c.Name == "roles" && c.Remedy != "havre up --detach --data /srv/havre" {
			t.Errorf("got %q", c.Remedy)
		}
	}
}

func TestWhoIsNotRootIsNotToldThatHavreDoesNotRun(t *testing.T) {
	f := sound()
	f.Root, f.Parts, f.Roles, f.Tables, f.Health = false, nil, nil, nil, nil
	for _, c := range doctor.Examine(f) {
		if strings.Contains(c.Says, "does not run") {
			t.Errorf("%+v", c)
		}
	}
}

func TestMachineWithoutHavreIsNotSick(t *testing.T) {
	f := sound()
	f.SetUp, f.Parts, f.Roles, f.Tables, f.Health = false, nil, nil, nil, nil
	f.Ports[0].Holder, f.Engine.Swarm, f.Context = doctor.Holder{}, doctor.Swarm{State: "inactive"}, doctor.Context{}
	if all := doctor.Examine(f); doctor.Sick(all) {
		t.Errorf("%+v", all)
	}
}
