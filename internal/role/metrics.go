package role

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/metric"
	"havre/internal/route"
)

// Metrics measures everything now. What cannot be read at the moment is left
// out: a gap says more than an error.
func (b *backend) Metrics(ctx context.Context) ([]byte, error) {
	f := b.facts()
	var err error
	if f.Services, err = b.reading(ctx); err != nil {
		b.log.Debug("metrics without services", "problem", err)
	}
	if st, err := b.Status(ctx); err == nil {
		f.Parts = st.Parts
	}
	f.Ports = b.ingress.ports(ctx)
	var text bytes.Buffer
	err = metric.Write(&text, metric.Families(f))
	return text.Bytes(), err
}

// facts are those that nobody else need be asked for.
func (b *backend) facts() metric.Facts {
	return metric.Facts{
		Now: time.Now(), Version: Version, Bounds: route.LatencyBounds, Certificates: b.seer.certs.Ends(),
		Passes: b.seer.passes.Load(), PassFailures: b.seer.failures.Load(), PassTime: time.Duration(b.seer.took.Load()),
		Process: ownUse(b.started),
	}
}

// ports are none while the ingress is away.
func (c *control) ports(ctx context.Context) (ports []metric.Port) {
	st, err := c.Status(ctx)
	if err != nil {
		return nil
	}
	for _, l := range st.Listeners {
		ports = append(ports, metric.Port{Listen: l.Listen, Denied: l.Denied, Crowded: l.Crowded, Beyond: l.Beyond, Failed: l.Failed})
	}
	return ports
}

func ownUse(started time.Time) metric.Process {
	p := metric.Process{Started: started, Goroutines: runtime.NumGoroutine()}
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		p.CPU = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	if text, err := os.ReadFile("/proc/self/statm"); err == nil { // proc(5): size resident …, in pages
		if words := strings.Fields(string(text)); len(words) > 1 {
			pages, _ := strconv.ParseInt(words[1], 10, 64) // the kernel writes numbers
			p.Resident = pages * int64(os.Getpagesize())
		}
	}
	return p
}
