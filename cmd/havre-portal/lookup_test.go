package main

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// engine is a name service that knows one address for whatever it is asked.
type engine struct {
	*net.UDPConn
	mu   sync.Mutex // guards what follows
	from []uint16   // whose questions came, in turn
}

func newEngine(t *testing.T, at string) *engine {
	t.Helper()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at)))
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{UDPConn: c}
	var done sync.WaitGroup
	done.Go(e.serve)
	t.Cleanup(func() {
		c.Close()
		done.Wait()
	})
	return e
}

func (e *engine) serve() {
	var room [512]byte
	for {
		n, from, err := e.ReadFromUDPAddrPort(room[:])
		if err != nil {
			return
		}
		e.mu.Lock()
		e.from = append(e.from, from.Port())
		e.mu.Unlock()
		e.WriteToUDPAddrPort(reply(room[:n]), from)
	}
}

// reply is an answer of RFC 1035 to a question for an address.
func reply(question []byte) []byte {
	const header = 12
	end := header
	for question[end] != 0 { // labels
		end += int(question[end]) + 1
	}
	end += 5 // the last label, type and class
	a := slices.Clone(question[:end])
	binary.BigEndian.PutUint16(a[2:], 0x8580) // an answer, by who knows
	binary.BigEndian.PutUint16(a[6:], 1)      // with one address
	binary.BigEndian.PutUint32(a[8:], 0)
	a = append(a, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
	return append(a, 10, 0, 0, 7)
}

// ports are whose questions came, in turn.
func (e *engine) ports() []uint16 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.from)
}

func (e *engine) address() string { return e.LocalAddr().String() }

func wantFound(t *testing.T, ask lookupFunc) {
	t.Helper()
	found, err := ask(t.Context(), "0123456789ab")
	if want := []netip.Addr{netip.MustParseAddr("10.0.0.7")}; err != nil || !slices.Equal(found, want) {
		t.Fatalf("%v, %v; want %v", found, err, want)
	}
}

func TestNextQuestionGoesByTheSocketOfTheLast(t *testing.T) {
	e := newEngine(t, "127.0.0.1:0")
	ask := names(e.address())
	for range 3 {
		wantFound(t, ask)
	}
	if p := e.ports(); len(p) != 3 || p[1] != p[0] || p[2] != p[0] {
		t.Errorf("asked from ports %v; want the same three times", p)
	}
}

// An answer that comes late must not be taken for one to a later question.
func TestSocketOfAnUnansweredQuestionIsNotKept(t *testing.T) {
	e := newEngine(t, "127.0.0.1:0")
	s := newService(e.address())
	for _, answered := range []bool{true, false} {
		q := dialed(t, s)
		if answered {
			q.answered = true // the question before
		} else {
			q.SetReadDeadline(time.Unix(1, 0))
			if n, err := q.Read(make([]byte, 512)); err == nil {
				t.Fatalf("an answer of %d bytes to no question", n)
			}
		}
		q.Close()
		if kept := len(s.kept) == 1; kept != answered {
			t.Errorf("answered %v, kept %v", answered, kept)
		}
	}
}

func dialed(t *testing.T, s *service) *inquiry {
	t.Helper()
	c, err := s.dialer()(t.Context(), "udp", "")
	if err != nil {
		t.Fatal(err)
	}
	return c.(*inquiry)
}

// An engine that began anew answers elsewhere: the old way there gives an error.
func TestLookupTriesAgainByANewSocket(t *testing.T) {
	e := newEngine(t, "127.0.0.1:0")
	s := newService(e.address())
	q := dialed(t, s)
	q.UDPConn.Close() // whoever asks by it hears of an error
	s.kept <- q
	dial := s.dialer()
	first, err := dial(t.Context(), "udp", "")
	if err != nil || first != net.Conn(q) {
		t.Fatalf("%v, %v; want the kept socket first", first, err)
	}
	if _, err := first.Write([]byte("question")); err == nil {
		t.Fatal("a socket that is closed takes a question")
	}
	first.Close()
	second, err := dial(t.Context(), "udp", "")
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if second == net.Conn(q) || len(s.kept) != 0 {
		t.Error("the socket of a question that failed is used again")
	}
}
