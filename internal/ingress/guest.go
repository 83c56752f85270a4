package ingress

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"havre/internal/http1"
	"havre/internal/problem"
	"havre/internal/relay"
	"havre/internal/route"
)

// errMoved is for who looked for a container in a table that is no more. Its
// routes lead elsewhere by now.
var errMoved = problem.New(problem.Unavailable, "the container is not in the table any more")

// guests counts the connections that are open to each container. Once a table
// without a container is followed its count only falls: at 0 the container may
// be stopped, and nobody notices.
type guests struct {
	mu    sync.Mutex // guards count
	count map[string]int
}

// guest is a connection to a container. Close may be called twice.
type guest struct {
	*net.TCPConn            // nil while it is bare
	bare         relay.Conn // where there is no other
	leave        func()
}

// Close closes the connection and counts it no more.
func (g *guest) Close() error {
	defer g.leave()
	if g.TCPConn == nil {
		g.bare.Close()
		return nil
	}
	return g.TCPConn.Close()
}

// enter connects to a container of the table that is followed.
// Errors: errMoved.
func (f *front) enter(ctx context.Context, t route.Target) (*guest, error) {
	return f.lodge(t, func(g *guest) (err error) {
		g.TCPConn, err = f.dial(ctx, t)
		return err
	})
}

// enterBare is enter for a bare connection. Close may be called once.
func (f *front) enterBare(ctx context.Context, t route.Target) (*guest, error) {
	return f.lodge(t, func(g *guest) (err error) {
		g.bare, err = f.dialBare(ctx, t)
		return err
	})
}

// lodge counts a guest of a container for as long as it takes to connect it,
// and then until it leaves.
func (f *front) lodge(t route.Target, connect func(*guest) error) (*guest, error) {
	g := &guest{leave: f.register(t.Container)}
	if g.leave == nil {
		return nil, errMoved
	}
	if err := connect(g); err != nil {
		g.leave()
		return nil, err
	}
	return g, nil
}

// greet says who comes, before anybody else says anything.
func (g *guest) greet(who []byte) error {
	if g.TCPConn != nil {
		_, err := g.TCPConn.Write(who)
		return err
	}
	n, err := g.bare.Send(who, 0)
	if err == nil && n < len(who) {
		err = io.ErrShortWrite // a new connection takes as much
	}
	return err
}

// register counts one more guest before it dials, unless the container is not
// in the table. Both happen under the lock under which the status counts, so
// who asks after a new table was followed misses nobody.
func (f *front) register(container string) (leave func()) {
	g := &f.guests
	g.mu.Lock()
	defer g.mu.Unlock()
	if !f.now.Load().led[container] {
		return nil
	}
	g.count[container]++
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.count[container]--; g.count[container] == 0 {
			delete(g.count, container)
		}
	})
}

// open gives the counts.
func (g *guests) open() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.count)
}

func moved(err error) bool { return errors.Is(err, errMoved) }

// strand is one connection with what is buffered of it.
type strand struct {
	*guest
	raw   syscall.RawConn
	head  []byte        // of the request
	ahead []byte        // what was read and not used yet, of room
	in    *bufio.Reader // where net/http reads; it reads ahead first
	out   *bufio.Writer // where bodies go
	left  int           // bytes of a header that may come yet; below 0 while there is no header
	until time.Time     // not kept after
	kept  bool          // it had a request before
	login bool          // it knows its client
	whole bool          // head is all of the request
	body  int           // how much of it is the body
	heard bool          // something of the answer came
	told  []byte        // what was read of it for net/http, the header first
	room  [4 << 10]byte
	talk
}

// talk is what is done while nobody else may read: the poller tells of all
// that comes after its beginning, so nothing needs to be tried in vain.
type talk struct {
	looks func(fd uintptr) bool
	alive bool // what it found

	asks   func(fd uintptr) bool
	asked  bool
	unsent []byte
	failed error
}

// errNotQuiet is for a kept connection that the other side closed, or on which
// it spoke unasked: what it said then would be taken for the next answer. Nothing
// was sent on it.
var errNotQuiet = errors.New("the connection is not quiet")

func (s *strand) quiet() bool {
	s.alive = false
	return s.pending() == 0 && s.raw.Read(s.looks) == nil && s.alive
}

func (s *strand) look(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	s.alive = errors.Is(err, syscall.EAGAIN)
	return true
}

// send sends head, which is a whole request, and reads ahead the beginning of
// the answer.
func (s *strand) send() error {
	s.asked, s.alive, s.unsent, s.failed = false, true, nil, nil
	err := s.raw.Read(s.asks)
	switch {
	case err != nil:
		return err
	case !s.alive:
		return errNotQuiet
	case s.failed != nil:
		return s.failed
	case len(s.unsent) > 0:
		s.TCPConn.Write(s.unsent) // what came back, or why nothing did, reading tells
	}
	return nil
}

