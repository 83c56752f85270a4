package guardtest

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"havre/internal/audit"
)

// World is a guard under attack.
type World struct {
	Dial  func() (net.Conn, error) // as the server
	Audit string                   // the directory of the guard's audit
	Vars  map[string]string        // for the scripts: ids, directories
	Files map[string]string        // bodies that pass, to be made worse
	Fake  *Engine                  // nil when the engine is real
}

// state is what one script remembers from line to line.
type state struct {
	world  *World
	status int
	body   []byte
	before int // requests the engine had seen before the last call
}

type stateKey struct{}

// Run plays scripts, each against a world that open gives it, one after the
// other: they look at the end of the audit. A condition [fake] tells whether
// the engine is one.
func Run(t *testing.T, open func(testing.TB) *World, scripts ...string) {
	t.Helper()
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) { play(t, open(t), script) })
	}
}

func play(t *testing.T, world *World, script string) {
	testscript.Run(t, testscript.Params{
		Files: []string{script},
		Setup: func(env *testscript.Env) error {
			for k, v := range world.Vars {
				env.Setenv(k, v)
			}
			for name, text := range world.Files {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(text), 0o644); err != nil {
					return err
				}
			}
			env.Values[stateKey{}] = &state{world: world}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond != "fake" {
				return false, fmt.Errorf("unknown condition %s", cond)
			}
			return world.Fake != nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"call": call, "send": send, "refused": refused, "passed": passed, "answers": answers,
			"wrote": wrote, "swap": swap, "pack": pack, "says": says,
		},
	})
}

func stateOf(ts *testscript.TestScript) *state { return ts.Value(stateKey{}).(*state) }

// body is a file with the script's variables put in.
func body(ts *testscript.TestScript, file string) string {
	text := ts.ReadFile(file)
	if strings.HasSuffix(file, ".tar") {
		return text
	}
	return os.Expand(text, func(name string) string {
		if v := ts.Getenv(name); v != "" {
			return v
		}
		return "$" + name
	})
}

// call METHOD PATH [FILE] [HEADER=VALUE...] makes a call as the server.
func call(ts *testscript.TestScript, _ bool, args []string) {
	s := stateOf(ts)
	var content io.Reader
	header := http.Header{}
	for _, a := range args[2:] {
		if k, v, ok := strings.Cut(a, "="); ok {
			header.Set(k, v)
			continue
		}
		content = strings.NewReader(body(ts, a))
		header.Set("Content-Type", "application/json")
		if strings.HasSuffix(a, ".tar") {
			header.Set("Content-Type", "application/x-tar")
		}
	}
	r, err := http.NewRequest(args[0], "http://guard"+args[1], content)
	ts.Check(err)
	for k, v := range header {
		r.Header[k] = v
	}
	s.exchange(ts, r.Write)
}

// send FILE sends bytes that no client would. Line ends before the first
// empty line become those of HTTP.
func send(ts *testscript.TestScript, _ bool, args []string) {
	head, rest, _ := strings.Cut(body(ts, args[0]), "\n\n")
	raw := strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + rest
	if len(args) > 1 { // chunked bodies have the line ends of HTTP too
		raw = strings.ReplaceAll(head+"\n\n"+rest, "\n", "\r\n")
	}
	stateOf(ts).exchange(ts, func(w io.Writer) error {
		_, err := io.WriteString(w, raw)
		return err
	})
}

func (s *state) exchange(ts *testscript.TestScript, write func(io.Writer) error) {
	if s.world.Fake != nil {
		s.before = len(s.world.Fake.Written())
	}
	conn, err := s.world.Dial()
	ts.Check(err)
	defer conn.Close()
	ts.Check(conn.SetDeadline(time.Now().Add(time.Minute)))
	written := make(chan error, 1)
	go func() { written <- write(conn) }() // a refusal may come before all is written
	s.status, s.body, err = read(conn)
	conn.Close()
	<-written
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d %s\n", s.status, s.body)
}

