// Package holder finds out who has a port of this machine, in the kernel's
// tables of sockets (proc(5), /proc/net). People want to be told who has their
// port, and each of our processes sees a part of it: only root sees the process.
package holder

import (
	"bufio"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// Socket has a port.
type Socket struct {
	Inode string // as /proc/PID/fd names it
	User  string // uid
}

// Sockets gives those that listen on a TCP port, or those that take datagrams
// of anybody at a UDP port. They are of the network that the calling thread is
// in: the process's first thread may be in another one.
func Sockets(udp bool, port uint16) []Socket {
	table, state := "/proc/thread-self/net/tcp", "0A" // listens
	if udp {
		table, state = "/proc/thread-self/net/udp", "07" // is bound, and connected to nobody
	}
	var found []Socket
	suffix := fmt.Sprintf(":%04X", port)
	for _, file := range []string{table, table + "6"} {
		f, err := os.Open(file)
		if err != nil {
			continue // no IPv6
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			field := strings.Fields(lines.Text())
			if len(field) > 9 && strings.HasSuffix(field[1], suffix) && field[3] == state {
				found = append(found, Socket{Inode: field[9], User: field[7]})
			}
		}
		_ = f.Close() // read, never written
	}
	return found
}

// Process finds a process that has one of the sockets open; 0 where there is
// none that we may look into.
func Process(sockets ...Socket) (pid int, name string) {
	if len(sockets) == 0 {
		return 0, ""
	}
	wanted := map[string]bool{}
	for _, s := range sockets {
		wanted["socket:["+s.Inode+"]"] = true
	}
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well formed
	for _, fd := range open {
		if to, err := os.Readlink(fd); err != nil || !wanted[to] {
			continue
		}
		process := filepath.Dir(filepath.Dir(fd))
		comm, err := os.ReadFile(filepath.Join(process, "comm"))
		if err != nil {
			continue
		}
		pid, _ = strconv.Atoi(filepath.Base(process)) // by the pattern it is a number
		return pid, strings.TrimSpace(string(comm))
	}
	return 0, ""
}

// UserName is a user's name, or the uid where it has none.
func UserName(uid string) string {
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return uid
}
