package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	someID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	good   = `{"id":"` + someID + `","address":"10.87.3.5","port":25}`
)

func TestRequestIsUnderstood(t *testing.T) {
	r, err := parse([]byte(good))
	if err != nil || r.name() != "0123456789ab" || r.target().String() != "10.87.3.5:25" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestOwnAndSpecialAddressesAreRefused(t *testing.T) {
	for _, address := range []string{
		"127.0.0.1", "127.0.0.11", "0.0.0.0", "255.255.255.255", "224.0.0.1", "239.1.2.3", "169.254.1.1",
		"::1", "fd00::5", "::ffff:10.87.3.5", "fe80::1%eth0", "10.87.3", "10.87.3.05", "0x0a.87.3.5", "localhost", "",
	} {
		if r, err := parse([]byte(strings.Replace(good, "10.87.3.5", address, 1))); err == nil {
			t.Errorf("%q was taken as %v", address, r.Address)
		}
	}
}

func TestLineMayComeInPieces(t *testing.T) {
	line, err := readLine(iotest.OneByteReader(strings.NewReader(good + "\n")))
	if err != nil || string(line) != good {
		t.Errorf("got %q, %v", line, err)
	}
}

func TestLineIsBounded(t *testing.T) {
	endless := &counter{from: iotest.DataErrReader(strings.NewReader(strings.Repeat("x", 1<<20)))}
	if _, err := readLine(endless); err == nil {
		t.Error("a line of a mebibyte was read")
	}
	if endless.n > maxRequest {
		t.Errorf("read %d bytes; want at most %d", endless.n, maxRequest)
	}
	for _, unfinished := range []string{"", good} {
		if _, err := readLine(strings.NewReader(unfinished)); err == nil {
			t.Errorf("%q has no end", unfinished)
		}
	}
}

type counter struct {
	from io.Reader
	n    int
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.n += n
	return n, err
}

// FuzzRequest holds that what is understood was written in just one way, and
// is nothing but what the checks name.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{good, "", "{}", "null", good + good, good + " ", strings.ToUpper(good),
		strings.Replace(good, "25", "65536", 1), strings.Replace(good, "{", `{"port":1,`, 1),
		strings.Replace(good, "10.87.3.5", "127.0.0.1", 1), strings.Replace(good, "10.87.3.5", "::1", 1)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		line, err := readLine(bytes.NewReader(append(text, '\n')))
		if err != nil {
			return
		}
		if r, rest, ok := scan(line); ok && len(rest) == 0 {
			if same, err := explain(line); err != nil || r != same {
				t.Errorf("%q was read as %+v at a glance, and as %+v, %v by a closer look", line, r, same, err)
			}
		}
		r, err := parse(line)
		if err != nil {
			return
		}
		if again, _ := json.Marshal(r); !bytes.Equal(again, text) {
			t.Errorf("%q was understood as %q", text, again)
		}
		if len(r.ID) != 64 || strings.Trim(r.ID, "0123456789abcdef") != "" || r.Port == 0 {
			t.Errorf("%q was understood as %+v", text, r)
		}
		if a := r.Address; !a.Is4() || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() {
			t.Errorf("%q names %v", text, a)
		}
	})
}
