package ingress_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"havre/internal/ingress"
	"havre/internal/route"
)

// strict is an app that takes requests in one meaning only: what another app
// could read differently, it notes as wrong.
type strict struct {
	mu    sync.Mutex // guards what follows
	seen  []string   // method, target and body of each request
	heads []string
	wrong []string
}

func (s *strict) take() (seen, heads, wrong []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, heads, wrong = s.seen, s.heads, s.wrong
	s.seen, s.heads, s.wrong = nil, nil, nil
	return seen, heads, wrong
}

// strict is a container with such an app.
func (w *world) strict() (*strict, route.Target) {
	s := &strict{}
	return s, w.container(s.serve)
}

func (s *strict) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		first, fields, err := s.head(in)
		if err != nil {
			return
		}
		s.mu.Lock() // before the body: whoever sees half of it has seen the request
		s.seen = append(s.seen, first)
		at := len(s.seen) - 1
		s.heads = append(s.heads, first+"\n"+strings.Join(fields, "\n"))
		s.mu.Unlock()
		body, err := s.body(in, fields)
		if err != nil {
			return
		}
		s.mu.Lock()
		if body != "" && at < len(s.seen) {
			s.seen[at] += " " + body
		}
		s.mu.Unlock()
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
			return
		}
	}
}

func (s *strict) complain(format string, a ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf(format, a...))
	return errors.New("wrong")
}

func (s *strict) line(in *bufio.Reader) (string, error) {
	l, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	text, ok := strings.CutSuffix(l, "\r\n")
	if !ok || strings.ContainsAny(text, "\r\n\x00") {
		return "", s.complain("line %q", l)
	}
	return text, nil
}

// head reads a request's first line, as method and target, and its fields,
// with names in lower case.
func (s *strict) head(in *bufio.Reader) (first string, fields []string, err error) {
	if first, err = s.line(in); err != nil {
		return "", nil, err
	}
	parts := strings.Split(first, " ")
	if len(parts) != 3 || parts[2] != "HTTP/1.1" || parts[1] != "*" && !strings.HasPrefix(parts[1], "/") {
		return "", nil, s.complain("request line %q", first)
	}
	count := map[string]int{}
	for {
		l, err := s.line(in)
		if err != nil {
			return "", nil, err
		}
		if l == "" {
			break
		}
		name, value, found := strings.Cut(l, ":")
		if !found || name == "" || strings.ContainsAny(name, " \t\v\f\"(),/;<=>?@[]{}\\") {
			return "", nil, s.complain("field %q", l)
		}
		name, value = strings.ToLower(name), strings.Trim(value, " \t")
		count[name]++
		fields = append(fields, name+": "+value)
	}
	if count["host"] != 1 || count["content-length"]+count["transfer-encoding"] > 1 {
		return "", nil, s.complain("%q has %d hosts, %d lengths and %d encodings", first, count["host"], count["content-length"], count["transfer-encoding"])
	}
	return parts[0] + " " + parts[1], fields, nil
}

func (s *strict) body(in *bufio.Reader, fields []string) (string, error) {
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		switch {
		case name == "content-length":
			n, err := strconv.ParseUint(value, 10, 31)
			if err != nil || strconv.FormatUint(n, 10) != value {
				return "", s.complain("length %q", value)
			}
			b := make([]byte, n)
			_, err = io.ReadFull(in, b)
			return string(b), err
		case name == "transfer-encoding" && value != "chunked":
			return "", s.complain("encoding %q", value)
		case name == "transfer-encoding":
			return s.chunks(in)
		}
	}
	return "", nil
}

