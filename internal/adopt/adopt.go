// Package adopt says what containers and swarm services that others made
// would be as a project of Havre's: the declaration, the images and data that
// it needs, what would be lost, and what stands in the way. It looks nothing
// up and changes nothing.
package adopt

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"havre/internal/dockercall"
	"havre/internal/spec"
)

// Wish says how to import.
type Wish struct {
	Project     string // the name that the project gets
	Environment string
	Named       map[string]dockercall.ImageID    // what names of images mean there already
	TakeBinds   bool                             // move directories of the machine into volumes, too
	File        func(path string) ([]byte, bool) // a small file of the machine, to travel with the project; false: it is none
}

// Offer is what an import would do.
type Offer struct {
	Project spec.Project
	Images  []Image
	Objects []Object
	Moves   []Move
	Lost    []string // what would be otherwise than now
	Refused []string // why it cannot be done
}

// Image is an image of the engine that gets a name in the environment.
type Image struct {
	ID   dockercall.ImageID `json:"id"`
	Name string             `json:"name"`
}

// Object is a container or a swarm service that is replaced.
type Object struct {
	Name      string                 `json:"name"`
	Container dockercall.ContainerID `json:"container,omitempty"`
	Service   dockercall.SwarmID     `json:"service,omitempty"`
}

// Move is data that becomes a volume.
type Move struct {
	From string `json:"from,omitempty"` // a volume of the engine's
	Path string `json:"path,omitempty"` // or a directory of the machine
	Name string `json:"name"`           // of the volume in the project
}

// maker collects an offer.
type maker struct {
	wish    Wish
	foreign dockercall.Foreign
	prefix  string // of names that the tool put before the person's
	Offer
}

// From makes an offer of what was found.
func From(found dockercall.Foreign, wish Wish) Offer {
	m := &maker{wish: wish, foreign: found, prefix: wish.Project}
	m.Project.Name = wish.Project
	m.containers()
	m.services()
	if len(m.Objects) == 0 {
		m.refuse("there is nothing to import")
	}
	slices.SortFunc(m.Project.Services, func(a, b spec.Service) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(m.Project.Files, func(a, b spec.File) int { return strings.Compare(a.Name, b.Name) })
	for i := range m.Project.Services {
		s := &m.Project.Services[i]
		slices.SortFunc(s.Mounts, func(a, b spec.Mount) int { return strings.Compare(a.Target, b.Target) })
		slices.SortFunc(s.Ports, func(a, b spec.Port) int {
			return cmp.Or(cmp.Compare(a.Internal, b.Internal), cmp.Compare(a.External, b.External), cmp.Compare(a.Protocol, b.Protocol))
		})
	}
	for i := range m.Project.Services {
		if s := &m.Project.Services[i]; s.Crowds() != nil { // so they run already
			s.Shared = true
			m.lose("%s: its %d containers write to the same volumes, as they do now; on the way to one all of them stop first", s.Name, s.Replicas)
		}
	}
	for _, wrong := range spec.Validate(m.Project) {
		m.refuse("%s", wrong.Problem.Says)
	}
	return m.Offer
}

func (m *maker) lose(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); !slices.Contains(m.Lost, line) {
		m.Lost = append(m.Lost, line)
	}
}

func (m *maker) refuse(format string, args ...any) {
	m.Refused = append(m.Refused, fmt.Sprintf(format, args...))
}

// image finds a name for an image in the environment. One without a name of
// its own is called after its service.
func (m *maker) image(service, written string, id dockercall.ImageID) string {
	image, there := m.foreign.Images[id]
	if id == "" || !there {
		m.refuse("%s: its image %s is not on this machine any more", service, written)
		return "missing"
	}
	name, _, _ := strings.Cut(written, "@")
	if !spec.ValidImage(name) || strings.HasPrefix(name, "sha256:") {
		name = ""
		if len(image.RepoTags) > 0 {
			name = image.RepoTags[0]
		}
	}
	host, rest, deep := strings.Cut(name, "/")
	if deep && strings.ContainsAny(host, ".:") {
		name = strings.ReplaceAll(host, ":", "__") + "/" + rest
	}
	if !spec.ValidImage(name) || m.means(name, id) {
		name = strings.ToLower(service) + ":imported-" + strings.TrimPrefix(string(id), "sha256:")[:8]
	}
	m.Images = append(m.Images, Image{id, name})
	return name
}

// means tells whether a name means another image than id, in the environment
// or among those that are imported.
func (m *maker) means(name string, id dockercall.ImageID) bool {
	if other, known := m.wish.Named[tagged(name)]; known && other != id {
		return true
	}
	return slices.ContainsFunc(m.Images, func(i Image) bool { return i.Name == name && i.ID != id })
}

func tagged(name string) string {
	if strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
		return name
	}
	return name + ":latest"
}

// volume gives a volume of the engine its name in the project.
func (m *maker) volume(from string) string {
	name := strings.TrimPrefix(from, m.prefix+"_")
	if len(name) == 64 || !spec.ValidVolume(name) {
		name = "data-" + from[:min(8, len(from))]
	}
	for base, n := name, 2; slices.ContainsFunc(m.Moves, func(o Move) bool { return o.Name == name && o.From != from }); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	m.move(Move{From: from, Name: name})
	return name
}

func (m *maker) move(want Move) {
	if !slices.Contains(m.Moves, want) {
		m.Moves = append(m.Moves, want)
	}
}

// bind carries a small file along, takes a directory over where that is
// wished, and else leaves the mount out.
func (m *maker) bind(service, path, target string, readOnly bool) (spec.Mount, bool) {
	if strings.HasSuffix(path, "docker.sock") {
		m.refuse("%s: it mounts the engine's socket, which makes it root on the machine", service)
		return spec.Mount{}, false
	}
	if m.wish.File != nil {
		if content, ok := m.wish.File(path); ok {
			if !readOnly {
				m.lose("%s: %s is copied into the project and read-only from now on", service, path)
			}
			name := strings.TrimPrefix(path, "/")
			if _, known := m.Project.File(name); !known {
				m.Project.Files = append(m.Project.Files, spec.File{Name: name, Content: content, Mode: 0o444})
			}
			return spec.Mount{Kind: spec.Config, Source: name, Target: target, ReadOnly: true}, true
		}
	}
	if !m.wish.TakeBinds {
		m.lose("%s: %s of the machine is not taken over; with --take-binds it is moved into a volume", service, path)
		return spec.Mount{}, false
	}
	name := strings.ReplaceAll(strings.Trim(path, "/"), "/", "-")
	taken := slices.ContainsFunc(m.Moves, func(o Move) bool { return o.Name == name && o.Path != path })
	if !spec.ValidVolume(name) || taken {
		m.refuse("%s: %s cannot be made a volume's name", service, path)
	}
	m.move(Move{Path: path, Name: name})
	return spec.Mount{Kind: spec.Volume, Source: name, Target: target, ReadOnly: readOnly}, true
}
