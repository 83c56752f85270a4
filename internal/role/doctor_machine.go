package role

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/doctor"
	"havre/internal/holder"
	"havre/internal/project"
	"havre/internal/spec"
)

// engine asks the engine itself: the guard may be down, or what is ill.
func (p *prober) engine(ctx context.Context) (e doctor.Engine, c doctor.Clock, root string) {
	e.Socket = p.guard.Engine
	_, err := exec.LookPath("dockerd")
	e.Program, e.Exists = err == nil, exists(e.Socket)
	c.Now = time.Now()
	var version struct {
		Version, APIVersion string
		Components          []struct{ Name, Version string }
	}
	err = askEngine(ctx, e.Socket, "/version", &version)
	if err != nil {
		e.Denied, e.Says = errors.Is(err, fs.ErrPermission), err.Error()
		return e, c, ""
	}
	e.Version, e.API = version.Version, version.APIVersion
	for _, c := range version.Components {
		if c.Name == "runc" {
			e.Runc = c.Version
		}
	}
	var info struct {
		SystemTime, DockerRootDir, Driver string
		MemoryLimit                       bool
		SecurityOptions                   []string
		Swarm                             struct {
			NodeID, LocalNodeState, Error string
			ControlAvailable              bool
		}
	}
	asked := time.Now()
	if err := askEngine(ctx, e.Socket, "/info", &info); err != nil {
		e.Version, e.Says = "", err.Error()
		return e, c, ""
	}
	c.Now = asked.Add(time.Since(asked) / 2)
	c.Engine, _ = time.Parse(time.RFC3339Nano, info.SystemTime) // zero is not compared
	e.Driver, e.Memory, e.Security = info.Driver, info.MemoryLimit, info.SecurityOptions
	s := info.Swarm
	e.Swarm = doctor.Swarm{State: s.LocalNodeState, Manager: s.ControlAvailable, Node: s.NodeID, Says: s.Error}
	if s.ControlAvailable {
		e.Nodes = nodes(ctx, e.Socket)
	}
	return e, c, info.DockerRootDir
}

func nodes(ctx context.Context, socket string) []doctor.Node {
	var all []struct {
		ID          string
		Description struct{ Hostname string }
		Status      struct{ State string }
	}
	if askEngine(ctx, socket, "/nodes", &all) != nil {
		return nil // the swarm has no leader; its state says so
	}
	var found []doctor.Node
	for _, n := range all {
		found = append(found, doctor.Node{Name: n.Description.Hostname, ID: n.ID, State: n.Status.State})
	}
	return found
}

// askEngine makes a call that every version of the API has.
func askEngine(ctx context.Context, socket, path string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var d net.Dialer
	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", socket)
	}}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine"+path, nil)
	if err != nil {
		return err
	}
	resp, err := web.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the engine answers %s to %s", resp.Status, path)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// holderOf finds who has a port. Only root sees the process.
func holderOf(p project.Port, ours []string) doctor.Holder {
	var h doctor.Holder
	sockets := holder.Sockets(p.Protocol == spec.UDP, p.Number)
	for _, s := range sockets {
		h.There, h.Ours, h.User = true, slices.Contains(ours, s.User), holder.UserName(s.User)
	}
	if h.There && !h.Ours {
		h.PID, h.Name = holder.Process(sockets...)
	}
	return h
}

// kernel looks at what the system can do. VXLAN is tried where it hurts
// nobody: in a network of its own, which ends with the trial.
func kernel(ctx context.Context) doctor.Kernel {
	var k doctor.Kernel
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		k.Release = unix.ByteSliceToString(name.Release[:])
	}
	known, _ := os.ReadFile("/proc/filesystems") // empty is unknown
	k.Overlay = bytes.Contains(known, []byte("\toverlay\n")) ||
		exec.CommandContext(ctx, "modprobe", "-n", "-q", "overlay").Run() == nil
	forward, _ := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	k.Forwarding = strings.TrimSpace(string(forward)) == "1"
	k.AppArmor = hasAppArmor()
	if os.Geteuid() == 0 {
		out, err := exec.CommandContext(ctx, "unshare", "--net", "ip", "link", "add", "havre0", "type", "vxlan", "id", "1", "dstport", "4789").CombinedOutput()
		var exit *exec.ExitError
		k.VXLAN = err == nil
		// Anything else says nothing about the kernel.
		k.Tried = err == nil || errors.As(err, &exit) && (bytes.Contains(out, []byte("not supported")) || bytes.Contains(out, []byte("Unknown device type")))
	}
	return k
}

// tools are the programs that Havre calls.
func tools() []doctor.Tool {
	var found []doctor.Tool
	for _, t := range []doctor.Tool{{Name: "iptables", Package: "iptables"}, {Name: "ip6tables", Package: "iptables"}, {Name: "useradd", Package: "passwd"}} {
		_, err := exec.LookPath(t.Name)
		for _, dir := range []string{"/usr/sbin", "/sbin"} { // which ordinary users have not in their path
			t.There = t.There || err == nil || exists(filepath.Join(dir, t.Name))
		}
		found = append(found, t)
	}
	return found
}

// hasAppArmor tells whether the kernel has AppArmor, and has it in use.
func hasAppArmor() bool {
	text, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled") // none without it
	return strings.TrimSpace(string(text)) == "Y"
}