func (s *strict) chunks(in *bufio.Reader) (string, error) {
	var all strings.Builder
	for {
		l, err := s.line(in)
		if err != nil {
			return "", err
		}
		n, err := strconv.ParseUint(l, 16, 31)
		if err != nil || strings.HasPrefix(l, "+") {
			return "", s.complain("chunk %q", l)
		}
		if n == 0 {
			break
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(in, b); err != nil {
			return "", err
		}
		if string(b[n:]) != "\r\n" {
			return "", s.complain("end of a chunk %q", b[n:])
		}
		all.Write(b[:n])
	}
	for {
		l, err := s.line(in)
		if err != nil || l == "" {
			return all.String(), err
		}
		if strings.Contains(strings.ToLower(l), "forwarded") {
			return "", s.complain("trailer %q", l)
		}
	}
}

// shout says bytes to a port, nothing more, and gives the statuses of all
// answers until the other side hangs up. It leaves its own side open: who
// hangs up is taken for gone, and what was asked is forgotten.
func shout(t testing.TB, port uint16, said string) []int {
	t.Helper()
	c := dial(t, port)
	io.WriteString(c, said) // it may be refused before its end
	var statuses []int
	for in := bufio.NewReader(c); ; {
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			return statuses
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return statuses
		}
		if answer.StatusCode >= 200 {
			statuses = append(statuses, answer.StatusCode)
		}
	}
}

// said is one way to say something, and what of it may reach the app; "" is
// nothing at all. Each is followed by a second request, GET /second: there is
// also "/second" in what may reach the app where both sides surely agree on
// where the first one ends.
type said struct{ request, reaches string }

