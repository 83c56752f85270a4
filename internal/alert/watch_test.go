package alert_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"havre/internal/alert"
	"havre/internal/problem"
)

// keeper keeps what was judged.
type keeper struct {
	alerts  []alert.Alert
	notices []alert.Notice
	events  int
}

func (k *keeper) Alerts(context.Context, time.Time) ([]alert.Alert, []alert.Silence, error) {
	return k.alerts, nil, nil
}

func (k *keeper) SaveVerdict(_ context.Context, v alert.Verdict) error {
	k.alerts, k.notices, k.events = v.Alerts, append(k.notices, v.Notices...), k.events+len(v.Events)
	return nil
}

func TestAChangedConfigurationCountsAtOnceAndABrokenOneNever(t *testing.T) {
	k, log := &keeper{}, &bytes.Buffer{}
	var next alert.Config
	var changed bool
	var broken error
	w := &alert.Watch{
		Keeper: k, Log: slog.New(slog.NewTextHandler(log, nil)),
		Reread: func() (alert.Config, bool, error) { return next, changed, broken },
		Look: func(context.Context, alert.Config) (alert.Situation, error) {
			return alert.Situation{Now: time.Now(), DiskPath: "/data", DiskPercent: 85}, nil
		},
	}
	judge := func(c alert.Config, ch bool, err error, want ...string) {
		t.Helper()
		next, changed, broken = c, ch, err
		if err := w.Judge(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range k.alerts {
			got = append(got, a.Name)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("wrong now: %v, want %v", got, want)
		}
	}
	bad := problem.New(problem.Invalid, "line 3 is no JSON")
	none, calm := alert.Config{}, alert.Config{Channels: channels}
	strict := alert.Config{Channels: channels, Rules: []alert.Rule{{Name: "full", When: alert.Disk, Percent: 80}}}
	judge(none, false, nil)
	judge(none, true, bad, "configuration/server") // seen though nobody is told
	judge(calm, true, nil)
	judge(strict, true, nil, "full//data")
	judge(none, true, bad, "full//data", "configuration/server")
	judge(none, false, nil, "full//data", "configuration/server")
	judge(calm, true, nil)
	if n := strings.Count(log.String(), "line 3 is no JSON"); n != 2 {
		t.Errorf("said %d times: %s", n, log)
	}
	if len(w.Current().Rules) > 0 || k.events != 6 || len(k.notices) != 8 {
		t.Errorf("%d events, %d notices, now %+v", k.events, len(k.notices), w.Current())
	}
}
