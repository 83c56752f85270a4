package role

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/cert"
	"havre/internal/client"
	"havre/internal/disk"
	"havre/internal/doctor"
	"havre/internal/portal"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/route"
	"havre/internal/spec"
)

// DiagnoseOptions say what to look at.
type DiagnoseOptions struct {
	Data    string
	Context string // the person's context file; "" is none
}

// Diagnose looks at the machine, the engine and what is in the data directory,
// and says what is wrong. It changes nothing, and works when Havre is down. Not
// run as root, it skips what only root can see.
func Diagnose(ctx context.Context, o DiagnoseOptions) []doctor.Check {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	p := prober{Layout{filepath.Clean(o.Data)}, defaultGuard(), defaultServer(), defaultIngress()}
	f := doctor.Facts{Root: os.Geteuid() == 0, Data: p.Data, Kernel: kernel(ctx), Tools: tools(), Context: contextFact(o.Context)}
	f.Config, f.Hidden = p.configs()
	f.Systemd = isDir("/run/systemd/system")
	f.Unit = exists(unitFile) || exists(packageUnit)
	f.SetUp = exists(filepath.Join(p.Data, "guard"))
	if _, err := portal.Program(); err != nil {
		f.PortalFlaw = err.Error()
	}
	if f.Root {
		f.Parts, f.Roles, f.Tables = p.parts(), p.roles(), packetFilters(ctx)
	}
	var root string
	f.Engine, f.Clock, root = p.engine(ctx)
	f.Clock.Newest, f.Clock.File = newest(p.Data)
	f.Clock.Built = made()
	f.Disks = disks(map[string]string{"Havre's data": p.Data, "the engine's data": root})
	f.Health, f.Trusted = p.health(ctx)
	f.Listeners, f.Network = p.listeners(ctx), p.network()
	if !f.Hidden {
		f.Ports = p.ports()
	}
	return doctor.Examine(f)
}