// Requests that somebody could read differently are refused, or reach the app
// in one plain form. A strict app looks at each byte.
var smuggles = map[string]said{
	// Framing.
	"a length":                           {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 2\r\n\r\nhi", "POST /a hi|GET /second"},
	"chunks":                             {"POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "POST /a hi|GET /second"},
	"two equal lengths":                  {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi", "POST /a hi|GET /second"},
	"two different lengths":              {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 2\r\nContent-Length: 0\r\n\r\nhi", ""},
	"a list of lengths":                  {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 2, 2\r\n\r\nhi", ""},
	"a negative length":                  {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: -1\r\n\r\n", ""},
	"a length with a sign":               {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: +2\r\n\r\nhi", ""},
	"a hexadecimal length":               {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 0x2\r\n\r\nhi", ""},
	"a length with a blank in it":        {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 0 2\r\n\r\nhi", ""},
	"a length beyond all numbers":        {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 18446744073709551618\r\n\r\nhi", ""},
	"an empty length":                    {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length:\r\n\r\n", ""},
	"a length of another spelling":       {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent_Length: 40\r\nContent-Length: 2\r\n\r\nhi", "POST /a hi|GET /second"},
	"a length with zeros before it":      {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 0002\r\n\r\nhi", "POST /a hi|GET /second"},
	"a length behind a vertical tab":     {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length:\v2\r\n\r\nhi", ""},
	"a length and chunks":                {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "POST /a hi"},
	"chunks and a length":                {"POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "POST /a hi"},
	"a request in a chunk, and a length": {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2a\r\nGET /inner HTTP/1.1\r\nHost: www.example\r\n\r\n\r\n0\r\n\r\n", "POST /a GET /inner HTTP/1.1\r\nHost: www.example\r\n\r\n"},
	"chunks twice":                       {"POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ""},
	"chunks twice in a list":             {"POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", ""},
	"chunks, then identity":              {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", ""},
	"identity":                           {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 5\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", ""},
	"an empty encoding":                  {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 5\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n", ""},
	"an encoding that is almost chunks":  {"POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", ""},
	"chunks and identity, a line each":   {"POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", ""},
	"an encoding in quotes":              {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 5\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", ""},
	"an encoding with a parameter":       {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", ""},
	"an encoding behind a vertical tab":  {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 5\r\nTransfer-Encoding:\vchunked\r\n\r\n0\r\n\r\n", ""},
	"an encoding in capitals":            {"POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: CHUNKED\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "POST /a hi|GET /second"},
	"an encoding with a blank name":      {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 5\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", ""},
	"an encoding with a tab name":        {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 5\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", ""},
	"an encoding of another spelling":    {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 2\r\nTransfer_Encoding: chunked\r\n\r\nhi", "POST /a hi|GET /second"},
	"a blank line before the encoding":   {"POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 5\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ""},
	"a folded encoding":                  {"POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding:\r\n chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "POST /a hi|GET /second"},
	"HTTP/1.0 with chunks":               {"POST /a HTTP/1.0\r\nHost: www.example\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n", "POST /a"},
	"HTTP/1.0 with both":                 {"POST /a HTTP/1.0\r\nHost: www.example\r\nConnection: keep-alive\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi", "POST /a hi"},
	"a body of GET":                      {"GET /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: 2\r\n\r\nhi", "GET /a hi|GET /second"},
	// Chunks.
	"an extension":                     {"POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\n\r\n2;x=\"y\"\r\nhi\r\n0;z\r\n\r\n", "POST /a hi|GET /second"},
	"an extension with a bare LF":      {"POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\n\r\n2;x\nhi\r\n0\r\n\r\n", "POST /a"},
	"an extension with a bare CR":      {"POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\n\r\n2;x\ry\r\nhi\r\n0\r\n\r\n", "POST /a"},
	"a chunk that ends with LF":        {"POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\n0\r\n\r\n", "POST /a"},
	"a chunk longer than it says":      {"POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhiho\r\n0\r\n\r\n", "POST /a"},
	"a chunk with a sign":              {"POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\nhi\r\n0\r\n\r\n", "POST /a"},
	"a chunk of no number":             {"POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n", "POST /a"},
	"a chunk beyond all numbers":       {"POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nhi\r\n0\r\n\r\n", "POST /a"},
	"a trailer that speaks of clients": {"POST /a HTTP/1.1\r\nHost: www.example\r\nTrailer: X-Forwarded-For\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\r\n", "POST /a hi|GET /second"},
	"a trailer that frames":            {"POST /a HTTP/1.1\r\nHost: www.example\r\nTrailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 30\r\n\r\n", ""},
	// Lines.
	"bare LFs":                        {"GET /a HTTP/1.1\nHost: www.example\nX: y\n\n", "GET /a|GET /second"},
	"a bare LF before the encoding":   {"POST /a HTTP/1.1\r\nHost: www.example\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "POST /a hi|GET /second"},
	"a bare CR before the encoding":   {"POST /a HTTP/1.1\r\nHost: www.example\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n", ""},
	"a bare CR as the end":            {"GET /a HTTP/1.1\rHost: www.example\r\r", ""},
	"a bare CR in the target":         {"GET /a\rb HTTP/1.1\r\nHost: www.example\r\n\r\n", ""},
	"a zero byte in a name":           {"GET /a HTTP/1.1\r\nHost: www.example\r\nX\x00Y: z\r\n\r\n", ""},
	"a zero byte in a value":          {"GET /a HTTP/1.1\r\nHost: www.example\r\nX: y\x00z\r\n\r\n", ""},
	"a zero byte in the target":       {"GET /a\x00b HTTP/1.1\r\nHost: www.example\r\n\r\n", ""},
	"a zero byte in the method":       {"GE\x00T /a HTTP/1.1\r\nHost: www.example\r\n\r\n", ""},
	"a folded value":                  {"GET /a HTTP/1.1\r\nHost: www.example\r\nX: y\r\n\tz\r\n\r\n", "GET /a|GET /second"},
	"a fold before all":               {"GET /a HTTP/1.1\r\n Host: www.example\r\nHost: www.example\r\n\r\n", ""},
	"a field without a name":          {"GET /a HTTP/1.1\r\nHost: www.example\r\n: y\r\n\r\n", ""},
	"a field without a colon":         {"GET /a HTTP/1.1\r\nHost: www.example\r\nX\r\n\r\n", ""},
	"a field with a blank in it":      {"GET /a HTTP/1.1\r\nHost: www.example\r\nX Y: z\r\n\r\n", ""},
	"a field with a letter of Europe": {"GET /a HTTP/1.1\r\nHost: www.example\r\nX\xe4: z\r\n\r\n", ""},
	"empty lines before the request":  {"\r\n\r\n\r\n", "GET /second"},
	// First lines.
	"two blanks":                   {"GET  /a HTTP/1.1\r\nHost: www.example\r\n\r\n", ""},
	"a tab for a blank":            {"GET\t/a\tHTTP/1.1\r\nHost: www.example\r\n\r\n", ""},
	"a blank at the end":           {"GET /a HTTP/1.1 \r\nHost: www.example\r\n\r\n", ""},
	"a blank in the target":        {"GET /a b HTTP/1.1\r\nHost: www.example\r\n\r\n", ""},
	"a first line in a first line": {"GET /a HTTP/1.1 /b HTTP/1.1\r\nHost: www.example\r\n\r\n", ""},
	"a version with zeros":         {"GET /a HTTP/1.01\r\nHost: www.example\r\n\r\n", ""},
	"a version of the future":      {"GET /a HTTP/2.0\r\nHost: www.example\r\n\r\n", ""},
	"a version in small":           {"GET /a http/1.1\r\nHost: www.example\r\n\r\n", ""},
	"no version":                   {"GET /a\r\n", ""},
	"a method with a colon":        {"GE:T /a HTTP/1.1\r\nHost: www.example\r\n\r\n", ""},
	"the words of HTTP/2":          {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""},
	// Hosts and targets.
	"two hosts":                         {"GET /a HTTP/1.1\r\nHost: www.example\r\nHost: www.example\r\n\r\n", ""},
	"a host in a list":                  {"GET /a HTTP/1.1\r\nHost: www.example, other.example\r\n\r\n", ""},
	"a host with a fold":                {"GET /a HTTP/1.1\r\nHost: www.example\r\n .other\r\n\r\n", ""},
	"a host with a path":                {"GET /a HTTP/1.1\r\nHost: www.example/b\r\n\r\n", ""},
	"a host with a user":                {"GET /a HTTP/1.1\r\nHost: www.example@evil\r\n\r\n", ""},
	"a host with a percent":             {"GET /a HTTP/1.1\r\nHost: www%2eexample\r\n\r\n", "GET /second"},
	"a target with another host":        {"GET http://other.example/a HTTP/1.1\r\nHost: www.example\r\n\r\n", "GET /second"},
	"a target with this host":           {"GET http://www.example/a HTTP/1.1\r\nHost: other.example\r\n\r\n", "GET /a|GET /second"},
	"a target with a user":              {"GET http://root@www.example/a HTTP/1.1\r\nHost: www.example\r\n\r\n", "GET /a|GET /second"},
	"a target that is only a scheme's":  {"GET http:a HTTP/1.1\r\nHost: www.example\r\n\r\n", "GET /second"},
	"a target of an unknown scheme":     {"GET x:evil.example/a HTTP/1.1\r\nHost: www.example\r\n\r\n", "GET /second"},
	"a target without its slash":        {"GET a HTTP/1.1\r\nHost: www.example\r\n\r\n", ""},
	"a star":                            {"GET * HTTP/1.1\r\nHost: www.example\r\n\r\n", "GET /second"},
	"a way through":                     {"CONNECT www.example:80 HTTP/1.1\r\nHost: www.example:80\r\n\r\n", "GET /second"},
	"a way through to a path":           {"CONNECT /a HTTP/1.1\r\nHost: www.example\r\n\r\n", "GET /second"},
	"a target without a path":           {"GET http://www.example HTTP/1.1\r\nHost: www.example\r\n\r\n", "GET /|GET /second"},
	"a target without a path but query": {"GET http://www.example?x HTTP/1.1\r\nHost: www.example\r\n\r\n", "GET /?x|GET /second"},
}

func TestWhatReachesAnAppHasOneMeaning(t *testing.T) {
	w := open(t, impatient)
	table := web(t)
	for what, s := range smuggles {
		app, seen := &strict{}, []string(nil) // an app of its own: what was refused halfway may come late
		t.Cleanup(func() {                    // after the app's own: nothing comes any more
			more, _, wrong := app.take()
			at := slices.Index(more, "GET /good")
			if at < 0 || len(wrong) > 0 || !among(strings.Split(s.reaches, "|"), append(seen, slices.Delete(more, at, at+1)...)) {
				t.Errorf("after %s the app saw %q, and found wrong: %q", what, more, wrong)
			}
		})
		table.HTTP[0].Targets = []route.Target{w.container(app.serve)}
		w.must(table)
		statuses := shout(t, table.HTTPPort, s.request+"GET /second HTTP/1.1\r\nHost: www.example\r\nConnection: close\r\n\r\n")
		var wrong []string
		seen, _, wrong = app.take()
		if len(wrong) > 0 {
			t.Errorf("%s: the app found wrong: %q", what, wrong)
		}
		if !among(strings.Split(s.reaches, "|"), seen) {
			t.Errorf("%s: the app saw %q; want at most %q", what, seen, s.reaches)
		}
		if ok := len(slices.DeleteFunc(statuses, func(s int) bool { return s != http.StatusOK })); ok > len(seen) {
			t.Errorf("%s: %d good answers to %d requests", what, ok, len(seen))
		}
		// Who did nothing wrong is served all the same.
		if got := shout(t, table.HTTPPort, "GET /good HTTP/1.1\r\nHost: www.example\r\nConnection: close\r\n\r\n"); !slices.Equal(got, []int{http.StatusOK}) {
			t.Errorf("after %s: %v", what, got)
		}
	}
}

// impatient waits for nobody long.
func impatient(s *ingress.Settings) { s.HeaderTime, s.BodyIdle = time.Second, time.Second }

// among tells whether seen is the beginning of what may be.
func among(may, seen []string) bool {
	return len(seen) <= len(may) && slices.Equal(seen, may[:len(seen)])
}

// What is plain has to arrive, or a listener that refuses everything would
// pass for a safe one.
func TestPlainRequestsOnOneConnectionAllArrive(t *testing.T) {
	w := open(t)
	app, target := w.strict()
	table := web(t, target)
	w.must(table)
	whole := ""
	want := []string{}
	for _, what := range []string{"a length", "chunks", "two equal lengths", "an encoding in capitals", "a body of GET", "an extension", "a folded value", "a target with this host", "a target without a path"} {
		whole += smuggles[what].request
		want = append(want, strings.Split(smuggles[what].reaches, "|")[0])
	}
	statuses := shout(t, table.HTTPPort, whole+"GET /last HTTP/1.1\r\nHost: www.example\r\nConnection: close\r\n\r\n")
	want = append(want, "GET /last")
	seen, _, wrong := app.take()
	if len(statuses) != len(want) || !slices.Equal(seen, want) || len(wrong) > 0 {
		t.Errorf("statuses %v\nsaw  %q\nwant %q\nwrong %q", statuses, seen, want, wrong)
	}
}

// An app may answer before it has the body. What comes of that then is
// nobody's request.
func TestRestOfABodyIsNoRequest(t *testing.T) {
	w := open(t, impatient)
	var mu sync.Mutex
	lines := []string{}
	table := web(t, w.container(func(c net.Conn) { // reads the head, answers, and reads what else comes
		defer c.Close()
		in := bufio.NewReader(c)
		for answered := false; ; {
			l, err := in.ReadString('\n')
			if err != nil {
				return
			}
			mu.Lock()
			lines = append(lines, l)
			mu.Unlock()
			if l == "\r\n" && !answered {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				answered = true
			}
		}
	}))
	w.must(table)
	const rest = "\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: www.example\r\n\r\n"
	for what, begin := range map[string]string{
		"a body with a length": fmt.Sprintf("POST /a HTTP/1.1\r\nHost: www.example\r\nContent-Length: %d\r\n\r\nx", 1+len(rest)),
		"chunks":               fmt.Sprintf("POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n%x\r\n", len(rest)),
		"a spoilt chunk":       "POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nspoilt\r\n",
	} {
		c := dial(t, table.HTTPPort)
		in := bufio.NewReader(c)
		io.WriteString(c, begin)
		answer, err := http.ReadResponse(in, nil)
		if err != nil || answer.StatusCode >= 500 {
			t.Errorf("%s: %v, %v", what, answer, err)
			continue
		}
		io.Copy(io.Discard, answer.Body)
		io.WriteString(c, rest)
		if more, err := http.ReadResponse(in, nil); err == nil {
			t.Errorf("%s: its rest was answered with %s", what, more.Status)
		}
		c.Close()
	}
	mu.Lock()
	defer mu.Unlock()
	requests := 0
	for _, l := range lines {
		if strings.HasSuffix(l, " HTTP/1.1\r\n") && !strings.HasPrefix(l, "GET /smuggled") {
			requests++
		}
	}
	if requests < 2 || requests > 3 { // what is spoilt at once may come to nobody
		t.Errorf("the app saw %d requests: %q", requests, lines)
	}
}
