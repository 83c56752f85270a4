// Package alert decides what is wrong enough to tell a person, when to tell it
// again, and when to be silent. It looks at nothing itself.
package alert

import (
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"havre/internal/problem"
)

// Config says what is told to whom. The zero Config tells nobody anything.
type Config struct {
	Channels []Channel `json:"channels"`
	Rules    []Rule    `json:"rules"`  // none: the default ones
	Repeat   string    `json:"repeat"` // what is still wrong is told again so often; "" is 4h, "0s" never
}

// Channel is a way to tell people: exactly one of mail and webhook.
type Channel struct {
	Name    string   `json:"name"`
	Mail    *Mail    `json:"mail,omitempty"`
	Webhook *Webhook `json:"webhook,omitempty"`
}

// Mail goes to an SMTP server.
type Mail struct {
	Server       string   `json:"server"` // host:port
	TLS          string   `json:"tls"`    // starttls, which is also "", tls from the first byte, or none
	CA           string   `json:"ca"`     // file with the root that signed the server's certificate; "": what the machine trusts
	User         string   `json:"user"`
	PasswordFile string   `json:"passwordFile"`
	From         string   `json:"from"`
	To           []string `json:"to"`
}

// Webhook goes to an HTTP server as JSON, signed.
type Webhook struct {
	URL        string `json:"url"`
	SecretFile string `json:"secretFile"` // the key of the signature; "": not signed
	CA         string `json:"ca"`         // as Mail.CA
}

// The things that rules watch.
const (
	Down        = "down"        // a service that should be well is not, for so long
	CrashLoop   = "crash-loop"  // a service's containers end again and again
	Certificate = "certificate" // one ends in less than so many days
	Disk        = "disk"        // the disk with Havre's data is full to so many percent
	Log         = "log"         // so many lines of a service match within so long
	Node        = "node"        // the engine or the ingress does not answer
	// Configuration is that a changed file cannot be taken up. It is always watched.
	Configuration = "configuration"
)

// Rule says what is wrong enough.
type Rule struct {
	Name     string   `json:"name"`
	When     string   `json:"when"`
	For      string   `json:"for,omitempty"`     // it must last so long first
	Days     int      `json:"days,omitempty"`    // of certificate; 0 is 7
	Percent  int      `json:"percent,omitempty"` // of disk; 0 is 90
	Service  string   `json:"service,omitempty"` // of log: a NAME in full; of down and crash-loop only this one
	Pattern  string   `json:"pattern,omitempty"` // of log: a regular expression; "" is (?i)\b(error|fatal|panic)\b
	Count    int      `json:"count,omitempty"`   // of log; 0 is 10
	Within   string   `json:"within,omitempty"`  // of log; "" is 5m
	Channels []string `json:"channels,omitempty"`
}

// DefaultRules are those of a Config that has none.
func DefaultRules() []Rule {
	return []Rule{
		{Name: "service-down", When: Down, For: "2m"},
		{Name: "crash-loop", When: CrashLoop},
		{Name: "certificate", When: Certificate, Days: 7},
		{Name: "disk", When: Disk, Percent: 90},
		{Name: "node", When: Node, For: "1m"},
	}
}

// InForce are the rules that count.
func (c Config) InForce() []Rule {
	rules := c.Rules
	if len(rules) == 0 {
		rules = DefaultRules()
	}
	if slices.ContainsFunc(rules, func(r Rule) bool { return r.When == Configuration }) {
		return rules
	}
	return append(slices.Clone(rules), Rule{Name: Configuration, When: Configuration})
}

// Every is how often what is still wrong is told again; 0 is never.
func (c Config) Every() time.Duration { return span(c.Repeat, 4*time.Hour) }

func (r Rule) lasts() time.Duration { return span(r.For, 0) }

// Window is how long lines of a log count.
func (r Rule) Window() time.Duration { return span(r.Within, 5*time.Minute) }

// Expression is what lines are matched with.
func (r Rule) Expression() *regexp.Regexp {
	if re, err := regexp.Compile(r.Pattern); err == nil && r.Pattern != "" {
		return re
	}
	return regexp.MustCompile(`(?i)\b(error|fatal|panic)\b`)
}

