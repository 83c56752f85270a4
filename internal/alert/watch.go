package alert

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Keeper keeps alerts and notices. *store.Store is one.
type Keeper interface {
	Alerts(ctx context.Context, now time.Time) ([]Alert, []Silence, error)
	// SaveVerdict keeps all of it or nothing.
	SaveVerdict(ctx context.Context, v Verdict) error
}

// Queue has the notices that wait. *store.Store is one.
type Queue interface {
	Notices(ctx context.Context) ([]Notice, error)
	Delivered(ctx context.Context, id int64) error
	Postponed(ctx context.Context, id int64, next time.Time) error
}

// Sender tells a notice to people, and comes back when it was taken.
type Sender interface {
	Send(ctx context.Context, c Channel, n Notice) error
}

// Watch judges again and again, and has notices delivered: each at least once,
// whoever is killed when. Make it with all fields set.
type Watch struct {
	Config  Config                                     // to begin with
	Reread  func() (c Config, changed bool, err error) // asks for a newer one each time before Judge; may be nil
	Keeper  Keeper
	Queue   Queue
	Sender  Sender
	Look    func(ctx context.Context, c Config) (Situation, error) // is not asked while there are no channels
	Happens func()                                                 // is called when there are new events; may be nil
	Every   time.Duration
	Log     *slog.Logger

	current current
}

// How notices are tried: each for so long at most, again after firstPause, then
// twice as long each time, and given up when they are old news.
const (
	sendTime    = 20 * time.Second
	firstPause  = 10 * time.Second
	longPause   = 30 * time.Minute
	noticesLife = 72 * time.Hour
)

// Run judges and delivers until ctx is done.
func (w *Watch) Run(ctx context.Context) error {
	var both sync.WaitGroup
	both.Go(func() { w.repeat(ctx, w.Judge) })
	both.Go(func() { w.repeat(ctx, w.Deliver) })
	both.Wait()
	return ctx.Err()
}

func (w *Watch) repeat(ctx context.Context, do func(context.Context) error) {
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			w.Log.Warn("alerts", "problem", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(w.Every):
		}
	}
}

// Judge looks once. While there are no channels only the configuration itself
// is judged.
func (w *Watch) Judge(ctx context.Context) error {
	c, broken := w.take()
	s := Situation{Now: time.Now().UTC()}
	if len(c.Channels) > 0 {
		var err error
		if s, err = w.Look(ctx, c); err != nil {
			return err
		}
	}
	s.Broken = broken
	before, silences, err := w.Keeper.Alerts(ctx, s.Now)
	if err != nil {
		return err
	}
	v := c.Judge(s, before, silences)
	if len(v.Alerts) == 0 && len(before) == 0 {
		return nil
	}
	for i := range v.Events {
		v.Events[i].Time = s.Now
	}
	if err := w.Keeper.SaveVerdict(ctx, v); err != nil {
		return err
	}
	if len(v.Events) > 0 && w.Happens != nil {
		w.Happens()
	}
	return nil
}

// Deliver tries once what is due. A channel that does not take one notice is
// not asked to take the next, so that they come in order.
func (w *Watch) Deliver(ctx context.Context) error {
	config := w.Current()
	if len(config.Channels) == 0 {
		return nil
	}
	all, err := w.Queue.Notices(ctx)
	if err != nil {
		return err
	}
	stuck := map[string]bool{}
	for _, n := range all {
		c, there := config.channel(n.Channel)
		switch now := time.Now(); {
		case !there || now.Sub(n.Made) > noticesLife:
			w.Log.Warn("a notice was given up", "channel", n.Channel, "alert", n.Alert, "says", n.Says)
			err = w.Queue.Delivered(ctx, n.ID)
		case stuck[n.Channel]:
		case now.Before(n.Next):
			stuck[n.Channel] = true
		default:
			err = w.try(ctx, c, n, stuck)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *Watch) try(ctx context.Context, c Channel, n Notice, stuck map[string]bool) error {
	soon, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	err := w.Sender.Send(soon, c, n)
	if err == nil {
		return w.Queue.Delivered(ctx, n.ID)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	stuck[c.Name] = true
	pause := min(firstPause<<min(n.Tries, 20), longPause)
	w.Log.Warn("a notice was not taken", "channel", c.Name, "alert", n.Alert, "problem", err, "again", pause)
	return w.Queue.Postponed(ctx, n.ID, time.Now().Add(pause))
}

func (c Config) channel(name string) (Channel, bool) {
	for _, ch := range c.Channels {
		if ch.Name == name {
			return ch, true
		}
	}
	return Channel{}, false
}

// Test sends a notice by each channel, or by one, at once and past the queue.
// It gives what each said; nil is taken.
func (w *Watch) Test(ctx context.Context, channel string) map[string]error {
	said := map[string]error{}
	for _, c := range w.Current().Channels {
		if channel != "" && channel != c.Name {
			continue
		}
		soon, cancel := context.WithTimeout(ctx, sendTime)
		now := time.Now().UTC()
		said[c.Name] = w.Sender.Send(soon, c, Notice{Channel: c.Name, Alert: "test", Rule: "test", State: "test", Says: "this is a test; nothing is wrong", Since: now, Made: now})
		cancel()
	}
	return said
}
