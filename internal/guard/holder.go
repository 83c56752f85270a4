package guard

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"havre/internal/dockercall"
)

// holder names the process that has a TCP or UDP port. Only root sees whose
// sockets are whose, and people want to be told who has their port.
func (g *Guard) holder(_ *http.Request, c *dockercall.Holder) (dockercall.HolderAnswer, error) {
	inodes := listening(c.Port, c.Protocol)
	if len(inodes) == 0 {
		return dockercall.HolderAnswer{}, nil
	}
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well formed
	for _, fd := range open {
		to, err := os.Readlink(fd)
		if err != nil || !inodes[to] {
			continue
		}
		process := filepath.Dir(filepath.Dir(fd))
		name, err := os.ReadFile(filepath.Join(process, "comm"))
		pid, perr := strconv.Atoi(filepath.Base(process))
		if err == nil && perr == nil {
			return dockercall.HolderAnswer{PID: pid, Name: strings.TrimSpace(string(name))}, nil
		}
	}
	return dockercall.HolderAnswer{}, nil
}

// listening gives the sockets that listen on a port of the network that we are
// in (of this thread: the first one may be in another), as /proc/PID/fd names
// them (proc(5), /proc/net/tcp and udp: field 1 is the address, 3 the state, 9
// the inode). State 0A listens, 07 takes datagrams of anybody.
func listening(port uint16, protocol dockercall.PortProtocol) map[string]bool {
	tables, state := []string{"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"}, "0A"
	if protocol == dockercall.UDPPort {
		tables, state = []string{"/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"}, "07"
	}
	found := map[string]bool{}
	suffix := fmt.Sprintf(":%04X", port)
	for _, table := range tables {
		f, err := os.Open(table)
		if err != nil {
			continue // no IPv6
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			field := strings.Fields(lines.Text())
			if len(field) > 9 && strings.HasSuffix(field[1], suffix) && field[3] == state {
				found["socket:["+field[9]+"]"] = true
			}
		}
		_ = f.Close() // read, never written
	}
	return found
}
