// Package browser_test looks at the status page with a real browser: headless
// Chromium, driven by its own protocol over two pipes.
package browser_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"havre/internal/lab"
)

// browser is one page of a Chromium.
type browser struct {
	t        *testing.T
	to       *os.File
	from     *bufio.Reader
	last     int
	session  string
	refusals []string // what the browser did not load or run
}

// open starts Chromium with a page of nothing; it ends with the test.
func open(t *testing.T) *browser {
	t.Helper()
	lab.Need(t, "browser")
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// No sandbox, for root has none; it sees our own pages only. No network of
	// its own either: it asks nobody for updates.
	cmd := exec.CommandContext(t.Context(), "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--no-first-run", "--no-proxy-server",
		"--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--user-data-dir="+t.TempDir(), "--remote-debugging-pipe", "about:blank")
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	b := &browser{t: t, to: in, from: bufio.NewReader(out)}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
		out.Close()
		if t.Failed() {
			t.Logf("chromium: %s", said.String())
		}
	})
	var page struct{ TargetID, SessionID string }
	b.do("Target.createTarget", map[string]any{"url": "about:blank"}, &page)
	b.do("Target.attachToTarget", map[string]any{"targetId": page.TargetID, "flatten": true}, &page)
	b.session = page.SessionID
	b.do("Page.enable", nil, nil)
	b.do("Log.enable", nil, nil)
	return b
}

// do calls a method of the protocol and waits for its answer.
func (b *browser) do(method string, params, answer any) {
	b.t.Helper()
	b.last++
	text, err := json.Marshal(map[string]any{"id": b.last, "method": method, "params": params, "sessionId": b.session})
	if b.session == "" {
		text, err = json.Marshal(map[string]any{"id": b.last, "method": method, "params": params})
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatal(err)
	}
	for {
		text, err := b.from.ReadBytes(0)
		if err != nil {
			b.t.Fatalf("%s: chromium has ended: %v", method, err)
		}
		var m struct {
			ID     int
			Error  *struct{ Message string }
			Result json.RawMessage
			Method string
			Params struct{ Entry struct{ Source, Text string } }
		}
		if err := json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m); err != nil && m.Method == "Log.entryAdded" {
			b.t.Fatal(err)
		}
		// A page that is refused is what some tests ask for; the rest is not.
		if e := m.Params.Entry; m.Method == "Log.entryAdded" && e.Source != "network" {
			b.refusals = append(b.refusals, e.Text)
		}
		if m.ID != b.last {
			continue
		}
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if answer != nil {
			if err := json.Unmarshal(m.Result, answer); err != nil {
				b.t.Fatal(err)
			}
		}
		return
	}
}

// eval gives what an expression is on the page, as text.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	var got struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	b.do("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "userGesture": true}, &got)
	if got.ExceptionDetails != nil {
		return "exception: " + got.ExceptionDetails.Exception.Description
	}
	return fmt.Sprint(got.Result.Value)
}

func (b *browser) visit(url string) {
	b.t.Helper()
	b.do("Page.navigate", map[string]any{"url": url}, nil)
}

// shows waits until the page has the words in its main part.
func (b *browser) shows(words ...string) {
	b.t.Helper()
	for _, w := range words {
		lab.Eventually(b.t, "the page to show "+w, func(context.Context) error {
			if text := b.eval(`document.readyState === 'complete' ? document.querySelector('main')?.innerText : 'half a page'`); !strings.Contains(text, w) {
				return fmt.Errorf("it shows %s", text)
			}
			return nil
		})
	}
}

// fill types into the field with a label, as a person does.
func (b *browser) fill(label, text string) {
	b.t.Helper()
	if got := b.eval(fmt.Sprintf(`(l => { l.control.value = ''; l.control.focus(); return 'ok' })([...document.querySelectorAll('label')].find(l => l.textContent.trim() === %q))`, label)); got != "ok" {
		b.t.Fatalf("field %s: %s", label, got)
	}
	b.do("Input.insertText", map[string]any{"text": text}, nil)
}

// press clicks the button or link with a text.
func (b *browser) press(text string) {
	b.t.Helper()
	if got := b.eval(fmt.Sprintf(`([...document.querySelectorAll('button, a')].find(e => e.textContent.trim() === %q).click(), 'ok')`, text)); got != "ok" {
		b.t.Fatalf("press %s: %s", text, got)
	}
}
