package swarm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"havre/internal/dockercall"
	"havre/internal/problem"
	"havre/internal/service"
)

// What a portal may use of the machine: a few times what it needs.
const (
	portalMemory = 32 << 20
	portalPids   = 64
)

// portalTarget is where a portal has the directory that it shares with the ingress.
const portalTarget = "/portal"

// portalName is the container's name. A new portal stands beside the old one
// until that one's connections end, so a name has a generation.
func portalName(environment string, generation int) string {
	return fmt.Sprintf("h-portal-%s.%d", environment, generation)
}

// generationOf reads a portal's name, as the engine lists it. Without a number
// it is of a Havre that replaced portals at once.
func generationOf(names []string, environment string) int {
	for _, n := range names {
		if digits, ok := strings.CutPrefix(n, "/h-portal-"+environment+"."); ok {
			if g, err := strconv.Atoi(digits); err == nil {
				return g
			}
		}
	}
	return 0
}

// portalsOf picks the portals out of a list of containers.
func portalsOf(all []container.Summary) []service.Portal {
	var portals []service.Portal
	for _, c := range all {
		m := readMark(c.Labels)
		if m.kind != kindPortal {
			continue
		}
		p := service.Portal{
			Container: c.ID, Environment: m.environment, Generation: generationOf(c.Names, m.environment), Image: c.ImageID,
			Running: c.State == container.StateRunning, Created: time.Unix(c.Created, 0),
		}
		if c.NetworkSettings != nil {
			for _, n := range c.NetworkSettings.Networks {
				p.Networks = append(p.Networks, n.NetworkID)
			}
		}
		slices.Sort(p.Networks)
		portals = append(portals, p)
	}
	return portals
}

// EnsurePortal makes a portal of the guard's image serve the environment,
// attached to exactly the networks with these ids. With no networks there is no
// portal. Connections through a portal that stays are not disturbed; those
// through one that is replaced go on as long as service.TendPortals lets it stay.
//
// Errors: NotFound when a network is gone.
func (s *Swarm) EnsurePortal(ctx context.Context, environment string, networks []string) error {
	if len(networks) == 0 {
		return s.RemovePortal(ctx, environment)
	}
	want, err := s.portalMaterial(ctx, environment)
	if err != nil {
		return err
	}
	have, err := s.portalsIn(ctx, environment)
	if err != nil {
		return err
	}
	w := service.TendPortals(have, want.Image, networks, time.Now())
	if err := s.removePortals(ctx, w.Gone); err != nil {
		return err
	}
	if w.Keep == nil {
		err = s.startPortal(ctx, service.Portal{Environment: environment, Generation: w.Next}, networks, want)
	} else {
		err = s.attach(ctx, *w.Keep, networks)
	}
	if err != nil {
		return err
	}
	for container, off := range w.Detach {
		for _, network := range off {
			if err := s.disconnect(ctx, container, network); err != nil {
				return err
			}
		}
	}
	return s.removePortals(ctx, w.Over)
}

// material is what a portal is made of.
type material struct {
	Image     string // id
	Directory string // shared with the ingress
	User      string // UID:GID that it runs as, which has the directory
}

func (s *Swarm) portalMaterial(ctx context.Context, environment string) (material, error) {
	var place dockercall.PortalPlace
	err := s.call(ctx, dockercall.PortalPath, dockercall.Portal{Environment: dockercall.Environment(environment)}, &place)
	if err != nil {
		return material{}, err
	}
	return material{string(place.Image), place.Directory, string(place.User)}, nil
}

func (s *Swarm) portalsIn(ctx context.Context, environment string) ([]service.Portal, error) {
	r, err := s.api.ContainerList(ctx, client.ContainerListOptions{
		All:     true,
		Filters: ours(labelKind+"="+kindPortal, labelEnvironment+"="+environment),
	})
	if err != nil {
		return nil, explain(err, "look for the portal of %s", environment)
	}
	return portalsOf(r.Items), nil
}

// portalSysctls let a portal connect to one container more often than the
// kernel's 28,000 source ports last for a minute: where the client is the
// first to close, each stays taken for that long. It forwards nothing.
func portalSysctls() map[string]string {
	return map[string]string{"net.ipv4.ip_forward": "0", "net.ipv4.ip_local_port_range": "1024 65000", "net.ipv4.tcp_tw_reuse": "1"}
}

