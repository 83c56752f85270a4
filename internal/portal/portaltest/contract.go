package portaltest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"havre/internal/portal"
	"havre/internal/problem"
)

// World is a portal with containers around it.
type World struct {
	Socket string        // where the portal listens
	Echo   portal.Target // gives back what it is sent, also by UDP
	Other  portal.Target // so does this one, another container on the same port
	Double portal.Target // and this one, but its id leads to another address as well
}

// RunPortal holds any portal to what its callers rely on. One world serves
// all of the suite, unless open makes new ones.
func RunPortal(t *testing.T, open func(t *testing.T) World) {
	t.Run("hands over a socket that works", func(t *testing.T) {
		w := open(t)
		for _, to := range []portal.Target{w.Echo, w.Other} {
			Talk(t, w.Socket, to)
		}
	})
	t.Run("gives a hundred callers at once a socket each", func(t *testing.T) {
		w := open(t)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { Talk(t, w.Socket, w.Echo) })
		}
		all.Wait()
	})
	t.Run("takes one question after another on a line", func(t *testing.T) {
		w := open(t)
		var d portal.Dialer
		for _, to := range []portal.Target{w.Echo, w.Other, w.Echo} {
			c, err := d.Dial(t.Context(), w.Socket, to)
			if err != nil {
				t.Fatal(err)
			}
			converse(t, c)
		}
		swapped := portal.Target{Container: w.Echo.Container, Address: w.Other.Address, Port: w.Other.Port}
		if c, err := d.Dial(t.Context(), w.Socket, swapped); err == nil {
			c.Close()
			t.Error("a line that was kept is not judged as strictly")
		}
	})
	t.Run("judges many questions of one caller at once as strictly", func(t *testing.T) { manyAtOnce(t, open(t)) })
	t.Run("serves others while one caller says nothing", func(t *testing.T) {
		w := open(t)
		silent, err := net.Dial("unix", w.Socket)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		Talk(t, w.Socket, w.Echo)
	})
	t.Run("hands over UDP sockets that work", func(t *testing.T) {
		w := open(t)
		to := w.Echo
		to.UDP = true
		Datagrams(t, w.Socket, to)
	})
	t.Run("refuses where id and address do not agree by UDP", func(t *testing.T) {
		w := open(t)
		swapped := portal.Target{Container: w.Echo.Container, Address: w.Other.Address, Port: w.Other.Port, UDP: true}
		Refused(t, w.Socket, swapped, portal.Mismatch)
	})
	t.Run("refuses where id and address do not agree", func(t *testing.T) {
		w := open(t)
		swapped := portal.Target{Container: w.Echo.Container, Address: w.Other.Address, Port: w.Other.Port}
		Refused(t, w.Socket, swapped, portal.Mismatch)
		unknown := portal.Target{Container: ID("nobody"), Address: w.Echo.Address, Port: w.Echo.Port}
		Refused(t, w.Socket, unknown, portal.Unknown)
	})
	t.Run("refuses an id with two addresses", func(t *testing.T) {
		w := open(t)
		Refused(t, w.Socket, w.Double, portal.Mismatch)
	})
	t.Run("says that nothing listens on a port", func(t *testing.T) {
		w := open(t)
		closed := w.Echo
		closed.Port = 1
		Refused(t, w.Socket, closed, portal.Refused)
	})
	t.Run("refuses what is not exactly a request", func(t *testing.T) {
		w := open(t)
		for name, text := range malformed(w.Echo) {
			t.Run(name, func(t *testing.T) {
				if kind := rawAnswer(t, w.Socket, text); kind != portal.BadRequest {
					t.Errorf("kind = %q; want %q", kind, portal.BadRequest)
				}
			})
		}
		Talk(t, w.Socket, w.Echo) // it is still there
	})
}

// manyAtOnce asks good and bad questions together.
func manyAtOnce(t *testing.T, w World) {
	t.Helper()
	var d portal.Dialer
	swapped := portal.Target{Container: w.Echo.Container, Address: w.Other.Address, Port: w.Other.Port}
	unknown := portal.Target{Container: ID("nobody"), Address: w.Echo.Address, Port: w.Echo.Port}
	closed := w.Echo
	closed.Port = 1
	var all sync.WaitGroup
	for range 20 {
		for _, to := range []portal.Target{w.Echo, w.Other} {
			all.Go(func() {
				c, err := d.Dial(t.Context(), w.Socket, to)
				if err != nil {
					t.Errorf("dial: %v", err)
					return
				}
				converse(t, c)
			})
		}
		for kind, to := range map[string]portal.Target{portal.Mismatch: swapped, portal.Unknown: unknown, portal.Refused: closed} {
			all.Go(func() {
				c, err := d.Dial(t.Context(), w.Socket, to)
				var no *portal.Refusal
				if err == nil {
					c.Close()
				}
				if !errors.As(err, &no) || no.Kind != kind {
					t.Errorf("%v: %v; want %s", to, err, kind)
				}
			})
		}
	}
	all.Wait()
}

// Talk dials to through the portal at socket, and says something to what
// must be an echo.
func Talk(t *testing.T, socket string, to portal.Target) {
	t.Helper()
	c, err := portal.Dial(t.Context(), socket, to)
	if err != nil {
		t.Errorf("dial: %v", err)
		return
	}
	converse(t, c)
}

