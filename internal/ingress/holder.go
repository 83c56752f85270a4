package ingress

import (
	"bufio"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// holder says who has a port, as far as the kernel tells a process
// of our rights: "exim4 (pid 4711)", else "a process of user Debian-exim",
// else nothing.
func holder(k key) string {
	tables, state := []string{"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"}, "0A"
	if k.kind == udpDoor {
		tables, state = []string{"/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"}, "07"
	}
	for _, table := range tables {
		inode, uid, found := socketOn(table, state, k.port)
		if !found {
			continue
		}
		if pid, name := processWith(inode); pid > 0 {
			return fmt.Sprintf("%s (pid %d)", name, pid)
		}
		if u, err := user.LookupId(uid); err == nil {
			return "a process of user " + u.Username
		}
		return "a process of user " + uid
	}
	return ""
}

// socketOn reads one of the kernel's tables, proc(5): local address in field
// 1, state in 3 (0A listens, 07 takes datagrams of anybody), user in 7, inode in 9.
func socketOn(table, state string, port uint16) (inode, uid string, found bool) {
	f, err := os.Open(table)
	if err != nil {
		return "", "", false
	}
	defer f.Close()
	suffix := fmt.Sprintf(":%04X", port)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		field := strings.Fields(lines.Text())
		if len(field) > 9 && strings.HasSuffix(field[1], suffix) && field[3] == state {
			return field[9], field[7], true
		}
	}
	return "", "", false
}

// processWith finds a process that has the socket open. Processes of others
// do not let us look.
func processWith(inode string) (pid int, name string) {
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well formed
	for _, fd := range open {
		if to, err := os.Readlink(fd); err != nil || to != "socket:["+inode+"]" {
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
