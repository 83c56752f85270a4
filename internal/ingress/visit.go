package ingress

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"havre/internal/http1"
)

// visit is one request on its way: who asks, where it goes, and what was
// answered so far. It is the http.ResponseWriter that its answer goes through.
type visit struct {
	http.ResponseWriter
	asked   *http.Request // as the client sent it
	front   *front
	door    *door
	party   *party
	way     *way     // nil until the host is found
	tally   *tally   // of its service
	backend *backend // that has it
	from    source
	body    *upload // nil when there is none to pass on
	id      string
	user    string        // who gave a good password
	says    string        // of a refusal, where that is not said
	again   time.Duration // until the client may ask again, where it asked too often
	began   time.Time
	http2   bool
	status  int
	in      atomic.Int64 // the body may still be on its way when the answer is over
	out     int64
	set     time.Time    // when the deadline for writing was
	stall   stall        // of HTTP/2
	fault   atomic.Int32 // of the client's body: the status that says it
	copies  copier       // takes lines as they are; nil when it is not our loop
	lines   *http1.Head  // that the answer has instead of its Header
	odd     []http1.Line // of the request's header: names as the client wrote them
	back    []http1.Line // of the answer's: names as the app wrote them

	spent bool // nobody looks at it when its handler is done

	sent     http.Request // what the container gets
	sentURL  url.URL
	fields   http.Header // sent's; nil at first
	marks    [6]string   // values of it
	told     [1]string   // of the answer's
	exchange exchange    // of our loop's requests
}

// copier is what our loop's answers go to.
type copier interface {
	Copy(lines []http1.Line, length int64)
	Odd() []http1.Line
	Spent()
}

// visit begins one, of a request that the handler was given. Those of our loop
// are used again.
func (f *front) visit(rw http.ResponseWriter, r *http.Request) *visit {
	p := r.Context().Value(partyOf{}).(*party)
	copies, ours := rw.(copier)
	var v *visit
	if ours {
		v, _ = f.visits.Get().(*visit)
	}
	if v == nil {
		v = new(visit)
	}
	v.ResponseWriter, v.asked, v.front, v.door, v.party = rw, r, f, p.door, p
	v.from, v.id, v.began, v.http2 = f.sourceOf(p, r), requestID(r), time.Now(), r.ProtoMajor == 2
	if ours {
		v.copies, p.visit, v.odd = copies, v, copies.Odd()
	}
	return v
}

// reuse is the end of a visit that nobody looks at any more: nothing of it is
// kept but its room.
func (v *visit) reuse() {
	v.copies.Spent()
	v.party.visit = nil
	f, h := v.front, v.fields
	if len(v.asked.Header) > keptFields {
		h = nil // it has been large: to empty that takes longer than to make one
	}
	clear(h)
	*v = visit{fields: h}
	f.visits.Put(v)
}

// keptFields is for how many headers a map is kept.
const keptFields = 32

// visitKey is the context's key for a request's visit.
type visitKey struct{}

// knows is a request's context, which knows its visit.
type knows struct {
	context.Context
	visit *visit
}

// Value gives the visit, or what the context below has.
func (k *knows) Value(key any) any {
	if key == (visitKey{}) {
		return k.visit
	}
	return k.Context.Value(key)
}

func visitOf(r *http.Request) *visit { return r.Context().Value(visitKey{}).(*visit) }

// maxID bounds ids that clients make.
const maxID = 64

// requestID is the client's own if it is harmless, else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	good := len(id) >= 8 && len(id) <= maxID
	for _, c := range []byte(id) {
		good = good && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
	}
	if good {
		return id
	}
	var b [12]byte
	for i, n := 0, rand.Uint64(); i < 8; i++ {
		b[i] = byte(n >> (8 * i))
	}
	for i, n := 8, rand.Uint32(); i < 12; i++ {
		b[i] = byte(n >> (8 * (i - 8)))
	}
	var text [2 * len(b)]byte
	return string(hex.AppendEncode(text[:0], b[:]))
}

// WriteHeader notes the status.
func (v *visit) WriteHeader(status int) {
	if v.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		v.status = status
	}
	if v.body != nil && !v.http2 && status >= 200 && !v.body.ended.Load() {
		// net/http would go on behind a body that is spoilt: its rest would be the next request.
		v.Header().Set("Connection", "close")
	}
	v.ResponseWriter.WriteHeader(status)
}

// Write counts.
func (v *visit) Write(b []byte) (int, error) {
	if v.status == 0 {
		v.status = http.StatusOK
	}
	if v.http2 {
		v.stall.begin(v)
		defer v.stall.end()
	}
	v.hurry()
	n, err := v.ResponseWriter.Write(b)
	v.out += int64(n)
	return n, err
}

// FlushError passes on what was written so far.
func (v *visit) FlushError() error {
	if v.http2 {
		v.stall.begin(v)
		defer v.stall.end()
	}
	return http.NewResponseController(v.ResponseWriter).Flush()
}

// stall gives a client of HTTP/2 BodyIdle to take what is written. A deadline
// would end the stream also when the app, not the client, is slow. The zero
// value is ready.
type stall struct {
	timer *time.Timer

	mu    sync.Mutex // guards since, and keeps a timer that is late from streams that are over
	since time.Time  // zero while nothing is written
}

func (s *stall) begin(v *visit) {
	s.mu.Lock()
	s.since = time.Now()
	s.mu.Unlock()
	if after := v.front.set.BodyIdle; s.timer != nil {
		s.timer.Reset(after)
	} else {
		s.timer = time.AfterFunc(after, func() { s.over(v.ResponseWriter, after) })
	}
}

