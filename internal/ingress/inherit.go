package ingress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"havre/internal/problem"
)

// An ingress that starts beside another one takes over from it: it is handed the
// listening sockets, so nobody is refused, and the old one keeps who is
// inside for Settings.Drain. They speak over a socket beside the control socket, one
// message at a time: the heir asks, the old one answers.
const (
	askSockets = "sockets" // answered by one message for each, with the socket, and one that ends them
	askLeave   = "leave"   // the heir listens: the old one does no more
	askCount   = "count"   // follow the kept table; who is still inside?
	askEnd     = "end"     // the heir ends, and who is inside with it
)

// handing is how long an heir may take from its first word to being ready.
const handing = 15 * time.Second

// HeirSocket is where the ingress of this control socket waits for its heir.
func HeirSocket(control string) string { return control + ".heir" }

// message is what the old one answers.
type message struct {
	Port  uint16         `json:"port,omitempty"` // of a socket that comes along
	Kind  doorKind       `json:"kind,omitempty"`
	Near  bool           `json:"near,omitempty"`
	Open  map[string]int `json:"open,omitempty"` // as in the status
	Says  string         `json:"says,omitempty"` // why not
	Ended bool           `json:"ended,omitempty"`
}

// legacy is the other ingress, as its heir sees it.
type legacy struct {
	mu      sync.Mutex // one question at a time
	conn    *net.UnixConn
	sockets map[key][]*os.File // those nobody wanted yet
	gone    bool
}

// inherit asks the ingress that runs for its sockets; nil when none does. One
// that is just being replaced by another hangs up: its name leads to that one.
func inherit(path string) (l *legacy, err error) {
	for range 5 {
		if l, err = inheritOnce(path); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			break
		}
	}
	return l, err
}

func inheritOnce(path string) (*legacy, error) {
	c, err := net.DialTimeout("unixpacket", path, time.Second)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, nil
	}
	if err != nil {
		return nil, problem.New(problem.Failed, "ask the ingress that runs for its ports").Because(err)
	}
	l := &legacy{conn: c.(*net.UnixConn), sockets: map[key][]*os.File{}}
	c.SetDeadline(time.Now().Add(handing))
	_, err = io.WriteString(c, askSockets)
	for err == nil {
		var m message
		var f *os.File
		if m, f, err = l.read(); err != nil || m.Ended {
			break
		}
		k := key{m.Port, m.Kind, m.Near}
		l.sockets[k] = append(l.sockets[k], f)
	}
	if err != nil {
		l.drop()
		c.Close()
		return nil, problem.New(problem.Failed, "take over from the ingress that runs").Because(err)
	}
	return l, nil
}

// read gives one message and the socket in it, if there is one.
func (l *legacy) read() (message, *os.File, error) {
	text, control := make([]byte, 1<<20), make([]byte, syscall.CmsgSpace(4))
	n, c, _, _, err := l.conn.ReadMsgUnix(text, control)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return message{}, nil, err
	}
	var f *os.File
	messages, err := syscall.ParseSocketControlMessage(control[:c])
	if err == nil && len(messages) == 1 {
		var fds []int
		if fds, err = syscall.ParseUnixRights(&messages[0]); err == nil && len(fds) == 1 {
			f = os.NewFile(uintptr(fds[0]), "inherited")
		}
	}
	var m message
	return m, f, errors.Join(err, json.Unmarshal(text[:n], &m))
}

// take gives the sockets of a door, once. They are the caller's.
func (l *legacy) take(k key) []*os.File {
	if l == nil {
		return nil
	}
	defer delete(l.sockets, k)
	return l.sockets[k]
}

// drop closes the sockets that no door of the table wanted.
func (l *legacy) drop() {
	for k := range l.sockets {
		closeAll(l.take(k))
	}
}

// succeed tells the old one to leave the doors to us.
func (f *front) succeed() {
	f.legacy.ask(askLeave, handing)
	if f.legacy != nil {
		f.legacy.drop()
		f.set.Log.Info("took over from the ingress that ran")
	}
	close(f.mine)
}

// inheritedTCP makes listeners of sockets. A socket that is none is not used:
// then the door is opened afresh.
func inheritedTCP(files []*os.File) []net.Listener {
	defer closeAll(files)
	var all []net.Listener
	for _, f := range files {
		if l, err := net.FileListener(f); err == nil {
			all = append(all, l)
		}
	}
	return all
}

