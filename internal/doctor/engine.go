package doctor

import (
	"fmt"
	"strconv"
	"strings"
)

// Engine is what was found of Docker.
type Engine struct {
	Socket  string
	Program bool // there is a dockerd on this machine
	Exists  bool // the socket does
	Denied  bool // it is not ours to use
	Says    string
	Version string // none when it does not answer
	API     string
	Swarm   Swarm
	Nodes   []Node // none when it is no manager
	Driver  string // of images
	Memory  bool   // it can limit memory

	Runc     string   // its version; none when it does not tell
	Security []string // its security options
}

// Swarm is the engine's part in a swarm.
type Swarm struct {
	State   string // inactive, pending, active, error, locked
	Manager bool
	Node    string
	Says    string
}

// Node is a machine of the swarm.
type Node struct {
	Name  string
	ID    string
	State string // ready, down, unknown, disconnected
}

// leastAPI is what Engine 20.10 speaks.
const leastAPI = "1.41"

func engine(f Facts) []Check {
	e := f.Engine
	switch {
	case e.Denied:
		return skipped("engine", needsRoot)
	case e.Version != "" && older(e.API, leastAPI):
		return []Check{bad("engine", fmt.Sprintf("Docker Engine %s is too old: it speaks API %s, Havre needs %s (Engine 20.10)", e.Version, e.API, leastAPI), "apt-get update && apt-get install docker.io")}
	case e.Version != "":
		return well("engine", "Docker Engine %s answers (API %s)", e.Version, e.API)
	case !e.Program && !e.Exists:
		return []Check{bad("engine", "there is no Docker Engine: neither a dockerd nor the socket "+e.Socket, "apt-get install docker.io")}
	case !e.Exists:
		return []Check{bad("engine", "the engine's socket "+e.Socket+" is missing: it does not run, or listens elsewhere (then tell havre up with --engine)", f.service())}
	}
	return []Check{bad("engine", "the engine does not answer at "+e.Socket+": "+e.Says, f.service())}
}

// older compares versions of two numbers.
func older(a, b string) bool {
	x, y := numbers(a), numbers(b)
	return x[0] < y[0] || x[0] == y[0] && x[1] < y[1]
}

func numbers(version string) [2]int {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	var n [2]int
	n[0], _ = strconv.Atoi(leading(major)) // what is no number is old
	n[1], _ = strconv.Atoi(leading(minor))
	return n
}

func leading(s string) string {
	return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
}

func swarm(f Facts) []Check {
	e, s := f.Engine, f.Engine.Swarm
	if e.Version == "" {
		return skipped("swarm", "the engine does not answer")
	}
	switch {
	case s.State == "locked":
		return []Check{bad("swarm", "the swarm is locked since the engine started: nothing is scheduled", "docker swarm unlock")}
	case s.State == "inactive" && f.SetUp && f.role("server"):
		return []Check{bad("swarm", "the engine is in no swarm any more, so no service can run", f.restart())}
	case s.State == "inactive":
		return well("swarm", "the engine is in no swarm; havre up makes one")
	case s.State != "active":
		return []Check{bad("swarm", strings.TrimSuffix("the engine's part in its swarm is "+s.State+": "+s.Says, ": "), "docker info")}
	case !s.Manager:
		return []Check{bad("swarm", "this machine is a worker of its swarm, and Havre runs on managers; on a manager:", "docker node promote "+s.Node)}
	}
	var found []Check
	for _, n := range e.Nodes {
		if n.State != "ready" {
			found = append(found, bad("swarm", fmt.Sprintf("node %s is %s: start its machine and engine, or forget it for good", n.Name, n.State), "docker node rm --force "+n.ID))
		}
	}
	return orWell(found, "swarm", fmt.Sprintf("this machine manages a swarm of %d", max(1, len(e.Nodes))))
}

func memory(f Facts) []Check {
	if f.Engine.Version == "" {
		return skipped("memory", "the engine does not answer")
	}
	if f.Engine.Memory {
		return well("memory", "the engine can limit what a service takes")
	}
	return []Check{warning("memory", "the kernel has no memory controller, so limits of services have no effect; on a Raspberry Pi, then reboot:",
		"sed -i 's/$/ cgroup_enable=memory cgroup_memory=1/' /boot/firmware/cmdline.txt")}
}

// Kernel is what the system can do.
type Kernel struct {
	Release    string
	Overlay    bool
	VXLAN      bool
	Tried      bool // whether VXLAN was tried
	Forwarding bool // of IPv4
	AppArmor   bool
}

// leastKernel has mount_setattr(2), which the guard mounts volumes with.
const leastKernel = "5.12"

func kernel(f Facts) []Check {
	k := f.Kernel
	var found []Check
	if older(k.Release, leastKernel) {
		found = append(found, bad("kernel", "Linux "+k.Release+" is too old, Havre needs "+leastKernel, "apt-get update && apt-get dist-upgrade && reboot"))
	}
	if !k.Overlay && !strings.HasPrefix(f.Engine.Driver, "overlay") {
		found = append(found, bad("kernel", "the kernel has no overlay file system, which images need", "modprobe overlay"))
	}
	if k.Tried && !k.VXLAN {
		found = append(found, bad("kernel", "the kernel has no VXLAN, which the networks of projects need", "modprobe vxlan"))
	}
	says := "Linux " + k.Release + " has overlay and VXLAN"
	if !k.Tried {
		says = "Linux " + k.Release + " has overlay; VXLAN only root can try"
	}
	return orWell(found, "kernel", says)
}

func forwarding(f Facts) []Check {
	if !f.Kernel.Forwarding {
		return []Check{bad("forwarding", "the kernel does not forward IPv4, so containers reach nothing outside", "sysctl -w net.ipv4.ip_forward=1")}
	}
	return well("forwarding", "IPv4 is forwarded")
}

// Tool is a program that Havre calls.
type Tool struct {
	Name, Package string
	There         bool
}

func tools(f Facts) []Check {
	var found []Check
	for _, t := range f.Tools {
		if !t.There {
			found = append(found, bad("tools", "there is no "+t.Name+", which Havre calls", "apt-get install "+t.Package))
		}
	}
	return orWell(found, "tools", "what Havre calls is there")
}
