package guard

import (
	"net/http"

	"havre/internal/dockercall"
	"havre/internal/holder"
)

// holder names the process that has a TCP or UDP port. Only root sees whose
// sockets are whose, and people want to be told who has their port.
func (g *Guard) holder(_ *http.Request, c *dockercall.Holder) (dockercall.HolderAnswer, error) {
	pid, name := holder.Process(holder.Sockets(c.Protocol == dockercall.UDPPort, c.Port)...)
	return dockercall.HolderAnswer{PID: pid, Name: name}, nil
}