func (s *stall) end() {
	s.timer.Stop()
	s.mu.Lock()
	s.since = time.Time{}
	s.mu.Unlock()
}

func (s *stall) over(w http.ResponseWriter, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.since.IsZero() && time.Since(s.since) >= after {
		http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0)) // HTTP/2 can: it resets the stream
	}
}

// unhurried is how much of an answer needs no deadline: who takes nothing at
// all is ended by the kernel, see endSlowReaders.
const unhurried = 256 << 10

// hurry gives a client of HTTP/1 that long to take a buffer of a large answer.
// Those of HTTP/2 have a stall.
func (v *visit) hurry() {
	if v.out < unhurried || v.http2 {
		return
	}
	if now := time.Now(); now.Sub(v.set) > time.Second {
		http.NewResponseController(v.ResponseWriter).SetWriteDeadline(now.Add(v.front.set.BodyIdle)) // HTTP/1 can
		v.set = now
	}
}

// Unwrap lets net/http hijack and set deadlines.
func (v *visit) Unwrap() http.ResponseWriter { return v.ResponseWriter }

// over tells whoever listens.
func (v *visit) over(r *http.Request) {
	if !v.set.IsZero() {
		http.NewResponseController(v.ResponseWriter).SetWriteDeadline(time.Time{}) // the next answer has its own time
	}
	if v.backend != nil {
		v.backend.busy.Add(-1)
	}
	service, tally, took := "", v.tally, time.Since(v.began)
	if v.way != nil {
		service = v.way.service
		tally.open.Add(-1)
	} else {
		tally = v.front.tallies.of("")
	}
	tally.in.Add(v.in.Load())
	tally.out.Add(v.out)
	tally.answered(v.status, took)
	told := Request{
		ID: v.id, Service: service, Client: v.from.client.Addr(), Method: r.Method, Host: r.Host, Path: r.URL.EscapedPath(), Protocol: r.Proto,
		Secure: v.from.secure, Status: v.status, In: v.in.Load(), Out: v.out, Began: v.began, Took: took,
	}
	if v.backend != nil {
		told.Replica = v.backend.target.Container
	}
	v.front.set.Recorder.Request(told)
	if v.spent {
		v.reuse()
	}
}

// ends are the client's address and the one it came to.
func (v *visit) ends() (client, here netip.AddrPort) { return v.from.client, v.from.here }

// along goes that way from now on; open requests are counted by it.
func (v *visit) along(w *way) {
	if v.way != w {
		if v.way != nil {
			v.tally.open.Add(-1)
		}
		v.tally = v.front.tallies.of(w.service)
		v.tally.open.Add(1)
		v.way = w
	}
}

// choose leaves one backend and takes another; nil takes none.
func (v *visit) choose(b *backend) {
	if v.backend != nil {
		v.backend.busy.Add(-1)
	}
	if v.backend = b; b != nil {
		b.busy.Add(1)
	}
}

// upload is a request's body: counted, bounded, and given up when nothing
// comes for long. Time as a whole it may have as much as it needs.
type upload struct {
	io.ReadCloser
	visit *visit
	until *http.ResponseController
	most  int64 // 0 is no limit
	ended atomic.Bool

	part sync.Mutex  // held while until is used, or over set
	over atomic.Bool // the answer is, and with it the client's part: until is nobody's now

	mu  sync.Mutex // held while something is read, so that its fault is known before anybody asks
	set time.Time
}

// cleanTrailer takes from a trailer what may only stand in a header, and there
// is ours. Some apps make one of both.
func (u *upload) cleanTrailer() {
	for name := range u.visit.asked.Trailer {
		if ours(name) || framing(name) || name == "Authorization" {
			delete(u.visit.asked.Trailer, name)
		}
	}
}

// blamed is the status that says what was wrong with the body, 0 for nothing.
// It waits for who reads: a read that fails ends the request's context before
// it says why.
func (u *upload) blamed() int {
	if u == nil {
		return 0
	}
	if u.visit.asked.Context().Err() != nil && u.visit.front.ctx.Err() == nil {
		u.mu.Lock()
		defer u.mu.Unlock()
	}
	return int(u.visit.fault.Load())
}

// patient sets until when a read may take. When the answer is over a transport
// may still be reading, and to ask then for more time is a panic of its.
func (u *upload) patient(until time.Time) {
	u.part.Lock()
	defer u.part.Unlock()
	if !u.over.Load() {
		u.until.SetReadDeadline(until) // HTTP/1 and 2 can
	}
}

// leave lets go of the client.
func (u *upload) leave() {
	u.part.Lock()
	defer u.part.Unlock()
	u.over.Store(true)
}

// Read reads on. Deadlines are moved once a second at most.
func (u *upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	v := u.visit
	if u.over.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if now := time.Now(); now.Sub(u.set) > time.Second {
		u.patient(now.Add(v.front.set.BodyIdle))
		u.set = now
	}
	n, err := u.ReadCloser.Read(p)
	total := v.in.Add(int64(n))
	switch {
	case u.most > 0 && total > u.most:
		v.fault.Store(http.StatusRequestEntityTooLarge)
		return 0, errors.New("the body is too large")
	case errors.Is(err, os.ErrDeadlineExceeded):
		v.fault.Store(http.StatusRequestTimeout)
	case err == io.EOF:
		u.ended.Store(true)
		u.cleanTrailer()
		u.patient(time.Time{}) // the server goes on reading, to see whether the client leaves
	case errors.Is(err, http.ErrBodyReadAfterClose): // the answer was over first
	case err != nil:
		v.fault.Store(http.StatusBadRequest)
		u.patient(time.Time{}) // as above
	}
	return n, err
}
