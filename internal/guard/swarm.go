package guard

import (
	"net"
	"net/http"

	"havre/internal/dockercall"
	"havre/internal/problem"
)

type swarmState struct {
	Swarm struct {
		NodeID           dockercall.SwarmID
		LocalNodeState   string
		ControlAvailable bool
	}
}

// swarm makes a swarm where there is none. One that exists is used as it is:
// it is never left and never changed, and its join tokens stay unread.
func (g *Guard) swarm(r *http.Request, _ *dockercall.Swarm) (dockercall.SwarmAnswer, error) {
	ctx := r.Context()
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
		return dockercall.SwarmAnswer{Node: s.Swarm.NodeID}, nil
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
		return dockercall.SwarmAnswer{Node: s.Swarm.NodeID, Created: true}, nil
	}
	return dockercall.SwarmAnswer{}, problem.New(problem.Unavailable, "the engine's swarm is in state %s", s.Swarm.LocalNodeState).
		With("look at: docker info")
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
