package doctor

import (
	"fmt"
	"path/filepath"
)

// Part is a file or a directory that Havre keeps, as it should be and as it is.
type Part struct {
	Path    string
	Exists  bool
	Needed  bool // what is missing is a mistake
	Link    bool // it is a symbolic link
	Want    Owner
	Have    Owner
	AnyMode bool // only the owner counts
}

// Owner is who owns a file, and what whom is allowed.
type Owner struct {
	User, Group string // names, or numbers where there is no name
	Mode        uint32 // with the bits 07000
}

func data(f Facts) []Check {
	switch {
	case !f.SetUp:
		return skipped("data", "there is no Havre in "+f.Data+" yet; havre up makes one")
	case !f.Root:
		return skipped("data", needsRoot)
	}
	var found []Check
	for _, p := range f.Parts {
		if c, ill := p.judge(f); ill {
			found = append(found, c)
		}
	}
	return orWell(found, "data", "everything in "+f.Data+" has its owner and mode")
}

func (p Part) judge(f Facts) (Check, bool) {
	w, h := p.Want, p.Have
	wrongMode := !p.AnyMode && h.Mode != w.Mode
	switch {
	case !p.Exists && p.Needed:
		return bad("data", p.Path+" is missing", f.restart()), true
	case !p.Exists:
		return Check{}, false
	case p.Link:
		return bad("data", p.Path+" is a link, which the guard does not follow; put the directory itself there", "ls -l "+p.Path), true
	case h.User != w.User || h.Group != w.Group:
		says := fmt.Sprintf("%s belongs to %s:%s and must belong to %s:%s", p.Path, h.User, h.Group, w.User, w.Group)
		mend := fmt.Sprintf("chown %s:%s %s", w.User, w.Group, p.Path)
		if wrongMode || w.Mode&0o7000 != 0 { // a change of owner takes the upper bits away
			mend += fmt.Sprintf(" && chmod %04o %s", w.Mode, p.Path)
		}
		return bad("data", says, mend), true
	case wrongMode:
		return bad("data", fmt.Sprintf("%s has mode %04o and must have %04o", p.Path, h.Mode, w.Mode), fmt.Sprintf("chmod %04o %s", w.Mode, p.Path)), true
	}
	return Check{}, false
}

func config(f Facts) []Check {
	var found []Check
	for _, c := range f.Config {
		found = append(found, bad("config", c.Says, c.Remedy))
	}
	if f.Hidden && len(found) == 0 {
		return skipped("config", needsRoot)
	}
	return orWell(found, "config", "the configurations are right")
}

// Disk is a file system that fills up. Shares are of what others than root may have.
type Disk struct {
	Of     string // what lies on it, in words
	Path   string
	Bytes  float64 // share that is used, 0 to 1
	Inodes float64
	Free   uint64 // bytes
}

// From then on a disk is nearly full, or so full that a database cannot write.
const (
	nearlyFull = 0.85
	full       = 0.95
)

func disks(f Facts) []Check {
	var found []Check
	for _, d := range f.Disks {
		if c, ill := fills("disk", d, d.Bytes, fmt.Sprintf("of the disk, with %d MiB free", d.Free>>20)); ill {
			c.Remedy = fmt.Sprintf("du -xh --max-depth=3 %s | sort -h | tail -n 20", d.Path)
			found = append(found, c)
		}
		if c, ill := fills("inodes", d, d.Inodes, "of the disk's inodes: no more files can be made soon"); ill {
			c.Remedy = fmt.Sprintf("du -x --inodes --max-depth=3 %s | sort -n | tail -n 20", d.Path)
			found = append(found, c)
		}
	}
	return orWell(found, "disk", "there is room")
}

func fills(name string, d Disk, share float64, what string) (Check, bool) {
	says := fmt.Sprintf("%s (%s) takes %.0f %% %s; see what takes it", d.Of, filepath.Clean(d.Path), 100*share, what)
	switch {
	case share >= full:
		return bad(name, says+" and remove what can go", ""), true
	case share >= nearlyFull:
		return warning(name, says, ""), true
	}
	return Check{}, false
}

// Role is a process of Havre's.
type Role struct {
	Name    string
	Running bool
	Log     string // its file
	Last    string // the last line there
}

// role tells whether a role runs.
func (f Facts) role(name string) bool {
	for _, r := range f.Roles {
		if r.Name == name {
			return r.Running
		}
	}
	return false
}

func roles(f Facts) []Check {
	if !f.SetUp {
		return skipped("roles", "there is no Havre in "+f.Data+" yet; havre up makes one")
	}
	if !f.Root {
		return skipped("roles", needsRoot)
	}
	var running int
	var found []Check
	for _, r := range f.Roles {
		switch {
		case r.Running:
			running++
		case r.Name == "up":
			found = append(found, bad("roles", "the supervisor does not run, so what ends is not started again", f.start()))
		default:
			says := "the " + r.Name + " does not run"
			if r.Last != "" {
				says += "; its last words: " + r.Last
			}
			found = append(found, bad("roles", says, "tail -n 30 "+r.Log))
		}
	}
	if running == 0 {
		return []Check{bad("roles", "Havre is down: nobody reaches services from outside", f.start())}
	}
	if len(found) > 0 && !f.role("up") {
		found = found[:1] // it starts the others
	}
	return orWell(found, "roles", fmt.Sprintf("all %d processes run", len(f.Roles)))
}

// serverUnseen is the check of what only a server that runs can tell.
func (f Facts) serverUnseen(name string) []Check {
	if !f.Root {
		return skipped(name, needsRoot)
	}
	return skipped(name, "the server does not run")
}

// Health is what a part of a running Havre says about itself.
type Health struct {
	Name string
	Well bool
	Says string
}

func health(f Facts) []Check {
	if !f.role("server") {
		return f.serverUnseen("parts")
	}
	var found []Check
	for _, h := range f.Health {
		if !h.Well {
			found = append(found, bad("parts", "the "+h.Name+" is not well: "+h.Says, "tail -n 30 "+filepath.Join(f.Data, "log", "server.log")))
		}
	}
	return orWell(found, "parts", "the running parts say that they are well")
}

// certificates tells of domains without the one they should have, and else who
// trusts those that there are.
func certificates(f Facts) []Check {
	if !f.role("server") {
		return f.serverUnseen("certificates")
	}
	for _, h := range f.Health {
		if h.Name == "certificates" && h.Says != "" {
			return []Check{warning("certificates", h.Says, "ls -l "+filepath.Join(f.Data, "server", "certificate")+"; grep certificate "+filepath.Join(f.Data, "log", "server.log"))}
		}
	}
	if f.Trusted {
		return well("certificates", "this machine trusts Havre's own authority")
	}
	// Nothing is wrong on a machine from which nobody opens a domain.
	return []Check{{Name: "certificates", Level: Well,
		Says:   "this machine does not trust Havre's own authority, so its programs refuse domains that have no public certificate; browsers have lists of their own",
		Remedy: "curl -fsS http://" + f.api() + "/v1/authority | sudo tee /usr/local/share/ca-certificates/havre-root.crt >/dev/null && sudo update-ca-certificates"}}
}

// api is where the API listens on this machine.
func (f Facts) api() string {
	for _, p := range f.Ports {
		if p.API {
			return fmt.Sprintf("127.0.0.1:%d", p.Number)
		}
	}
	return "127.0.0.1:7080"
}
