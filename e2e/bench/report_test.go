package bench_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"
)

var write = flag.String("write", "", "write the report to this file")

// row is one line of the table: what was measured, beside whom or against
// which bound, and what is asked of it. Of some figures more is better, of
// others less.
type row struct {
	what, against, unit string
	least, aim          float64 // of the ratio, or of the figure where there is no peer; 0: nothing is asked
	more                bool
	ours, theirs        []float64
}

// report is what is written.
type report struct {
	mu       sync.Mutex
	versions []string
	rows     []row
	profiles []spending
}

// spending is where processor time went.
type spending struct{ What, Text string }

var theReport report

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if code == 0 && *write != "" && len(theReport.rows) > 0 {
		if err := theReport.save(*write); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// add measures both sides in turns, so that what else the machine does meets
// both alike.
func add(b *testing.B, r row, ours, theirs func() float64) {
	b.Helper()
	for range rounds {
		r.ours = append(r.ours, ours())
		if theirs != nil {
			r.theirs = append(r.theirs, theirs())
		}
	}
	b.Logf("%s beside %s: %.4g, %.4g %s", r.what, r.against, r.ours, r.theirs, r.unit)
	theReport.mu.Lock()
	defer theReport.mu.Unlock()
	theReport.rows = append(theReport.rows, r)
}

// spent keeps the heads of a processor profile.
func spent(b *testing.B, what, file string) {
	b.Helper()
	out, err := exec.CommandContext(b.Context(), "go", "tool", "pprof", "-top", "-cum", "-nodecount=400", file).Output()
	if err != nil {
		b.Fatal(err)
	}
	flat, err := exec.CommandContext(b.Context(), "go", "tool", "pprof", "-top", "-nodecount=12", file).Output()
	if err != nil {
		b.Fatal(err)
	}
	text := string(flat) + "\nwith what they call, our own and the standard library's doors:\n" + doors(string(out))
	theReport.mu.Lock()
	defer theReport.mu.Unlock()
	theReport.profiles = append(theReport.profiles, spending{what, strings.TrimSpace(text)})
}

// doors picks the functions by whose shares a reader finds the way.
func doors(top string) string {
	var kept []string
	for line := range strings.Lines(top) {
		for _, name := range []string{"havre/internal/", "net/http.(*conn).serve", "ReverseProxy", "readRequest", "net/http.(*Transport)", "persistConn", "internal/runtime/syscall.Syscall6", "runtime.gcBgMarkWorker", "runtime.schedule", "runtime.mallocgc"} {
			if strings.Contains(line, name) && len(kept) < 24 {
				kept = append(kept, line)
				break
			}
		}
	}
	return strings.Join(kept, "")
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// Line is a row as the report shows it.
type Line struct{ What, Against, Ours, Theirs, Ratio, Least, Aim, Verdict string }

// line renders a row. The verdict is about what is asked at least.
func (r row) line() Line {
	ours, theirs := median(r.ours), median(r.theirs)
	l := Line{What: r.what, Against: r.against, Ours: number(ours) + " " + r.unit, Theirs: "–", Ratio: "–", Least: "–", Aim: "–", Verdict: "–"}
	judged, suffix := ours, " "+r.unit
	if len(r.theirs) > 0 {
		judged, suffix = ours/theirs, " ×"
		l.Theirs, l.Ratio = number(theirs)+" "+r.unit, fmt.Sprintf("%.2f ×", judged)
	}
	bound := map[bool]string{true: "≥ ", false: "≤ "}[r.more]
	reached := func(asked float64) bool { return r.more && judged >= asked || !r.more && judged <= asked }
	if r.least > 0 {
		l.Least, l.Verdict = bound+number(r.least)+suffix, "**falls short**"
		if reached(r.least) {
			l.Verdict = "reached"
		}
	}
	if r.aim > 0 {
		l.Aim = bound + number(r.aim) + suffix
		if reached(r.aim) {
			l.Verdict = "aim reached"
		}
	}
	return l
}

func number(x float64) string {
	switch {
	case x >= 1000:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.3f", x), "0"), ".")
}

const page = `# Figures

<!-- Written by make bench. Do not edit. -->

Each pair is measured in one run, in turns, in one network namespace with an engine of its own, on the same containers; a figure is the median of {{.Rounds}}. Load, peers, containers and Havre share the machine's cores, so compare ratios, not absolute numbers, with other machines'.

Machine: {{.Machine}}. Kernel {{.Kernel}}, {{.Go}}, Docker Engine {{.Engine}}. Peers, from Debian's packages: {{.Versions}}. Made {{.Date}} with Havre {{.Havre}}.

To repeat it: ` + "`make bench`" + ` on a Debian machine with Go and nothing else to do. It takes about half an hour.

| what | against | Havre | peer | ratio | at least | aim | verdict |
|---|---|---|---|---|---|---|---|
{{range .Lines}}| {{.What}} | {{.Against}} | {{.Ours}} | {{.Theirs}} | {{.Ratio}} | {{.Least}} | {{.Aim}} | {{.Verdict}} |
{{end}}
How the peers are set up stands in ` + "`e2e/bench/peers_test.go`" + `: each runs in a container on the project's overlay network, as anybody would put it there, its port published by the engine; the load comes from the machine's own network.

## What would be next

- HTTP and HTTPS, towards nginx itself: half of the time and more is system calls, two reads and two writes for a request, and Go's scheduler between them. An epoll of our own, as TCP connections have, would save the scheduler's part; what was tried stands in [0052](../decisions/0052-plain-requests.md).
- TCP connections: two processes see each one. A portal that accepts by itself would save the handing over, and would have to judge access, hold and count: [0061](../decisions/0061-several-questions-and-bare-connections.md).
- Memory: what is left are the heaps, 5 to 7 MiB for each process with 1 to 2 MiB in use: small pieces that libraries keep from the start lie in many pages. Nearly half is the program itself, most of it needed at the start only ([0072](../decisions/0072-pages-of-the-program-stay.md)).
{{range .Profiles}}
## Where the time goes: {{.What}}

` + "```text" + `
{{.Text}}
` + "```" + `
{{end}}`

// save writes the page.
func (r *report) save(file string) error {
	var lines []Line
	for _, one := range r.rows {
		lines = append(lines, one.line())
	}
	var text bytes.Buffer
	err := template.Must(template.New("page").Parse(page)).Execute(&text, map[string]any{
		"Rounds": rounds, "Machine": machine(), "Kernel": said("uname", "-r"), "Go": strings.TrimPrefix(said("go", "version"), "go version "),
		"Engine": said("dockerd", "--version"), "Versions": strings.Join(r.versions, ", "), "Date": time.Now().UTC().Format(time.DateOnly),
		"Havre": said(os.Getenv("HAVRE_BIN"), "version"), "Lines": lines, "Profiles": r.profiles,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(file, text.Bytes(), 0o644)
}

func said(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first
}

// machine tells the processor, how many of them, and the memory.
func machine() string {
	model := "unknown processor"
	text, err := os.ReadFile("/proc/cpuinfo")
	cores := strings.Count(string(text), "\nprocessor") + 1
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" && err == nil {
			model = strings.TrimSpace(value)
			break
		}
	}
	memory, _ := os.ReadFile("/proc/meminfo")
	kib := 0
	fmt.Sscanf(string(memory), "MemTotal: %d kB", &kib)
	return fmt.Sprintf("%d cores of %s, %d GiB", cores, model, (kib+1<<19)>>20)
}

// ask calls one of Havre's own sockets.
func ask(ctx context.Context, socket, path string) ([]byte, error) {
	web := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://ingress"+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := web.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return text, err
}

// The verdict tells a figure that falls short, of those that shall be high and
// of those that shall be low, with a peer and without.
func TestLinesAreJudged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		row  row
		want string
	}{
		{row{ours: []float64{40, 60, 50}, theirs: []float64{100}, least: 0.45, aim: 1, more: true}, "reached"},
		{row{ours: []float64{40}, theirs: []float64{100}, least: 0.45, aim: 1, more: true}, "**falls short**"},
		{row{ours: []float64{140}, theirs: []float64{100}, least: 0.45, aim: 1, more: true}, "aim reached"},
		{row{ours: []float64{140}, theirs: []float64{100}, least: 1.1}, "**falls short**"},
		{row{ours: []float64{50}, least: 64, aim: 48, unit: "MiB"}, "reached"},
		{row{ours: []float64{65}, least: 64, aim: 48, unit: "MiB"}, "**falls short**"},
	} {
		if got := c.row.line().Verdict; got != c.want {
			t.Errorf("%+v: %s, want %s", c.row, got, c.want)
		}
	}
}
