package alert_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/alert"
)

const web = "prod.shop.web"

var (
	start    = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	channels = []alert.Channel{
		{Name: "ops", Mail: &alert.Mail{Server: "localhost:25", From: "havre@example.org", To: []string{"ops@example.org"}}},
		{Name: "chat", Webhook: &alert.Webhook{URL: "https://chat.example.org/hook"}},
	}
)

// story judges one situation after the other, each a minute later.
type story struct {
	c        alert.Config
	alerts   []alert.Alert
	silences []alert.Silence
	now      time.Time
}

// told is channel/rule/about/state of each notice.
func (s *story) told(st alert.Situation) []string {
	s.now = s.now.Add(time.Minute)
	st.Now = s.now
	v := s.c.Judge(st, s.alerts, s.silences)
	s.alerts = v.Alerts
	var all []string
	for _, n := range v.Notices {
		words := fmt.Sprintf("%s %s %s %s", n.Channel, n.Rule, n.About, n.State)
		if n.Again {
			words += " again"
		}
		all = append(all, words)
	}
	return all
}

func TestEachThingThatIsWrongIsToldAndItsEndToo(t *testing.T) {
	failing := alert.Situation{Services: map[string]alert.State{web: {State: "failing", Says: "it exited"}}}
	looping := alert.Situation{Services: map[string]alert.State{web: {State: "healthy", Looping: "it exited"}}}
	for _, c := range []struct {
		rule alert.Rule
		bad  alert.Situation
		want string
	}{
		{alert.Rule{Name: "a", When: alert.Down}, failing, "ops a " + web},
		{alert.Rule{Name: "a", When: alert.Down, Service: web}, failing, "ops a " + web},
		{alert.Rule{Name: "a", When: alert.CrashLoop}, looping, "ops a " + web},
		{alert.Rule{Name: "a", When: alert.Certificate, Days: 3}, alert.Situation{Certificates: map[string]time.Time{"a.test": start.Add(71 * time.Hour)}}, "ops a a.test"},
		{alert.Rule{Name: "a", When: alert.Disk, Percent: 80}, alert.Situation{DiskPath: "/data", DiskPercent: 80}, "ops a /data"},
		{alert.Rule{Name: "a", When: alert.Node}, alert.Situation{Parts: map[string]string{"engine": "no answer"}}, "ops a engine"},
		{alert.Rule{Name: "a", When: alert.Configuration}, alert.Situation{Broken: "no JSON"}, "ops a server"},
		{alert.Rule{Name: "a", When: alert.Log, Service: web, Count: 3}, alert.Situation{Lines: map[string]int{"a": 3}}, "ops a " + web},
	} {
		c.rule.Channels = []string{"ops"}
		cfg := alert.Config{Channels: channels, Rules: []alert.Rule{c.rule}}
		if wrong := cfg.Validate(); len(wrong) > 0 {
			t.Errorf("%s: %v", c.rule.When, wrong)
		}
		s := &story{c: cfg, now: start}
		if got := s.told(c.bad); !slices.Equal(got, []string{c.want + " unwell"}) {
			t.Errorf("%s: told %q", c.rule.When, got)
		}
		if got := s.told(c.bad); len(got) > 0 {
			t.Errorf("%s: told twice: %q", c.rule.When, got)
		}
		if got := s.told(alert.Situation{}); !slices.Equal(got, []string{c.want + " well"}) {
			t.Errorf("%s: its end was told as %q", c.rule.When, got)
		}
		if got := s.told(alert.Situation{}); len(got) > 0 || len(s.alerts) > 0 {
			t.Errorf("%s: told %q after the end", c.rule.When, got)
		}
	}
}

func TestWhatIsNotKnownYetIsNotOver(t *testing.T) {
	s := &story{c: alert.Config{Channels: channels[:1]}, now: start}
	bad := alert.Situation{Services: map[string]alert.State{web: {State: "healthy", Looping: "it exited"}}, Parts: map[string]string{"engine": "x"}}
	s.told(bad)
	if got := s.told(bad); !slices.Equal(got, []string{"ops node engine unwell"}) {
		t.Errorf("told %q", got)
	}
	if got := s.told(alert.Situation{Blind: true}); !slices.Equal(got, []string{"ops node engine well"}) || len(s.alerts) != 1 {
		t.Errorf("blind: told %q, left %v", got, s.alerts)
	}
	if got := s.told(alert.Situation{}); !slices.Equal(got, []string{"ops crash-loop " + web + " well"}) {
		t.Errorf("told %q", got)
	}
}

func TestWhatIsNearlyWrongIsNotTold(t *testing.T) {
	s := &story{now: start, c: alert.Config{Channels: channels, Rules: []alert.Rule{
		{Name: "d", When: alert.Disk}, {Name: "c", When: alert.Certificate}, {Name: "l", When: alert.Log, Service: web}, {Name: "s", When: alert.Down, Service: "prod.shop.db"},
	}}}
	got := s.told(alert.Situation{
		DiskPercent: 89, Certificates: map[string]time.Time{"a.test": start.Add(8 * 24 * time.Hour)}, Lines: map[string]int{"l": 9},
		Services: map[string]alert.State{web: {State: "failing"}, "prod.shop.db": {State: "stopped"}},
	})
	if len(got) > 0 {
		t.Errorf("told %q", got)
	}
}

