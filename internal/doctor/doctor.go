// Package doctor says what is wrong with a machine that Havre is to run on, and
// which command mends it. It looks at nothing itself: it judges facts that
// were found, so that each judgement can be tried on any machine one can think of.
package doctor

import (
	"fmt"
	"time"
)

// Level is how bad it is.
type Level string

// The levels.
const (
	Well    Level = "well"
	Warning Level = "warning" // it works, and may not for long
	Bad     Level = "bad"     // something does not work, or a fence is open
	Skipped Level = "skipped" // it could not be looked at
)

// Check is what was found about one thing.
type Check struct {
	Name   string `json:"name"`
	Level  Level  `json:"level"`
	OK     bool   `json:"ok"` // not bad
	Says   string `json:"says"`
	Remedy string `json:"remedy,omitempty"` // a command line
}

// Facts are what was found. What only root can find is empty otherwise.
type Facts struct {
	Root    bool
	Data    string
	Systemd bool // it runs here
	Unit    bool // and knows Havre

	Engine     Engine
	Parts      []Part
	SetUp      bool // there is a Havre in Data
	Config     []Finding
	Hidden     bool // a configuration is not for whoever asks to read
	Roles      []Role
	Health     []Health
	Trusted    bool // this machine trusts the root of Havre's authority
	Ports      []Port
	Listeners  []Listener
	Network    Network
	Tables     []Table
	Clock      Clock
	Disks      []Disk
	Kernel     Kernel
	Tools      []Tool
	PortalFlaw string // why the program carries no portal
	Context    Context
}

// Finding is a mistake that somebody else has put into words.
type Finding struct{ Says, Remedy string }

// Examine judges all there is, the cause before what follows from it.
func Examine(f Facts) []Check {
	var all []Check
	for _, judge := range []func(Facts) []Check{
		rights, engine, swarm, runc, confinement, tools, kernel, memory, forwarding,
		data, config, roles, health, certificates, ports, pool, firewall,
		disks, clock, portal, context,
	} {
		all = append(all, judge(f)...)
	}
	for i := range all {
		all[i].OK = all[i].Level != Bad
	}
	return all
}

// Sick tells whether anything is bad.
func Sick(all []Check) bool {
	for _, c := range all {
		if c.Level == Bad {
			return true
		}
	}
	return false
}

func well(name, format string, args ...any) []Check {
	return []Check{{Name: name, Level: Well, Says: fmt.Sprintf(format, args...)}}
}

func skipped(name, why string) []Check {
	return []Check{{Name: name, Level: Skipped, Says: why}}
}

func bad(name, says, remedy string) Check {
	return Check{Name: name, Level: Bad, Says: says, Remedy: remedy}
}

func warning(name, says, remedy string) Check {
	return Check{Name: name, Level: Warning, Says: says, Remedy: remedy}
}

// orWell is what was found, or that all is well.
func orWell(found []Check, name, says string) []Check {
	if len(found) > 0 {
		return found
	}
	return well(name, "%s", says)
}

// havre is a command of ours about this data directory.
func (f Facts) havre(command string) string {
	if f.Data != "/var/lib/havre" {
		command += " --data " + f.Data
	}
	return "havre " + command
}

// start is the command that has Havre run, or run again.
func (f Facts) start() string {
	if f.Systemd && f.Unit {
		return "systemctl restart havre"
	}
	return f.havre("up --detach")
}

// restart is the command that ends Havre first; services go on.
func (f Facts) restart() string {
	if f.Systemd && f.Unit {
		return "systemctl restart havre"
	}
	return f.havre("down") + " && " + f.havre("up --detach")
}

// service is the command that has the engine run.
func (f Facts) service() string {
	if f.Systemd {
		return "systemctl start docker"
	}
	return "service docker start"
}

const needsRoot = "only root can look at it"

func rights(f Facts) []Check {
	if f.Root {
		return well("root", "run as root: everything is looked at")
	}
	return []Check{warning("root", "not run as root: what is skipped below could not be looked at", "sudo "+f.havre("doctor"))}
}

// Clock is what the time is, by several who ought to agree.
type Clock struct {
	Now    time.Time
	Engine time.Time // by the engine, when Now was; zero when it was not asked
	Newest time.Time // when the newest file of the data directory was written
	File   string
	Built  time.Time // when this program was written; zero when unknown
}

// A clock may be off so far before certificates, leases or logs suffer.
const offLittle = 30 * time.Second

func clock(f Facts) []Check {
	c := f.Clock
	mend := "date -s 'YYYY-MM-DD hh:mm:ss'"
	if f.Systemd {
		mend = "timedatectl set-ntp true"
	}
	switch off := c.Engine.Sub(c.Now).Abs(); {
	case !c.Built.IsZero() && c.Now.Add(offLittle).Before(c.Built):
		return []Check{bad("clock", "it is "+day(c.Now)+" by the clock, which is before this program was made", mend)}
	case !c.Engine.IsZero() && off > offLittle:
		return []Check{bad("clock", fmt.Sprintf("the engine's clock and ours are %s apart", off.Round(time.Second)), mend)}
	case c.Newest.After(c.Now.Add(offLittle)):
		return []Check{bad("clock", fmt.Sprintf("the clock went back: %s was written %s from now", c.File, c.Newest.Sub(c.Now).Round(time.Second)), mend)}
	}
	return well("clock", "%s", c.Now.UTC().Format(time.RFC3339))
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func portal(f Facts) []Check {
	if f.PortalFlaw != "" {
		return []Check{bad("portal", "this program carries no portal, so nothing can be reached: "+f.PortalFlaw, "make build && "+f.havre("down")+" && bin/"+f.havre("up --detach"))}
	}
	return well("portal", "this program carries the portal")
}

// Context is the file with a person's way in.
type Context struct {
	File   string
	Exists bool
	Mode   uint32
	Says   string // why it cannot be used
}

func context(f Facts) []Check {
	c := f.Context
	switch {
	case !c.Exists:
		return skipped("context", "no context is saved for you")
	case c.Mode&0o077 != 0:
		return []Check{bad("context", "others may read the admin token in "+c.File, "chmod 600 "+c.File)}
	case c.Says != "":
		return []Check{bad("context", c.Says, "rm "+c.File+" && "+f.havre("up --detach"))}
	}
	return well("context", "%s is for you alone", c.File)
}
