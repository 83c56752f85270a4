package main

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// word is what the name service answered to one question. It is not older
// than the question, so that is the moment it counts from.
type word struct {
	asked time.Time
	said  chan struct{} // closed when the next two are there
	found []netip.Addr
	err   error

	former *word // the last one, while this one is only asked
}

// answered tells whether the word is there.
func (w *word) answered() bool {
	select {
	case <-w.said:
		return true
	default:
		return false
	}
}

// words shares answers: each question costs the engine more than everything
// else that it takes to connect, and in a burst all ask the same. How old an
// answer may be is for who uses it to say.
type words struct {
	ask  lookupFunc
	keep time.Duration // after this nobody wants it

	mu   sync.Mutex // guards last
	last map[string]*word
}

// about gives the answer to a question about name that was not asked before
// since, by whoever. The asked of a word is never before since.
func (ws *words) about(ctx context.Context, name string, since time.Time) *word {
	w, mine := ws.question(name, since)
	if mine {
		ws.answer(ctx, name, w)
	}
	select {
	case <-w.said:
		return w
	case <-ctx.Done():
		return &word{asked: w.asked, err: ctx.Err()}
	}
}

// question gives the last question about name when it is not too old, or a
// new one, which is for the caller to ask.
func (ws *words) question(name string, since time.Time) (w *word, mine bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if w := ws.last[name]; w != nil && !w.asked.Before(since) {
		return w, false
	}
	w = &word{asked: time.Now(), said: make(chan struct{}), err: context.Canceled, former: ws.answered(name)}
	for name, old := range ws.last {
		if w.asked.Sub(old.asked) > ws.keep {
			delete(ws.last, name)
		}
	}
	if ws.last == nil {
		ws.last = map[string]*word{}
	}
	ws.last[name] = w
	return w, true
}

// answered gives the last word about name that is there, if any. It needs the
// lock.
func (ws *words) answered(name string) *word {
	w := ws.last[name]
	if w != nil && !w.answered() {
		w = w.former
	}
	if w != nil {
		w.former = nil // nobody wants it any more
	}
	return w
}

// lately gives a word that is there and was not asked for before since, if
// any. One that will soon be too old is asked for again, so that a burst need
// not wait.
func (ws *words) lately(name string, since time.Time) *word {
	ws.mu.Lock()
	w := ws.answered(name)
	ws.mu.Unlock()
	if w == nil || w.asked.Before(since) {
		return nil
	}
	if next, mine := ws.question(name, since.Add(ws.keep*2/5)); mine {
		go func() {
			defer func() { recover() }() // who waits for the answer hears that there is none
			ctx, cancel := context.WithTimeout(context.Background(), overdue)
			defer cancel()
			ws.answer(ctx, name, next)
		}()
	}
	return w
}

// answer asks. Those who wait hear of it even when asking panics.
func (ws *words) answer(ctx context.Context, name string, w *word) {
	defer close(w.said)
	w.found, w.err = ws.ask(ctx, name)
}