// must fails the script unless ok.
func (s *state) must(ts *testscript.TestScript, ok bool, format string, args ...any) {
	if !ok {
		ts.Fatalf("%s; the answer was %d %s", fmt.Sprintf(format, args...), s.status, s.body)
	}
}

// refused RULE checks that the last call was refused by that rule, that the
// audit says so, and that the engine heard nothing.
func refused(ts *testscript.TestScript, neg bool, args []string) {
	s := stateOf(ts)
	var m struct{ Message, Rule string }
	err := json.Unmarshal(s.body, &m)
	is := err == nil && m.Rule == args[0] && strings.HasSuffix(m.Message, "[rule "+args[0]+"]") &&
		(s.status == http.StatusForbidden || s.status == http.StatusBadRequest)
	s.must(ts, is != neg, "not refused by %s", args[0])
	if neg {
		return
	}
	var last audit.Line
	for last, err = range audit.Read(s.world.Audit, audit.Query{Last: 1}) {
		ts.Check(err)
	}
	s.must(ts, last.Rule == args[0] && last.Decision == audit.Refused, "the audit ends with %s", last.Text)
	if s.world.Fake != nil {
		new := s.world.Fake.Written()[s.before:]
		s.must(ts, len(new) == 0, "the engine got %v", new)
	}
}

// passed checks that the last call was carried out.
func passed(ts *testscript.TestScript, neg bool, _ []string) {
	s := stateOf(ts)
	s.must(ts, (s.status >= 200 && s.status < 300 || s.status == http.StatusSwitchingProtocols) != neg, "not passed")
}

// answers STATUS checks the last call's status.
func answers(ts *testscript.TestScript, neg bool, args []string) {
	s := stateOf(ts)
	s.must(ts, (strconv.Itoa(s.status) == args[0]) != neg, "not %s", args[0])
}

// says TEXT checks that the last answer holds a text.
func says(ts *testscript.TestScript, neg bool, args []string) {
	s := stateOf(ts)
	s.must(ts, strings.Contains(string(s.body), args[0]) != neg, "the answer should have %q: %v", args[0], !neg)
}

// wrote TEXT checks that what reached a fake engine by the last call holds a
// text; a real engine remembers nothing.
func wrote(ts *testscript.TestScript, neg bool, args []string) {
	s := stateOf(ts)
	if s.world.Fake == nil {
		return
	}
	new := s.world.Fake.Written()[s.before:]
	has := slices.ContainsFunc(new, func(r Request) bool {
		return strings.Contains(r.Method+" "+r.Path+"?"+r.Query+"\n"+r.Body, args[0])
	})
	s.must(ts, has != neg, "the engine got %q", new)
}

// swap OUT IN OLD NEW copies a file with one text in place of another, which
// must be there.
func swap(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[1])
	if !strings.Contains(text, args[2]) {
		ts.Fatalf("%s does not hold %s", args[1], args[2])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[2], args[3], 1)), 0o644))
}

var entryTypes = map[string]byte{"file": tar.TypeReg, "dir": tar.TypeDir, "symlink": tar.TypeSymlink, "hardlink": tar.TypeLink, "device": tar.TypeChar}

// pack OUT.tar TYPE:NAME[=FILE or TARGET]... makes an archive with exactly
// these entries.
func pack(ts *testscript.TestScript, _ bool, args []string) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, a := range args[1:] {
		kind, rest, _ := strings.Cut(a, ":")
		name, value, _ := strings.Cut(rest, "=")
		h := &tar.Header{Typeflag: entryTypes[kind], Name: name, Mode: 0o644}
		var content string
		switch kind {
		case "file":
			content = body(ts, value)
			h.Size = int64(len(content))
		case "symlink", "hardlink":
			h.Linkname = value
		case "device":
			h.Devmajor, h.Devminor = 1, 3
		case "dir":
		default:
			ts.Fatalf("unknown type of entry %s", kind)
		}
		ts.Check(w.WriteHeader(h))
		_, err := io.WriteString(w, content)
		ts.Check(err)
	}
	ts.Check(w.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), out.Bytes(), 0o644))
}