func inheritedUDP(files []*os.File) []*packets {
	defer closeAll(files)
	var all []*packets
	for _, f := range files {
		c, err := net.FilePacketConn(f)
		if err != nil {
			continue
		}
		if udp, ok := c.(*net.UDPConn); !ok {
			c.Close()
		} else if p, err := newPackets(udp); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// parting asks clients of an ingress that was replaced to come anew: kept
// connections then end with an answer, never in the middle of a question.
func (f *front) parting(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if f.replaced() && r.Header.Get("Upgrade") == "" {
			rw.Header().Set("Connection", "close")
		}
		h.ServeHTTP(rw, r)
	})
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// ask gives the answer to a question; none when the old one is gone.
func (l *legacy) ask(question string, patience time.Duration) message {
	if l == nil {
		return message{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return message{}
	}
	l.conn.SetDeadline(time.Now().Add(patience))
	_, err := io.WriteString(l.conn, question)
	var m message
	if err == nil {
		m, _, err = l.read()
	}
	if err != nil { // also when it was slow: a late answer would be taken for another one's
		l.gone = true
		l.conn.Close()
	}
	return m
}

// there tells whether the old one still has somebody inside.
func (l *legacy) there() bool {
	l.ask(askCount, time.Second)
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.gone
}

// listenHeir opens the socket for the next ingress, in place of the last one's.
func listenHeir(path string) (*net.UnixListener, error) {
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: next, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(next, 0o600), os.Rename(next, path)); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// serveHeirs hands over to whoever asks until one has taken over, and then
// answers that one. The returned function ends it.
func (f *front) serveHeirs() (stop func(), err error) {
	l, err := listenHeir(HeirSocket(f.set.ControlSocket))
	if err != nil {
		return nil, fmt.Errorf("wait for an heir: %w", err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			f.serveHeir(c, l)
			c.Close()
		}
	})
	return func() {
		l.Close()
		serving.Wait()
		if !f.replaced() {
			os.Remove(HeirSocket(f.set.ControlSocket))
		}
	}, nil
}

// serveHeir answers one heir until it leaves. Until it takes over nothing has
// changed; no table is followed meanwhile, since the heir has read the kept one.
func (f *front) serveHeir(c *net.UnixConn, l net.Listener) {
	defer context.AfterFunc(f.ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	c.SetDeadline(time.Now().Add(handing))
	if hears(c) != askSockets {
		return
	}
	f.mu.Lock()
	took := f.sendSockets(c) == nil && hears(c) == askLeave
	if took {
		f.leaveDoors()
	}
	f.mu.Unlock()
	if !took {
		return
	}
	l.Close()
	close(f.left)
	tell(c, message{Ended: true})
	f.set.Log.Info("another ingress took over")
	for {
		c.SetDeadline(time.Time{})
		if f.ctx.Err() != nil {
			return
		}
		switch hears(c) {
		case askCount:
			f.mu.Lock()
			if t, err := load(f.set.TableFile); err == nil {
				f.followView(t)
				f.forget()
			}
			f.mu.Unlock()
			tell(c, message{Open: f.opened()})
		case askEnd:
			f.legacy.ask(askEnd, time.Second)
			close(f.over)
			tell(c, message{Ended: true})
			return
		default:
			return
		}
	}
}

func hears(c *net.UnixConn) string {
	b := make([]byte, 64)
	n, err := c.Read(b)
	if err != nil {
		return ""
	}
	return string(b[:n])
}

func tell(c *net.UnixConn, m message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = c.Write(b)
	return err
}

// sendSockets needs the lock.
func (f *front) sendSockets(c *net.UnixConn) error {
	for k, d := range f.doors {
		var all []syscall.Conn
		for _, s := range d.sockets {
			all = append(all, s.(*net.TCPListener))
		}
		for _, p := range d.packets {
			all = append(all, p.UDPConn)
		}
		for _, s := range all {
			raw, err := s.SyscallConn()
			if err != nil {
				return err
			}
			text, err := json.Marshal(message{Port: k.port, Kind: k.kind, Near: k.near})
			if err != nil {
				return err
			}
			var sent error
			err = raw.Control(func(fd uintptr) { _, _, sent = c.WriteMsgUnix(text, syscall.UnixRights(int(fd)), nil) })
			if err := errors.Join(err, sent); err != nil {
				return err
			}
		}
	}
	return tell(c, message{Ended: true})
}

// leaveDoors needs the lock. Who is inside stays.
func (f *front) leaveDoors() {
	for k, d := range f.doors {
		if d.kind == udpDoor {
			f.leaveFlows(d)
			continue // shut with the rest, at the end
		}
		d.close()
		delete(f.doors, k)
	}
}

// replaced tells whether an heir has taken over.
func (f *front) replaced() bool {
	select {
	case <-f.left:
		return true
	default:
		return false
	}
}

// opened counts the connections to containers, those of a former ingress too.
func (f *front) opened() map[string]int {
	open := f.guests.open()
	for c, n := range f.legacy.ask(askCount, time.Second).Open {
		open[c] += n
	}
	return open
}

// drain waits until nobody is inside, here and in a former ingress, until it was long enough, or until the heir ends.
func (f *front) drain(ctx context.Context) {
	empty := make(chan struct{})
	go func() {
		defer close(empty)
		f.inside.Wait()
	}()
	late := time.After(f.set.Drain)
	select {
	case <-empty:
	case <-late:
	case <-f.over:
	case <-ctx.Done():
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for f.legacy.there() {
		select {
		case <-late:
			return
		case <-f.over:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