// span reads what Validate accepted.
func span(s string, otherwise time.Duration) time.Duration {
	if d, err := time.ParseDuration(s); err == nil {
		return d
	}
	return otherwise
}

func or(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// Validate reports all mistakes at once.
func (c Config) Validate() problem.List {
	var wrong problem.List
	add := func(remedy, format string, args ...any) {
		wrong = append(wrong, problem.New(problem.Invalid, "alert: "+format, args...).With("%s", remedy))
	}
	seen := map[string]bool{}
	for _, ch := range c.Channels {
		if !nameForm.MatchString(ch.Name) || seen[ch.Name] {
			add("use lower-case letters, digits and -, each name once", "channel %q cannot be named so", ch.Name)
		}
		seen[ch.Name] = true
		if says := ch.wrong(); says != "" {
			add("see docs/operate/alerts.md", "channel %s: %s", ch.Name, says)
		}
	}
	if !goodSpan(c.Repeat) {
		add("write it as 4h", "repeat: %q is no time", c.Repeat)
	}
	rules := map[string]bool{}
	for _, r := range c.Rules {
		if !nameForm.MatchString(r.Name) || rules[r.Name] {
			add("use lower-case letters, digits and -, each name once", "rule %q cannot be named so", r.Name)
		}
		rules[r.Name] = true
		for _, name := range r.Channels {
			if !seen[name] {
				add("name one of channels", "rule %s: no channel is named %q", r.Name, name)
			}
		}
		if says := r.wrong(); says != "" {
			add("see docs/operate/alerts.md", "rule %s: %s", r.Name, says)
		}
	}
	return wrong
}

func goodSpan(s string) bool {
	d, err := time.ParseDuration(s)
	return s == "" || err == nil && d >= 0
}

func (r Rule) wrong() string {
	_, badPattern := regexp.Compile(r.Pattern)
	switch {
	case !slices.Contains([]string{Down, CrashLoop, Certificate, Disk, Log, Node, Configuration}, r.When):
		return fmt.Sprintf("when: %q is nothing that is watched", r.When)
	case !goodSpan(r.For) || !goodSpan(r.Within):
		return "for or within is no time"
	case r.Days < 0 || r.Count < 0 || r.Percent < 0 || r.Percent > 100:
		return "a number is out of range"
	case r.When == Log && strings.Count(r.Service, ".") != 2:
		return "service: name one in full, as prod.shop.web"
	case r.Name == Configuration && r.When != Configuration:
		return "name: that one is taken"
	case badPattern != nil:
		return "pattern: " + badPattern.Error()
	}
	return ""
}

func (ch Channel) wrong() string {
	switch {
	case (ch.Mail == nil) == (ch.Webhook == nil):
		return "it has exactly one of mail and webhook"
	case ch.Mail != nil:
		return ch.Mail.wrong()
	}
	u, err := url.Parse(ch.Webhook.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "url is no http or https address"
	}
	return badFiles(ch.Webhook.SecretFile, ch.Webhook.CA)
}

func (m Mail) wrong() string {
	host, _, err := net.SplitHostPort(m.Server)
	if err != nil || host == "" {
		return "server is written as host:port"
	}
	if !slices.Contains([]string{"", "starttls", "tls", "none"}, m.TLS) {
		return "tls is starttls, tls or none"
	}
	if m.TLS == "none" && m.PasswordFile != "" && !net.ParseIP(host).IsLoopback() && host != "localhost" {
		return "a password is not sent without TLS"
	}
	if (m.User == "") != (m.PasswordFile == "") {
		return "user and passwordFile go together"
	}
	for _, a := range append([]string{m.From}, m.To...) {
		if _, err := mail.ParseAddress(a); err != nil {
			return fmt.Sprintf("%q is no mail address", a)
		}
	}
	if len(m.To) == 0 {
		return "to names nobody"
	}
	return badFiles(m.PasswordFile, m.CA)
}

func badFiles(files ...string) string {
	for _, f := range files {
		if f != "" && !filepath.IsAbs(f) {
			return fmt.Sprintf("%q is not an absolute path", f)
		}
	}
	return ""
}
