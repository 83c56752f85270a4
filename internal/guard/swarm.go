package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"havre/internal/dockercall"
	"havre/internal/problem"
)

type swarmState struct {
	Swarm struct {
		NodeID           dockercall.SwarmID
		LocalNodeState   string
		ControlAvailable bool
		Nodes            int
		Cluster          struct{ ID dockercall.SwarmID } // managers alone are told
	}
}

// swarmWithin bounds the making of a swarm, which takes an engine seconds.
const swarmWithin = time.Minute

// swarm makes a swarm where there is none. One that exists is used as it is:
// it is never left and never changed, and its join tokens stay unread. That it
// made one is written down, for purge.
func (g *Guard) swarm(r *http.Request, _ *dockercall.Swarm) (dockercall.SwarmAnswer, error) {
	g.swarming.Lock()
	defer g.swarming.Unlock()
	// A caller that goes does not stop an engine that makes a swarm. Whose it
	// is would be forgotten.
	ctx, stop := context.WithTimeout(context.WithoutCancel(r.Context()), swarmWithin)
	defer stop()
	var s swarmState
	if err := g.engine.get(ctx, "/info", "", &s); err != nil {
		return dockercall.SwarmAnswer{}, err
	}
	switch s.Swarm.LocalNodeState {
	case "active":
		if !s.Swarm.ControlAvailable {
			return dockercall.SwarmAnswer{}, problem.New(problem.Conflict, "this machine is a worker of a swarm; Havre runs on managers").
				With("on a manager: docker node promote %s", s.Swarm.NodeID)
		}
		return dockercall.SwarmAnswer{Node: s.Swarm.NodeID, Capabilities: g.bounds.Capabilities}, nil
	case "inactive", "":
		address := ownAddress()
		listen := "0.0.0.0:2377"
		if address == loopback {
			listen = loopback + ":2377"
		}
		body := map[string]any{"ListenAddr": listen, "AdvertiseAddr": address}
		if err := g.engine.post(ctx, "/swarm/init", "", body, nil); err != nil {
			return dockercall.SwarmAnswer{}, err
		}
		if err := g.engine.get(ctx, "/info", "", &s); err != nil {
			return dockercall.SwarmAnswer{}, err
		}
		return dockercall.SwarmAnswer{Node: s.Swarm.NodeID, Created: true, Capabilities: g.bounds.Capabilities}, g.madeSwarm(s.Swarm.Cluster.ID)
	}
	return dockercall.SwarmAnswer{}, problem.New(problem.Unavailable, "the engine's swarm is in state %s", s.Swarm.LocalNodeState).
		With("look at: docker info")
}

// swarmFile names the swarm that this Havre made. A guard that dies before it
// is written takes the swarm for somebody else's, which does no harm.
func (g *Guard) swarmFile() string { return filepath.Join(g.set.Dir, "swarm") }

func (g *Guard) madeSwarm(id dockercall.SwarmID) error {
	if err := os.Remove(g.swarmFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return writeOnce(g.swarmFile(), []byte(id+"\n"))
}

// leaveSwarm leaves the swarm that this Havre made, unless it has another node
// or holds anything by now: then it is somebody else's, too. It gives the id of
// what it left.
func (g *Guard) leaveSwarm(ctx context.Context) (dockercall.SwarmID, error) {
	text, err := os.ReadFile(g.swarmFile())
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	var s swarmState
	if err == nil {
		err = g.engine.get(ctx, "/info", "", &s)
	}
	made := dockercall.SwarmID(strings.TrimSpace(string(text)))
	if err != nil || made == "" || s.Swarm.Cluster.ID != made || s.Swarm.LocalNodeState != "active" || s.Swarm.Nodes != 1 {
		return "", err
	}
	if used, err := g.swarmIsUsed(ctx); used || err != nil {
		return "", err
	}
	return made, g.engine.post(ctx, "/swarm/leave", "force=1", nil, nil)
}

// swarmIsUsed says whether a swarm holds anything but its own network.
func (g *Guard) swarmIsUsed(ctx context.Context) (bool, error) {
	for _, list := range []string{"/services", "/secrets", "/configs", "/networks"} {
		var all []struct {
			Scope   string
			Ingress bool
		}
		if err := g.engine.get(ctx, list, "", &all); err != nil {
			return true, err
		}
		for _, o := range all {
			if list != "/networks" || o.Scope == "swarm" && !o.Ingress {
				return true, nil
			}
		}
	}
	return false, nil
}

// How long a swarm is given to make a network, and to set its addresses aside.
const (
	networkWithin   = 30 * time.Second
	addressedWithin = 10 * time.Second
)

// networkCreate makes a network and waits until it has its addresses, so that
// the next one is judged with them. One that gets none is removed: the engine
// would list it for good, and nothing could run on it.
func (g *Guard) networkCreate(w http.ResponseWriter, r *http.Request, call dockercall.Call) error {
	// A caller that goes must leave no network without addresses.
	ctx, stop := context.WithTimeout(context.WithoutCancel(r.Context()), networkWithin)
	defer stop()
	a, err := g.send(r.WithContext(ctx), call)
	if err != nil {
		return err
	}
	if a.StatusCode != http.StatusCreated {
		pass(w, a)
		return nil
	}
	defer a.Body.Close()
	var made struct{ Id, Warning string }
	if err := json.NewDecoder(io.LimitReader(a.Body, maxAnswer)).Decode(&made); err != nil {
		return fmt.Errorf("read which network the engine made: %w", err)
	}
	if g.awaitAddresses(ctx, made.Id) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(made)
		return nil
	}
	left := g.engine.call(ctx, dockercall.Wire{Method: http.MethodDelete, Path: "/networks/" + made.Id}, nil)
	return problem.New(problem.Conflict, "the swarm gives the new network no addresses").
		With("see which networks there are: docker network ls").Because(unlessMissing(left))
}

func (g *Guard) awaitAddresses(ctx context.Context, id string) bool {
	ctx, stop := context.WithTimeout(ctx, addressedWithin)
	defer stop()
	for {
		var n addressed
		if err := g.engine.get(ctx, "/networks/"+id, "", &n); err == nil && len(n.IPAM.Config) > 0 {
			return true
		}
		if !wait(ctx, 50*time.Millisecond) {
			return false
		}
	}
}

const loopback = "127.0.0.1"

// ownAddress is the address the machine would speak to others from. Nothing
// is sent: connecting a UDP socket only asks the routing table. Without a
// route the swarm stays on this machine.
func ownAddress() string {
	c, err := net.Dial("udp4", "192.0.2.1:9")
	if err != nil {
		return loopback
	}
	defer c.Close()
	a, ok := c.LocalAddr().(*net.UDPAddr)
	if !ok || a.IP.IsUnspecified() {
		return loopback
	}
	return a.IP.String()
}
