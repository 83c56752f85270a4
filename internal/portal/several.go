package portal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// most is how many questions go in one message. A portal that takes as many
// says so with its answer to a single one.
const most = 16

// window is where questions to a portal that takes several at once gather.
type window struct {
	end     fs.FileInfo // its socket
	waiting []*asker
	served  bool // somebody asks for those who wait
}

// asker waits for the answer to a question.
type asker struct {
	target   Target
	question []byte
	hears    func(socket int, err error)
	settled  atomic.Bool // it was answered, or went
	stop     func() bool // nobody is to look any more for whether it goes
}

// answer is a descriptor, or why there is none.
type answer struct {
	socket int
	err    error
}

// errAlone means that nobody has asked for the asker.
var errAlone = fmt.Errorf("%w: ask alone", errAnswer)

// tell answers a, once. Where a has gone, what it was to get is closed.
func (a *asker) tell(socket int, err error) {
	if a.settled.CompareAndSwap(false, true) {
		a.stop()
		a.hears(socket, err)
	} else if err == nil {
		syscall.Close(socket)
	}
}

// leave lets a go without an answer, if it has none yet.
func (a *asker) leave(why error) {
	if a.settled.CompareAndSwap(false, true) {
		a.hears(-1, why)
	}
}

// learn notes that the portal at the end of l takes several questions at once.
func (d *Dialer) learn(l *line) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.windows[l.path]; w != nil {
		w.end = l.end
		return
	}
	if d.windows == nil {
		d.windows = map[string]*window{}
	}
	d.windows[l.path] = &window{end: l.end}
}

// queue asks along with others, where the portal takes that. While a message
// is under way the next questions gather, and go in one.
func (d *Dialer) queue(path string, a *asker) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.windows[path]
	if w == nil || w.end == nil {
		return false
	}
	w.waiting = append(w.waiting, a)
	if !w.served {
		w.served = true
		go d.serve(path, w)
	}
	return true
}

// serve asks until nobody waits.
func (d *Dialer) serve(path string, w *window) {
	for {
		d.mu.Lock()
		n := min(len(w.waiting), most)
		if n == 0 {
			w.served, w.waiting = false, nil
			d.mu.Unlock()
			return
		}
		b := &batch{askers: append([]*asker(nil), w.waiting[:n]...), left: n}
		w.waiting = w.waiting[n:]
		end := w.end
		d.mu.Unlock()
		l := d.lineFor(path, end)
		if l == nil {
			d.forget(w, end)
			b.drop()
			continue
		}
		d.askSeveral(l, b)
	}
}

// lineFor gives a line to the portal whose socket end is, or none.
func (d *Dialer) lineFor(path string, end fs.FileInfo) *line {
	l := d.kept(path)
	if l == nil {
		ctx, cancel := context.WithTimeout(context.Background(), longest)
		defer cancel()
		var err error
		if l, err = open(ctx, path); err != nil {
			return nil
		}
	}
	if end == nil || !os.SameFile(l.end, end) {
		l.Close()
		return nil
	}
	return l
}

// forget is for a portal that is gone. Another one has to say anew what it takes.
func (d *Dialer) forget(w *window, end fs.FileInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w.end == end {
		w.end = nil
	}
}

// askSeveral asks, and waits for the first answer. Who has to wait longer does
// not keep the next.
func (d *Dialer) askSeveral(l *line, b *batch) {
	l.SetDeadline(time.Now().Add(longest))
	err := l.say(b.questions())
	if err == nil {
		err = b.hear(l)
	}
	if err == nil && b.left > 0 {
		go d.hearRest(l, b)
		return
	}
	d.done(l, b, err)
}

func (d *Dialer) hearRest(l *line, b *batch) {
	var err error
	for err == nil && b.left > 0 {
		err = b.hear(l)
	}
	d.done(l, b, err)
}

// done keeps the line when all went well.
func (d *Dialer) done(l *line, b *batch, err error) {
	if err == nil && len(b.text) == 0 && len(b.sockets) == 0 {
		l.SetDeadline(time.Time{})
		d.keep(l)
		return
	}
	l.Close()
	b.drop()
}

// batch is questions in one message.
type batch struct {
	askers  []*asker // nil where answered
	left    int
	text    []byte // that is no whole line yet
	sockets []int  // that no line has named yet
}

func (b *batch) questions() []byte {
	text := make([]byte, 0, 16+len(b.askers)*160)
	text = append(text, `{"all":[`...)
	for i, a := range b.askers {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, bytes.TrimSuffix(a.question, []byte("\n"))...)
	}
	return append(text, "]}\n"...)
}

// drop sends who was not answered to ask alone.
func (b *batch) drop() {
	for _, a := range b.askers {
		if a != nil {
			a.tell(-1, errAlone)
		}
	}
	closeAll(b.sockets)
}

// hear takes what the portal says next, at least one line.
func (b *batch) hear(l *line) error {
	for lines := 0; lines == 0; {
		h, err := l.read(l.text[:], l.control)
		more, broken := descriptors(l.control[:h.control])
		b.sockets = append(b.sockets, more...)
		switch {
		case broken != nil:
			return broken
		case err != nil:
			return err
		case h.cut:
			return errAnswer
		}
		b.text = append(b.text, l.text[:h.text]...)
		for {
			line, rest, whole := bytes.Cut(b.text, []byte("\n"))
			if !whole {
				break
			}
			if err := b.take(line); err != nil {
				return err
			}
			b.text = rest
			lines++
		}
		if len(b.text) > maxAnswer || len(b.text) == 0 && len(b.sockets) > 0 {
			return errAnswer
		}
	}
	return nil
}

// take understands a line of an answer: whose the next descriptors are, and who
// gets none.
func (b *batch) take(line []byte) error {
	var said struct {
		OK   *bool `json:"ok"` // of the answer to a single question
		Here []int `json:"here"`
		Not  []struct {
			At   int    `json:"at"`
			Kind string `json:"kind"`
			Says string `json:"says"`
		} `json:"not"`
	}
	if err := json.Unmarshal(line, &said); err != nil || said.OK != nil || len(said.Here) > len(b.sockets) {
		return errAnswer
	}
	for _, at := range said.Here {
		a := b.asker(at)
		if a == nil {
			return errAnswer
		}
		s := b.sockets[0]
		b.sockets = b.sockets[1:]
		if err := check(s, a.target); err != nil {
			syscall.Close(s)
			a.tell(-1, err)
			return err
		}
		a.tell(s, nil)
	}
	for _, no := range said.Not {
		a := b.asker(no.At)
		if a == nil {
			return errAnswer
		}
		a.tell(-1, &Refusal{Kind: no.Kind, Says: no.Says})
	}
	return nil
}

// asker gives the one at a place, once.
func (b *batch) asker(at int) *asker {
	if at < 0 || at >= len(b.askers) || b.askers[at] == nil {
		return nil
	}
	a := b.askers[at]
	b.askers[at] = nil
	b.left--
	return a
}