// prober finds facts about one Havre.
type prober struct {
	Layout
	guard   *GuardConfig
	server  *ServerConfig
	ingress *IngressConfig
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// configs loads the roles' configurations, and keeps the default of one that is
// wrong, or hidden from whoever is not root.
func (p *prober) configs() (wrong []doctor.Finding, hidden bool) {
	note := func(err error, name string) {
		if errors.Is(err, fs.ErrPermission) {
			hidden = true
		} else {
			wrong = append(wrong, doctor.Finding{Says: problem.Of(err).Error(), Remedy: "havre config check " + name + " --data " + p.Data})
		}
	}
	if c, err := Load(p.Layout, "guard", defaultGuard()); err != nil {
		note(err, "guard")
	} else {
		p.guard = c
	}
	if c, err := Load(p.Layout, "server", defaultServer()); err != nil {
		note(err, "server")
	} else {
		p.server = c
	}
	if c, err := Load(p.Layout, "ingress", defaultIngress()); err != nil {
		note(err, "ingress")
	} else {
		p.ingress = c
	}
	return wrong, hidden
}

// lookUp finds a system user and makes none; without one nothing is right that
// should be its own, and no number is negative.
func lookUp(name string) account {
	u, err := user.Lookup(name)
	if err != nil {
		return account{-1, -1}
	}
	uid, _ := strconv.Atoi(u.Uid) // numbers on Unix
	gid, _ := strconv.Atoi(u.Gid)
	return account{uid, gid}
}

func (p *prober) parts() []doctor.Part {
	server, ingress := lookUp(ServerUser), lookUp(IngressUser)
	var found []doctor.Part
	dir, err := disk.Open(p.Data)
	if err != nil {
		return nil // there is none
	}
	defer dir.Close()
	for _, d := range append(parts(server, ingress), part{"guard/bounds.json", account{}, 0o600}, part{"server/token", server, 0o400}) {
		one := p.partAt(dir, d)
		one.Needed = true
		found = append(found, one)
	}
	for _, d := range configs(server, ingress) {
		if one := p.partAt(dir, d); !one.Link { // root's own
			found = append(found, one)
		}
	}
	// What a role wrote itself may have any mode below a directory of 0700.
	for pattern, who := range map[string]account{"server/*": server, "server/ca/*": server, "server/certificate/*": server, "server/acme/*/*": server, "ingress/*": ingress, "guard/*": {}} {
		for _, name := range dir.Glob(pattern) {
			one := p.partAt(dir, part{name, who, 0})
			one.AnyMode = true
			found = append(found, one)
		}
	}
	return found
}

func (p *prober) partAt(dir *disk.Dir, d part) doctor.Part {
	one := doctor.Part{Path: filepath.Join(p.Data, d.path), Want: ownerOf(d.who.uid, d.who.gid, d.mode)}
	st, err := dir.Stat(d.path)
	if err != nil {
		return one
	}
	one.Exists, one.Link = true, st.Mode&unix.S_IFMT == unix.S_IFLNK
	one.Have = ownerOf(int(st.Uid), int(st.Gid), st.Mode&0o7777)
	return one
}

func ownerOf(uid, gid int, mode uint32) doctor.Owner {
	o := doctor.Owner{User: strconv.Itoa(uid), Group: strconv.Itoa(gid), Mode: mode}
	if u, err := user.LookupId(o.User); err == nil {
		o.User = u.Username
	}
	if g, err := user.LookupGroupId(o.Group); err == nil {
		o.Group = g.Name
	}
	return o
}

func (p *prober) roles() []doctor.Role {
	var found []doctor.Role
	for _, r := range append([]Role{{Name: "up"}}, Roles...) {
		found = append(found, doctor.Role{Name: r.Name, Running: p.running(r.Name) != 0, Log: p.Log(r.Name), Last: lastLine(p.Log(r.Name))})
	}
	return found
}

// lastLine is the end of a log that another process writes.
func lastLine(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	tail := make([]byte, 4096)
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	n, _ := f.ReadAt(tail, max(0, info.Size()-int64(len(tail)))) // short at the beginning of a log
	lines := bytes.Split(bytes.TrimSpace(tail[:n]), []byte("\n"))
	return string(lines[len(lines)-1])
}

// health asks the running server for its parts, and for the root of its
// authority, whether this machine trusts it.
func (p *prober) health(ctx context.Context) (found []doctor.Health, trusted bool) {
	if p.running("server") == 0 {
		return nil, false
	}
	api, err := client.New(client.Config{URL: "unix://" + p.ServerSocket()})
	if err != nil {
		return []doctor.Health{{Name: "server", Says: err.Error()}}, false
	}
	st, err := api.Status(ctx)
	if err != nil {
		return []doctor.Health{{Name: "server", Says: problem.Of(err).Error()}}, false
	}
	for _, part := range st.Parts {
		found = append(found, doctor.Health{Name: part.Name, Well: part.Well, Says: part.Says})
	}
	root, err := api.Authority(ctx)
	return found, err == nil && cert.Trusted(root)
}

// ports are those of the API and of domains, and who holds them.
func (p *prober) ports() []doctor.Port {
	ours := []string{strconv.Itoa(lookUp(ServerUser).uid), strconv.Itoa(lookUp(IngressUser).uid)}
	var found []doctor.Port
	for _, w := range []doctor.Port{
		{Number: p.server.port(), For: "the API", Flag: "--listen 127.0.0.1:", API: true},
		{Number: uint16(p.server.HTTPPort), For: "domains", Flag: "--http-port "},
		{Number: uint16(p.server.HTTPSPort), For: "domains with TLS", Flag: "--https-port "},
	} {
		w.Holder = holderOf(project.Port{Number: w.Number, Protocol: spec.TCP}, ours)
		for w.Free = w.Number%10000 + 10000; holderOf(project.Port{Number: w.Free, Protocol: spec.TCP}, nil).There && w.Free < 60000; w.Free += 10000 {
		}
		found = append(found, w)
	}
	return found
}

// listeners are what the running ingress could not listen on.
func (p *prober) listeners(ctx context.Context) []doctor.Listener {
	if p.running("ingress") == 0 {
		return nil
	}
	st, err := newControl(p.IngressSocket()).Status(ctx)
	if err != nil {
		return nil // health says so
	}
	var found []doctor.Listener
	for _, l := range st.Listeners {
		if l.State != route.Failed {
			continue
		}
		one := doctor.Listener{Listen: l.Listen, Service: l.Service, Says: l.Says}
		if port, ok := listened(l.Listen); ok {
			one.Holder = holderOf(port, nil)
		}
		found = append(found, one)
	}
	return found
}

// listened reads the port of a listener of the ingress: ":25/tcp", ":53/udp", ":443/https".
func listened(listen string) (project.Port, bool) {
	number, protocol, _ := strings.Cut(listen[strings.LastIndex(listen, ":")+1:], "/")
	n, err := strconv.ParseUint(number, 10, 16)
	p := project.Port{Number: uint16(n), Protocol: spec.TCP}
	if protocol == string(spec.UDP) {
		p.Protocol = spec.UDP
	}
	return p, err == nil
}

func (p *prober) network() doctor.Network {
	var n doctor.Network
	n.Pool, _ = netip.ParsePrefix(p.server.Pool) // validated when it was loaded
	n.Routes, _ = machine{}.Routes()             // without /proc nothing works at all
	var bounds struct{ Pool netip.Prefix }
	text, err := os.ReadFile(filepath.Join(p.GuardDir(), "bounds.json"))
	if err == nil && json.Unmarshal(text, &bounds) == nil {
		n.Bounds = bounds.Pool
	}
	return n
}

// made is when this program was written to the disk.
func made() time.Time {
	self, err := os.Executable()
	if err != nil {
		return time.Time{}
	}
	info, err := os.Stat(self)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// newest is the file that Havre wrote last.
func newest(data string) (at time.Time, file string) {
	dir, err := disk.Open(data)
	if err != nil {
		return at, "" // there is none
	}
	defer dir.Close()
	for _, pattern := range []string{"server/*", "log/*", "guard/*", "ingress/*"} {
		for _, name := range dir.Glob(pattern) {
			if st, err := dir.Stat(name); err == nil && time.Unix(st.Mtim.Unix()).After(at) {
				at, file = time.Unix(st.Mtim.Unix()), filepath.Join(data, name)
			}
		}
	}
	return at, file
}

// disks looks at the file systems under some directories, each once.
func disks(of map[string]string) []doctor.Disk {
	var found []doctor.Disk
	seen := map[uint64]bool{}
	for _, what := range []string{"Havre's data", "the engine's data"} {
		dir := of[what]
		for dir != "" && dir != "/" && !exists(dir) {
			dir = filepath.Dir(dir)
		}
		info, err := os.Stat(dir)
		if dir == "" || err != nil {
			continue
		}
		d, err := diskOf(what, dir)
		if err != nil {
			continue
		}
		if on, ok := info.Sys().(*syscall.Stat_t); ok && seen[on.Dev] {
			continue
		} else if ok {
			seen[on.Dev] = true
		}
		found = append(found, d)
	}
	return found
}

// diskOf looks at the file system of a directory as df counts: what is kept for
// root is not to be had.
func diskOf(what, dir string) (doctor.Disk, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return doctor.Disk{}, err
	}
	used := st.Blocks - st.Bfree
	return doctor.Disk{Of: what, Path: dir, Bytes: share(used, used+st.Bavail), Inodes: share(st.Files-st.Ffree, st.Files), Free: st.Bavail * uint64(st.Bsize)}, nil
}

func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func contextFact(file string) doctor.Context {
	c := doctor.Context{File: file}
	info, err := os.Stat(file)
	if err != nil {
		return c
	}
	c.Exists, c.Mode = true, uint32(info.Mode().Perm())
	text, err := os.ReadFile(file)
	if err == nil && !json.Valid(text) {
		c.Says = file + " is not understood"
	}
	return c
}

// packetFilters are the rules in force. Without the tool there are none.
func packetFilters(ctx context.Context) []doctor.Table {
	var found []doctor.Table
	for _, tool := range []string{"iptables", "ip6tables"} {
		var rules []string
		for _, chain := range []string{"filter INPUT", "filter HAVRE-INPUT", "mangle PREROUTING", "mangle HAVRE-PREROUTING"} {
			table, name, _ := strings.Cut(chain, " ")
			out, _ := exec.CommandContext(ctx, tool, "-w", "5", "-t", table, "-S", name).Output() // no rules are told as missing rules
			rules = append(rules, strings.Split(strings.TrimSpace(string(out)), "\n")...)
		}
		found = append(found, doctor.Table{Tool: tool, Rules: rules})
	}
	return found
}
