package role

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"havre/internal/deploy"
	"havre/internal/holder"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/spec"
)

// machine looks at this machine through /proc, as any user may.
type machine struct {
	ours string // uid of the ingress: what it holds is ours
}

// Routes gives the IPv4 networks the machine reaches otherwise than by its
// default route (/proc/net/route, proc(5)).
func (machine) Routes() ([]netip.Prefix, error) {
	rows, err := procTable("/proc/thread-self/net/route")
	if err != nil {
		return nil, err
	}
	var nets []netip.Prefix
	for _, f := range rows {
		if len(f) < 8 {
			continue
		}
		dst, ok1 := littleEndian(f[1])
		mask, ok2 := littleEndian(f[7])
		if !ok1 || !ok2 || mask == (netip.IPv4Unspecified()) {
			continue
		}
		m := mask.As4()
		bits := 0
		for n := binary.BigEndian.Uint32(m[:]); n != 0; n <<= 1 {
			bits++
		}
		nets = append(nets, netip.PrefixFrom(dst, bits).Masked())
	}
	return nets, nil
}

func littleEndian(hexed string) (netip.Addr, bool) {
	b, err := hex.DecodeString(hexed)
	if err != nil || len(b) != 4 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]}), true
}

// holder tells which user's program listens on a port, unless it is the ingress.
func (m machine) holder(p project.Port) (who string, taken bool) {
	for _, s := range holder.Sockets(p.Protocol == spec.UDP, p.Number) {
		if s.User != m.ours {
			return "a program of the user " + holder.UserName(s.User), true
		}
	}
	return "", false
}

// procTable reads a table of /proc without its headline.
func procTable(file string) ([][]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var rows [][]string
	lines := bufio.NewScanner(f)
	lines.Scan()
	for lines.Scan() {
		rows = append(rows, strings.Fields(lines.Text()))
	}
	return rows, lines.Err()
}

func newMachine() (machine, error) {
	u, err := systemUser(IngressUser)
	return machine{ours: strconv.Itoa(u.uid)}, err
}

// spaces is where deploys write: the database and the volumes, which may be
// file systems of their own. What cannot be looked at does not keep anybody
// from deploying.
type spaces struct{ layout Layout }

// Spaces looks now.
func (s spaces) Spaces() []deploy.Space {
	var all []deploy.Space
	for what, dir := range map[string]string{"Havre's data": filepath.Dir(s.layout.Database()), "people's volumes": s.layout.VolumeDir()} {
		if d, err := diskOf(what, dir); err == nil {
			all = append(all, deploy.Space{Of: d.Of, Path: d.Path, Used: d.Bytes, Free: d.Free})
		}
	}
	slices.SortFunc(all, func(a, b deploy.Space) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// hindrance is what would keep the server from starting and can be known before
// anything is started: somebody else has the address of the API.
func (l Layout) hindrance() error {
	if l.running("server") != 0 {
		return nil // it has it
	}
	c, err := Load(l, "server", defaultServer())
	if err != nil {
		return err
	}
	trial, err := net.Listen("tcp", c.Listen)
	if err == nil {
		return trial.Close()
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return nil // the server says it better
	}
	at, err := netip.ParseAddrPort(c.Listen)
	if err != nil {
		return err
	}
	return problem.New(problem.Conflict, "%s, where Havre's API would be, is taken by %s", c.Listen, holderOf(project.Port{Protocol: spec.TCP, Number: at.Port()}, nil)).
		With("end that, or choose another address: havre up --detach --listen %s", netip.AddrPortFrom(at.Addr(), at.Port()+1))
}
