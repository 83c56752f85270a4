package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// most is how many questions one line may ask at once. It is told with each
// answer to a single one: a caller that does not hear it asks one by one.
const most = 16

// several understands a line with more than one request, or with one that
// does not mind how others are answered: {"all":[…,…]}.
func several(line []byte) ([]request, bool) {
	text, ok := bytes.CutPrefix(line, []byte(`{"all":[`))
	var all []request
	for ok && len(all) < most {
		var r request
		if r, text, ok = scan(text); !ok {
			break
		}
		all = append(all, r)
		if string(text) == "]}" {
			return all, true
		}
		text, ok = bytes.CutPrefix(text, []byte(","))
	}
	return nil, false
}

// errand is one of several requests on its way.
type errand struct {
	at int // its place among them
	request
	inside bool  // the gate
	word   *word // that vouches for it
	socket int   // below 0 until there is one
	open   bool  // it is connected
	no     *refusal
}

// round is several requests of one line that are being answered.
type round struct {
	p    *portal
	conn *line
	mu   sync.Mutex // one answer at a time
	rest sync.WaitGroup
}

// answerSeveral answers at once those that need not wait, even if that is
// nobody: the caller asks others meanwhile. The rest are answered when they are
// done. When there is an error the caller does not listen any more.
func (p *portal) answerSeveral(conn *line, all []request) error {
	r := &round{p: p, conn: conn}
	now, late := make([]*errand, 0, len(all)), []*errand(nil)
	unsaid := map[string][]*errand{}
	for i, req := range all {
		e := &errand{at: i, request: req, socket: -1}
		switch {
		case p.settle(e):
			now = append(now, e)
		case !p.place():
			p.drop(e)
			e.no = refuse("busy", "too many connections are being made")
			now = append(now, e)
		case e.word == nil:
			unsaid[e.name()] = append(unsaid[e.name()], e)
		default:
			late = append(late, e)
		}
	}
	err := r.report(now)
	for name, all := range unsaid {
		r.rest.Go(func() { r.ask(name, all) })
	}
	r.finish(late)
	r.rest.Wait()
	return err
}

// ask waits for the name service's word on a container, and answers together
// those who came for it.
func (r *round) ask(name string, all []*errand) {
	defer r.caught()
	held := len(all) // places
	defer func() {
		for range held {
			<-r.p.places
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), r.p.patience)
	defer cancel()
	r.p.words.about(ctx, name, time.Now().Add(-r.p.fresh/2))
	var now, late []*errand
	for _, e := range all {
		if r.p.settle(e) {
			now = append(now, e)
		} else {
			late = append(late, e)
		}
	}
	if len(now) > 0 {
		r.report(now) // who is gone is found out by reading
	}
	held -= len(late)
	r.finish(late)
}

// finish answers each when it is done.
func (r *round) finish(late []*errand) {
	for _, e := range late {
		r.rest.Go(func() {
			defer func() { <-r.p.places }()
			defer r.caught()
			r.p.complete(e)
			r.report([]*errand{e})
		})
	}
}

// caught ends a line of which somebody would wait for ever.
func (r *round) caught() {
	if why := recover(); why != nil {
		fmt.Fprintln(os.Stderr, "havre-portal: panic:", why)
		r.conn.Close()
	}
}

// place takes one of the places, if there is one.
func (p *portal) place() bool {
	select {
	case p.places <- struct{}{}:
		return true
	default:
		return false
	}
}

// settle connects where nothing needs to be waited for: the name service said
// who is there a moment ago, and the container answers.
func (p *portal) settle(e *errand) bool {
	w := p.words.lately(e.name(), time.Now().Add(-p.fresh*4/5)) // it is connected at once, or not here
	if w == nil || w.vouch(context.Background(), e.request) != nil {
		return false // who says no has to be asked anew
	}
	if e.word, e.inside = w, p.gate.try(e.ID); !e.inside {
		return false
	}
	var err error
	if e.socket, e.open, err = p.knock(e.request); err != nil {
		e.no = refuse(kindOf(err), "%v", err)
	} else if !e.open || time.Since(w.asked) > p.fresh {
		return false
	}
	p.leave(e)
	return true
}

// complete does what is left to do, and waits for it.
func (p *portal) complete(e *errand) {
	if !e.inside {
		if e.inside = p.gate.enter(e.ID); !e.inside {
			e.no = refuse("busy", "%d connections to %s are being made already", atOnceEach, e.name())
			return
		}
	}
	defer p.leave(e)
	ctx, cancel := context.WithTimeout(context.Background(), p.patience)
	defer cancel()
	if e.socket < 0 {
		e.socket, e.no = p.reach(ctx, e.request)
		return
	}
	if !e.open {
		if err := wait(ctx, e.socket, e.request); err != nil {
			e.socket, e.no = -1, refuse(kindOf(err), "%v", err)
			return
		}
	}
	e.socket, e.no = p.stands(ctx, e.request, e.socket, e.word)
}

func (p *portal) leave(e *errand) {
	if e.inside {
		e.inside = false
		p.gate.leave(e.ID)
	}
}

// drop gives up what was begun.
func (p *portal) drop(e *errand) {
	p.leave(e)
	if e.socket >= 0 {
		rawClose(e.socket)
		e.socket = -1
	}
}

// report answers errands: the descriptors in the order of "here".
func (r *round) report(done []*errand) error {
	text, sockets := []byte(`{"here":[`), make([]int, 0, len(done))
	type no struct {
		At   int    `json:"at"`
		Kind string `json:"kind"`
		Says string `json:"says"`
	}
	refused := []no{}
	for _, e := range done {
		if e.no != nil {
			refused = append(refused, no{e.at, e.no.Kind, e.no.Says})
			continue
		}
		if len(sockets) > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, int64(e.at), 10)
		sockets = append(sockets, e.socket)
	}
	text = append(text, ']')
	if len(refused) > 0 {
		list, _ := json.Marshal(refused)
		text = append(append(text, `,"not":`...), list...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn.SetWriteDeadline(time.Now().Add(time.Second))
	err := r.conn.send(append(text, "}\n"...), sockets...)
	for _, s := range sockets {
		rawClose(s) // the receiver's descriptor keeps it open
	}
	return err
}