// converse says something to what must be an echo, and closes.
func converse(t *testing.T, c net.Conn) {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	said := strings.Repeat("ahoy ", 1000)
	if _, err := io.WriteString(c, said); err != nil {
		t.Errorf("write: %v", err)
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		t.Errorf("got a %T; only a *net.TCPConn can be spliced", c)
		return
	}
	tcp.CloseWrite()
	if heard, err := io.ReadAll(c); err != nil || string(heard) != said {
		t.Errorf("heard %d bytes, %v; want the %d that were said", len(heard), err, len(said))
	}
}

// Datagrams dials to through the portal at socket, and has each of some
// datagrams come back whole.
func Datagrams(t *testing.T, socket string, to portal.Target) {
	t.Helper()
	c, err := portal.Dial(t.Context(), socket, to)
	if err != nil {
		t.Errorf("dial: %v", err)
		return
	}
	defer c.Close()
	if _, ok := c.(*net.UDPConn); !ok {
		t.Errorf("got a %T; want a *net.UDPConn", c)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	heard := make([]byte, 2000)
	for _, said := range []string{"ahoy", "", strings.Repeat("ahoy ", 200)} {
		if _, err := io.WriteString(c, said); err != nil {
			t.Errorf("write: %v", err)
		}
		if n, err := c.Read(heard); err != nil || string(heard[:n]) != said {
			t.Errorf("heard %q, %v; want %q", heard[:n], err, said)
		}
	}
}

// Refused dials to, and wants a refusal of one of kinds.
func Refused(t *testing.T, socket string, to portal.Target, kinds ...string) {
	t.Helper()
	c, err := portal.Dial(t.Context(), socket, to)
	if err == nil {
		c.Close()
		t.Errorf("got a connection to %s", to)
		return
	}
	var no *portal.Refusal
	if !errors.As(err, &no) {
		t.Errorf("%v is not a refusal of the portal", err)
		return
	}
	for _, k := range kinds {
		if no.Kind == k {
			if problem.KindOf(err) != problem.Unavailable {
				t.Errorf("problem kind = %s; want %s", problem.KindOf(err), problem.Unavailable)
			}
			return
		}
	}
	t.Errorf("refused as %v; want %v", no, kinds)
}

// malformed are requests that look like one for a container that is there.
func malformed(to portal.Target) map[string]string {
	good := func(id, address, port string) string {
		return `{"id":` + id + `,"address":` + address + `,"port":` + port + "}\n"
	}
	id, at, port := `"`+to.Container+`"`, `"`+to.Address.String()+`"`, strconv.Itoa(int(to.Port))
	right := good(id, at, port)
	return map[string]string{
		"no JSON":            "GET / HTTP/1.1\r\nHost: portal\r\n\r\n",
		"an empty line":      "\n",
		"an unknown field":   strings.Replace(right, "{", `{"node":"x",`, 1),
		"an unknown network": strings.Replace(right, "}", `,"network":"unix"}`, 1),
		"tcp spelt out":      strings.Replace(right, "}", `,"network":"tcp"}`, 1),
		"an empty network":   strings.Replace(right, "}", `,"network":""}`, 1),
		"a doubled field":    strings.Replace(right, "{", `{"port":9,`, 1),
		"an oddly cased one": strings.Replace(right, `"port"`, `"Port"`, 1),
		"a missing field":    `{"id":` + id + `,"address":` + at + "}\n",
		"two objects":        strings.TrimSpace(right) + right,
		"two lines":          right + right,
		"null":               "null\n",
		"a list":             "[" + strings.TrimSpace(right) + "]\n",
		"a short id":         good(id[:13]+`"`, at, port),
		"an upper-case id":   good(strings.ToUpper(id), at, port),
		"a name as id":       good(`"web"`, at, port),
		"a number as id":     good("12", at, port),
		"no address":         good(id, `""`, port),
		"a name as address":  good(id, `"localhost"`, port),
		"IPv6":               good(id, `"fd00::1"`, port),
		"IPv4 in IPv6":       good(id, `"::ffff:10.0.0.1"`, port),
		"a zone":             good(id, `"fe80::1%eth0"`, port),
		"multicast":          good(id, `"224.0.0.1"`, port),
		"broadcast":          good(id, `"255.255.255.255"`, port),
		"unspecified":        good(id, `"0.0.0.0"`, port),
		"link-local":         good(id, `"169.254.169.254"`, "80"),
		"leading zeros":      good(id, `"010.000.000.001"`, port),
		"port 0":             good(id, at, "0"),
		"port 65536":         good(id, at, "65536"),
		"a negative port":    good(id, at, "-"+port),
		"a fraction":         good(id, at, port+".5"),
		"a port in quotes":   good(id, at, `"`+port+`"`),
		"too much":           good(id, at, strings.Repeat(" ", 5000)+port),
		"deep nesting":       strings.Repeat("[", 4000) + "\n",
		"bytes":              string(bytes.Repeat([]byte{0, 255, 0xed, 0xa0}, 200)) + "\n",
		"an unfinished one":  `{"id":"`,
	}
}

// rawAnswer sends text and gives the kind of the refusal that comes back.
func rawAnswer(t *testing.T, socket, text string) string {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, text) // a portal may hang up before all is said
	c.(*net.UnixConn).CloseWrite()
	var a struct {
		OK   bool
		Kind string
	}
	if err := json.NewDecoder(c).Decode(&a); err != nil || a.OK {
		t.Fatalf("answer = %+v, %v; want a refusal", a, err)
	}
	return a.Kind
}