// portalContainer is the portal's container: no privilege, nothing to write
// to but the shared directory. It comes back after a crash, its own or the
// engine's, but not when it ended well: then it was replaced.
func portalContainer(p service.Portal, firstNetwork string, m material) client.ContainerCreateOptions {
	pids := int64(portalPids)
	return client.ContainerCreateOptions{
		Name: portalName(p.Environment, p.Generation),
		Config: &container.Config{
			Image:  m.Image,
			User:   m.User,
			Labels: mark{kind: kindPortal, environment: p.Environment}.labels(nil),
		},
		HostConfig: &container.HostConfig{
			NetworkMode:    container.NetworkMode(firstNetwork),
			ReadonlyRootfs: true,
			DNSOptions:     []string{"ndots:1"}, // ids are the engine's to answer, never the machine's name servers'
			Sysctls:        portalSysctls(),
			CapDrop:        []string{"ALL"},
			SecurityOpt:    []string{"no-new-privileges"},
			RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyOnFailure},
			LogConfig:      container.LogConfig{Type: logDriver.Name, Config: logDriver.Options},
			Resources:      container.Resources{Memory: portalMemory, PidsLimit: &pids},
			Mounts:         []mount.Mount{{Type: mount.TypeBind, Source: m.Directory, Target: portalTarget}},
		},
		NetworkingConfig: &network.NetworkingConfig{
			EndpointsConfig: map[string]*network.EndpointSettings{firstNetwork: {}},
		},
	}
}

// startPortal attaches before it starts: from its first moment on a portal gets
// all questions, about all of the networks.
func (s *Swarm) startPortal(ctx context.Context, p service.Portal, networks []string, m material) error {
	r, err := s.api.ContainerCreate(ctx, portalContainer(p, networks[0], m))
	if err != nil {
		return explain(err, "make the portal of %s", p.Environment)
	}
	p.Container, p.Networks = r.ID, networks[:1]
	lacks := s.attach(ctx, p, networks)
	_, err = s.api.ContainerStart(ctx, r.ID, client.ContainerStartOptions{})
	return errors.Join(lacks, explain(err, "start the portal of %s", p.Environment))
}

// attach connects before it disconnects: a container without any network
// could not be given one again. A network that cannot be joined keeps the
// portal from no other: they are different projects'.
func (s *Swarm) attach(ctx context.Context, p service.Portal, networks []string) error {
	var wrong []error
	for _, id := range networks {
		if slices.Contains(p.Networks, id) {
			continue
		}
		_, err := s.api.NetworkConnect(ctx, id, client.NetworkConnectOptions{Container: p.Container})
		wrong = append(wrong, explain(err, "connect the portal of %s to network %s", p.Environment, id))
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	for _, id := range p.Networks {
		if slices.Contains(networks, id) {
			continue
		}
		if err := s.disconnect(ctx, p.Container, id); err != nil {
			return err
		}
	}
	return nil
}

// disconnect is no error when the container or the network is gone.
func (s *Swarm) disconnect(ctx context.Context, containerID, networkID string) error {
	_, err := s.api.NetworkDisconnect(ctx, networkID, client.NetworkDisconnectOptions{Container: containerID, Force: true})
	if err = explain(err, "disconnect container %.12s from network %s", containerID, networkID); problem.KindOf(err) == problem.NotFound {
		return nil
	}
	return err
}

// RemovePortal ends the environment's portals, and every connection through
// them. It is no error when there is none.
func (s *Swarm) RemovePortal(ctx context.Context, environment string) error {
	have, err := s.portalsIn(ctx, environment)
	if err != nil {
		return err
	}
	return s.removePortals(ctx, have)
}

func (s *Swarm) removePortals(ctx context.Context, all []service.Portal) error {
	for _, p := range all {
		if err := s.removeContainer(ctx, p.Container); err != nil {
			return err
		}
	}
	return nil
}

func (s *Swarm) removeContainer(ctx context.Context, id string) error {
	_, err := s.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true})
	if err = explain(err, "remove container %.12s", id); problem.KindOf(err) == problem.NotFound {
		return nil
	}
	return err
}
