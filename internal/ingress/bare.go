package ingress

import (
	"context"
	"time"

	"havre/internal/problem"
	"havre/internal/relay"
	"havre/internal/route"
)

// leadBare leads v in without a goroutine: whoever brings the portal's answer
// gives it to the relay. Only the first container in turn is asked for so.
// Where it does not take the connection v goes on as those do who wait.
func (f *front) leadBare(v *visitor) {
	told, w := arrives(v), f.wayOf(v.door.port)()
	if w == nil { // the route went while this one came in
		v.cut()
		return
	}
	told.Service = w.service
	if w.admit(told.Client) != admitted {
		f.turnAway(v, told)
		return
	}
	wait := func() { f.serving.Go(func() { f.waitBare(v, told) }) }
	all := w.inTurn(told.Client)
	if len(all) == 0 {
		wait()
		return
	}
	g := &guest{leave: f.register(all[0].target.Container)}
	if g.leave == nil {
		wait()
		return
	}
	f.serving.Add(1)
	f.set.Ask(f.ctx, all[0].target, func(fd int, err error) {
		defer f.serving.Done()
		inside, err := all[0].meets(g, v, heard{fd, err})
		if err != nil {
			wait()
			return
		}
		f.cross(v, inside, told)
	})
}

// waitBare leads v in as those are led in who wait. It was admitted.
func (f *front) waitBare(v *visitor, told Connection) {
	if inside, told := f.lead(v, f.wayOf(v.door.port), told); inside != nil {
		f.cross(v, inside, told)
	}
}

// heard is the answer of a portal.
type heard struct {
	fd  int
	err error
}

// conn is the connection that was asked for.
func (h heard) conn(t route.Target) (relay.Conn, error) {
	if h.err != nil {
		return -1, h.err
	}
	c := relay.Conn(h.fd)
	if err := c.Prepare(keepAlive); err != nil {
		c.Close()
		return -1, problem.New(problem.Unavailable, "connect to container %.12s", t.Container).Because(err)
	}
	return c, nil
}

// dialBare connects to a container.
func (f *front) dialBare(ctx context.Context, t route.Target) (relay.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer := make(chan heard, 1)
	f.set.Ask(ctx, t, func(fd int, err error) { answer <- heard{fd, err} })
	return (<-answer).conn(t)
}

// meets makes of g, who asked for b, a guest of it.
func (b *backend) meets(g *guest, v *visitor, answer heard) (_ *guest, err error) {
	g.bare, err = answer.conn(b.target)
	b.fared(err == nil)
	if err != nil {
		g.leave()
		return nil, err
	}
	return b.welcome(g, v)
}

// crossing is a visitor with the container it is led to, while a relay passes
// their bytes.
type crossing struct {
	relay.Pair
	front  *front
	v      *visitor
	inside *guest
	told   Connection
}

// cross has a relay pass the bytes of both, and counts them.
func (f *front) cross(v *visitor, inside *guest, told Connection) {
	t := f.tallies.of(told.Service)
	t.open.Add(1)
	t.connections.Add(1)
	c := &crossing{front: f, v: v, inside: inside, told: told}
	c.Pair = relay.Pair{Owner: c, Ends: [2]relay.End{{Conn: v.bare}, {Conn: inside.bare}}}
	lent := shorts.Get().(*short)
	defer shorts.Put(lent)
	f.relays[int(f.turn.Add(1))%len(f.relays)].Take(&c.Pair, lent[:])
}

// Over counts what was said.
func (c *crossing) Over() {
	f, t := c.front, c.front.tallies.of(c.told.Service)
	c.told.In, c.told.Out = c.Ends[0].Said, c.Ends[1].Said
	c.told.Took = time.Since(c.told.Began)
	t.open.Add(-1)
	t.in.Add(c.told.In)
	t.out.Add(c.told.Out)
	f.set.Recorder.Connection(c.told)
	c.inside.leave()
	c.v.left()
}

// Grows has the rest spliced.
func (c *crossing) Grows() { c.front.serving.Go(c.splice) }

func (c *crossing) splice() {
	defer c.Over()
	client, err := c.Ends[0].Whole(keepAlive)
	inside, err2 := c.Ends[1].Whole(keepAlive)
	switch {
	case err == nil && err2 == nil:
		in, out := join(c.front.ctx, client, inside, &c.Ends)
		c.Ends[0].Said += in
		c.Ends[1].Said += out
	case err == nil:
		reset(client)
	case err2 == nil:
		reset(inside)
	}
}
