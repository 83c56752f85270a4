package ingress

import (
	"fmt"

	"havre/internal/holder"
)

// holderOf says who has a port, as far as the kernel tells a process of our
// rights: "exim4 (pid 4711)", else "a process of user Debian-exim", else
// nothing.
func holderOf(k key) string {
	sockets := holder.Sockets(k.kind == udpDoor, k.port)
	if len(sockets) == 0 {
		return ""
	}
	if pid, name := holder.Process(sockets[0]); pid > 0 {
		return fmt.Sprintf("%s (pid %d)", name, pid)
	}
	return "a process of user " + holder.UserName(sockets[0].User)
}