// takeBody puts behind head a body that came with its request as a whole, as all
// do that our loop takes: they came. The request is whole then.
func (s *strand) takeBody(r *http.Request, came bool) error {
	s.body = 0
	if s.whole = r.Body == nil || r.Body == http.NoBody; s.whole {
		return nil
	}
	if !came || r.ContentLength < 0 {
		return nil
	}
	if s.kept && !s.quiet() {
		return errNotQuiet // before anything is read, which is read only once
	}
	s.kept = false // it is known to be quiet
	n := len(s.head)
	s.head = append(s.head, make([]byte, r.ContentLength)...)
	s.whole, s.body = true, int(r.ContentLength)
	_, err := io.ReadFull(r.Body, s.head[n:])
	return err
}

// again is r, whole as it was sent by s, which is not used any more.
func (s *strand) again(r *http.Request) *http.Request {
	if s.body == 0 {
		return r
	}
	r = r.WithContext(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(s.head[len(s.head)-s.body:]))
	return r
}

// ask is called first to send, then when there may be something to read. It
// is done when it is true.
func (s *strand) ask(fd uintptr) bool {
	if !s.asked {
		if s.asked = true; s.kept && s.look(fd) && !s.alive {
			return true
		}
		n, err := syscall.Write(int(fd), s.head)
		if err != nil && err != syscall.EAGAIN && err != syscall.EINTR {
			s.failed = os.NewSyscallError("write", err)
			return true
		}
		s.unsent = s.head[max(n, 0):]
		return len(s.unsent) > 0
	}
	n, err := syscall.Read(int(fd), s.room[:])
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), s.room[:])
	}
	switch {
	case err == syscall.EAGAIN:
		return false
	case err != nil:
		s.failed = os.NewSyscallError("read", err)
	case n == 0:
		s.failed = io.ErrUnexpectedEOF
	default:
		s.ahead, s.heard = s.room[:n], true
	}
	return true
}

// pending is how much was read that is nobody's yet.
func (s *strand) pending() int {
	n := len(s.ahead)
	if s.in != nil {
		n += s.in.Buffered()
	}
	return n
}

// Read reads from the connection, of a header no more than it may have.
func (s *strand) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, errors.New("the header of the answer is too large")
	}
	if s.left > 0 && len(p) > s.left {
		p = p[:s.left]
	}
	var n int
	var err error
	if len(s.ahead) > 0 {
		n = copy(p, s.ahead)
		s.ahead = s.ahead[n:]
	} else {
		n, err = s.guest.Read(p)
	}
	s.heard = s.heard || n > 0
	if s.left >= 0 {
		s.left -= n
		s.told = append(s.told, p[:n]...)
	}
	return n, err
}

// framing are the headers that writeHead writes itself.
func framing(name string) bool {
	switch name {
	case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
		return true
	}
	return false
}

// writeHead writes the request line and the header. net/http's server has
// refused everything in them that could end a line; to be sure the ends are
// counted, because behind one too many a request could hide.
func (s *strand) writeHead(r *http.Request, odd []http1.Line) error {
	w, uri, lines := s.head, r.URL.RequestURI(), 3 // the empty one, too
	if !oneWord(r.Method) || !oneWord(uri) {
		return errors.New("the request's first line holds what ends a word")
	}
	for _, part := range [...]string{r.Method, " ", uri, " HTTP/1.1\r\nHost: ", r.Host, "\r\n"} {
		w = append(w, part...)
	}
	for name, values := range r.Header {
		if framing(name) || name == "User-Agent" && len(values) == 1 && values[0] == "" {
			continue
		}
		if len(odd) > 0 {
			name = http1.Spelt(odd, name)
		}
		for _, v := range values {
			w = append(append(append(append(w, name...), ": "...), v...), "\r\n"...)
			lines++
		}
	}
	none := r.Body == nil || r.Body == http.NoBody
	switch {
	case none && (r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH"):
		w = append(w, "Content-Length: 0\r\n"...)
		lines++
	case none:
	case r.ContentLength >= 0:
		lines++
		w = append(strconv.AppendInt(append(w, "Content-Length: "...), r.ContentLength, 10), "\r\n"...)
	default:
		w = append(w, "Transfer-Encoding: chunked\r\n"...)
		lines++
		names := []string{}
		for name := range r.Trailer {
			names = append(names, name)
		}
		if len(names) > 0 {
			w = append(w, "Trailer: "+strings.Join(names, ", ")+"\r\n"...)
			lines++
		}
	}
	w = append(w, "\r\n"...)
	if ours := w[len(s.head):]; bytes.Count(ours, []byte{'\n'}) != lines || bytes.Count(ours, []byte{'\r'}) != lines || bytes.IndexByte(ours, 0) >= 0 {
		return errors.New("the request's header holds what ends a line")
	}
	s.head = w
	return nil
}