func TestWhatEndsInTimeIsNeverTold(t *testing.T) {
	s := &story{now: start, c: alert.Config{Channels: channels[:1], Rules: []alert.Rule{{Name: "d", When: alert.Down, For: "2m"}}}}
	bad := alert.Situation{Services: map[string]alert.State{web: {State: "starting"}}}
	for range 2 { // one minute is not long enough
		if got := s.told(bad); len(got) > 0 {
			t.Errorf("told %q", got)
		}
	}
	if got := s.told(alert.Situation{}); len(got) > 0 {
		t.Errorf("the end of what was never told: %q", got)
	}
	s.told(bad)
	s.told(bad)
	if got := s.told(bad); len(got) != 1 {
		t.Errorf("after two minutes told %q", got)
	}
}

func TestItIsRepeatedAndSilenced(t *testing.T) {
	bad := alert.Situation{DiskPath: "/data", DiskPercent: 99}
	rules := []alert.Rule{{Name: "disk", When: alert.Disk}}
	s := &story{now: start, c: alert.Config{Channels: channels[:1], Rules: rules, Repeat: "3m"}}
	count := func(n int) (all []string) {
		for range n {
			all = append(all, s.told(bad)...)
		}
		return all
	}
	if got := count(7); !slices.Equal(got, []string{"ops disk /data unwell", "ops disk /data unwell again", "ops disk /data unwell again"}) {
		t.Errorf("in seven minutes: %q", got)
	}
	for _, name := range []string{"*", "disk", "/data", "disk//data"} {
		s.silences = []alert.Silence{{Name: name, Until: s.now.Add(5*time.Minute + time.Second)}}
		if got := count(5); len(got) > 0 {
			t.Errorf("silenced as %s: %q", name, got)
		}
		if got := count(1); len(got) != 1 {
			t.Errorf("after the silence of %s: %q", name, got)
		}
	}
	s.c.Repeat = "0s"
	if got := count(20); len(got) > 0 {
		t.Errorf("repeated though it must not be: %q", got)
	}
}

func TestASilenceIsOfAProjectToo(t *testing.T) {
	a := alert.Alert{About: web}
	for name, want := range map[string]bool{"prod.shop": true, "prod.shop/": true, "prod": true, "prod.sho": false, web: true, "prod.shop.we": false} {
		if got := (alert.Silence{Name: name}).Matches(a); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestEveryMistakeOfAConfigurationIsNamed(t *testing.T) {
	good := alert.Config{Channels: channels}
	if wrong := good.Validate(); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	mail := func(change func(*alert.Mail)) alert.Config {
		m := *channels[0].Mail
		change(&m)
		return alert.Config{Channels: []alert.Channel{{Name: "m", Mail: &m}}}
	}
	rule := func(r alert.Rule) alert.Config { return alert.Config{Rules: []alert.Rule{r}} }
	for want, c := range map[string]alert.Config{
		"cannot be named so":        {Channels: []alert.Channel{channels[0], channels[0]}},
		"exactly one":               {Channels: []alert.Channel{{Name: "x"}}},
		"no http":                   {Channels: []alert.Channel{{Name: "x", Webhook: &alert.Webhook{URL: "ftp://x"}}}},
		"host:port":                 mail(func(m *alert.Mail) { m.Server = "localhost" }),
		"without TLS":               mail(func(m *alert.Mail) { m.Server, m.TLS, m.User, m.PasswordFile = "a.test:25", "none", "u", "/p" }),
		"go together":               mail(func(m *alert.Mail) { m.User = "u" }),
		"no mail address":           mail(func(m *alert.Mail) { m.From = "nobody" }),
		"names nobody":              mail(func(m *alert.Mail) { m.To = nil }),
		"tls is starttls":           mail(func(m *alert.Mail) { m.TLS = "maybe" }),
		"not an absolute path":      mail(func(m *alert.Mail) { m.CA = "ca.pem" }),
		"repeat":                    {Repeat: "often"},
		"nothing that is watched":   rule(alert.Rule{Name: "x", When: "rain"}),
		"is no time":                rule(alert.Rule{Name: "x", When: alert.Down, For: "long"}),
		"out of range":              rule(alert.Rule{Name: "x", When: alert.Disk, Percent: 101}),
		"in full":                   rule(alert.Rule{Name: "x", When: alert.Log, Service: "web"}),
		"pattern":                   rule(alert.Rule{Name: "x", When: alert.Log, Service: web, Pattern: "("}),
		"that one is taken":         rule(alert.Rule{Name: "configuration", When: alert.Disk}),
		"no channel is named \"y\"": rule(alert.Rule{Name: "x", When: alert.Down, Channels: []string{"y"}}),
	} {
		if wrong := c.Validate(); len(wrong) == 0 || !strings.Contains(wrong.Error(), want) {
			t.Errorf("%s: %v", want, wrong)
		}
	}
}
