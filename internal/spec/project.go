// Package spec holds what a person wants, whatever language they wrote it in:
// projects, their services, and the bytes that belong to them. It has no
// opinion on how any of it comes to run.
package spec

import (
	"encoding/json"
	"fmt"
	"time"
)

// DefaultEnvironment is the environment of whoever names none.
const DefaultEnvironment = "prod"

// ProjectID names a project for good; its name may come again after a removal.
type ProjectID string

// ServiceID names a service for good.
type ServiceID string

// NodeID is a machine of the swarm.
type NodeID string

// Bytes is a size. Zero means no limit.
type Bytes int64

// Duration is a time.Duration that is written as Go writes it: "1m30s".
type Duration time.Duration

// Std gives the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// MarshalText writes "1m30s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what MarshalText wrote.
// Errors: Go's own, when the text is no duration.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// Project is the services that were declared together. They share a network
// of their own and see each other by name.
type Project struct {
	Name     string    `json:"name"`              // unique in its environment
	Services []Service `json:"services"`          // sorted by name
	Files    []File    `json:"files,omitempty"`   // what services mount as small read-only files
	Secrets  []Secret  `json:"secrets,omitempty"` // what services mount in memory; sorted by name
}

// File is a small file that travels with the project.
type File struct {
	Name    string `json:"name"`    // as the person calls it; unique in the project
	Content []byte `json:"content"` // at most MaxFile bytes
	Mode    uint32 `json:"mode"`    // permission bits; 0 means 0444
}

// MaxFile is the most a swarm keeps in one config (Docker API 1.41, ConfigCreate).
const MaxFile = 1000 * 1024

// Service finds a service by name.
func (p Project) Service(name string) (Service, bool) {
	for _, s := range p.Services {
		if s.Name == name {
			return s, true
		}
	}
	return Service{}, false
}

// File finds a file by name.
func (p Project) File(name string) (File, bool) {
	for _, f := range p.Files {
		if f.Name == name {
			return f, true
		}
	}
	return File{}, false
}

// Key is one public SSH key, as in an authorized_keys file.
type Key struct {
	Text string `json:"text"` // type, base64, comment
}

// Access says from where a port or domain may be reached.
type Access string

// The accesses that have a name. Any other is a list of networks with commas
// between, "192.0.2.0/24,2001:db8::/32": from those, but for the engine's own.
// The zero value is no access at all; dialects set Docker's default, public.
const (
	Public    Access = "public"    // from anywhere
	Private   Access = "private"   // from the local networks, never from the engine's own
	Localhost Access = "localhost" // from this machine
)

// Known tells whether a is one of the accesses.
func (a Access) Known() bool {
	if a == Public || a == Private || a == Localhost {
		return true
	}
	_, listed := a.Networks()
	return listed
}

// Clone copies p so that nothing is shared.
func (p Project) Clone() Project {
	b, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("a project is always JSON: %v", err)) // only types of ours, all marshallable
	}
	var c Project
	if err := json.Unmarshal(b, &c); err != nil {
		panic(fmt.Sprintf("what we wrote we can read: %v", err))
	}
	return c
}
