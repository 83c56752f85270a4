// Package portaltest holds portals to what their callers rely on, and has one
// that lives in the test's own process.
package portaltest

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"havre/internal/portal"
)

// Fake is a portal without an engine: the test says which container is at
// which address, and may use addresses of the loopback (127.0.1.1, 127.0.1.2
// and so on make different containers with the same port).
type Fake struct {
	Socket string // where it listens

	listener *net.UnixListener
	served   sync.WaitGroup

	mu    sync.Mutex // guards at and lines
	at    map[string][]netip.Addr
	lines map[*net.UnixConn]bool // nil once it is closed
}

// ID makes the id of a container of a name; the same one every time.
func ID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "a" + hex.EncodeToString(sum[:])[1:] // as the engine's, a short id is never all digits
}

// Open starts a fake portal that knows no container yet; it ends with the test.
func Open(t testing.TB) *Fake {
	t.Helper()
	dir, err := os.MkdirTemp("", "portal") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	f := &Fake{Socket: filepath.Join(dir, "portal.sock"), at: map[string][]netip.Addr{}, lines: map[*net.UnixConn]bool{}}
	f.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: f.Socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	f.served.Go(f.serve)
	t.Cleanup(func() {
		f.Close()
		os.RemoveAll(dir)
	})
	return f
}

// Place says where container is from now on; without an address it is gone.
func (f *Fake) Place(container string, at ...netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at[container] = at
}

// Close ends the portal, as if its container had gone. The sockets that it
// handed over go on, which those of a real one would not. It may be called twice.
func (f *Fake) Close() {
	f.listener.Close()
	f.mu.Lock()
	for c := range f.lines {
		c.CloseRead() // who is being answered hears it still
	}
	f.lines = nil
	f.mu.Unlock()
	f.served.Wait()
}

func (f *Fake) serve() {
	for {
		c, err := f.listener.AcceptUnix()
		if err != nil {
			return
		}
		f.served.Go(func() {
			defer c.Close()
			f.follow(c)
			defer f.unfollow(c)
			no := f.answer(c)
			for no == nil {
				no = f.answer(c)
			}
			if no == hungUp {
				return
			}
			line, _ := json.Marshal(map[string]any{"ok": false, "kind": no.Kind, "says": no.Says})
			c.Write(append(line, '\n')) // who is gone hears nothing
		})
	}
}

// follow notes a line that may be kept, and is not to outlive the fake.
func (f *Fake) follow(c *net.UnixConn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lines == nil {
		c.CloseRead()
		return
	}
	f.lines[c] = true
}

func (f *Fake) unfollow(c *net.UnixConn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.lines, c)
}

// hungUp is for a line on which nothing was asked any more.
var hungUp = &portal.Refusal{Kind: portal.BadRequest, Says: "nothing was asked"}

type request struct {
	ID      string     `json:"id"`
	Address netip.Addr `json:"address"`
	Port    uint16     `json:"port"`
	Network string     `json:"network,omitempty"`
}

func (f *Fake) answer(c *net.UnixConn) *portal.Refusal {
	c.SetDeadline(time.Now().Add(5 * time.Second))
	from := bufio.NewReaderSize(c, 4<<10)
	line, err := from.ReadSlice('\n')
	if err != nil && len(line) == 0 {
		return hungUp
	}
	r, ok := parse(bytes.TrimSuffix(line, []byte("\n")))
	if err != nil || !ok || from.Buffered() > 0 {
		return &portal.Refusal{Kind: portal.BadRequest, Says: "not a request"}
	}
	f.mu.Lock()
	at := f.at[r.ID]
	f.mu.Unlock()
	if len(at) == 0 {
		return &portal.Refusal{Kind: portal.Unknown, Says: "no such container"}
	}
	if len(at) != 1 || at[0] != r.Address {
		return &portal.Refusal{Kind: portal.Mismatch, Says: "not there, or not only there"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var d net.Dialer
	out, err := d.DialContext(ctx, cmp.Or(r.Network, "tcp")+"4", netip.AddrPortFrom(r.Address, r.Port).String())
	if errors.Is(err, context.DeadlineExceeded) {
		return &portal.Refusal{Kind: portal.Timeout, Says: err.Error()}
	}
	if err != nil {
		return &portal.Refusal{Kind: portal.Refused, Says: err.Error()}
	}
	defer out.Close()
	raw, err := out.(syscall.Conn).SyscallConn()
	if err != nil {
		return &portal.Refusal{Kind: portal.Refused, Says: err.Error()}
	}
	raw.Control(func(fd uintptr) {
		c.WriteMsgUnix([]byte("{\"ok\":true}\n"), syscall.UnixRights(int(fd)), nil)
	})
	return nil
}

// parse is as strict as the real portal, except that loopback is allowed.
func parse(line []byte) (request, bool) {
	var r request
	if json.Unmarshal(line, &r) != nil {
		return r, false
	}
	raw, err := hex.DecodeString(r.ID)
	again, _ := json.Marshal(r)
	usable := r.Address.Is4() && (r.Address.IsGlobalUnicast() || r.Address.IsLoopback())
	return r, err == nil && len(raw) == 32 && hex.EncodeToString(raw) == r.ID &&
		usable && r.Port > 0 && (r.Network == "" || r.Network == "udp") && bytes.Equal(again, line)
}
