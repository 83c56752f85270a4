package metric_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/metric"
	"havre/internal/route"
)

func facts() metric.Facts {
	return metric.Facts{
		Now: time.Unix(1000, 0), Version: `1"2`, Bounds: route.LatencyBounds,
		Services: []api.Usage{{
			Name: "web", Project: "shop", Environment: "prod", State: "healthy", Containers: 2, CPU: 1.5, Memory: 4096, Restarts: 3, Rollout: 7,
			Requests: []int64{0, 0, 5, 0, 1, 0}, Latency: []int64{4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, Seconds: 12.5, Open: 2,
		}},
		Parts:        []api.Part{{Name: "engine", Well: true}, {Name: "ingress"}},
		Ports:        []metric.Port{{Listen: ":25/tcp", Denied: 1, Crowded: 2, Beyond: 3, Failed: 4}},
		Certificates: map[string]time.Time{"a.test": time.Unix(4600, 0)},
		Passes:       3, PassTime: 1500 * time.Millisecond,
		Process: metric.Process{Started: time.Unix(900, 0)},
	}
}

func TestMetricsAreInTheTextFormat(t *testing.T) {
	var b strings.Builder
	if err := metric.Write(&b, metric.Families(facts())); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for _, line := range []string{
		`havre_requests_total{environment="prod",project="shop",service="web",class="2xx"} 5`,
		`havre_request_seconds_bucket{environment="prod",project="shop",service="web",le="0.005"} 4`,
		`havre_request_seconds_bucket{environment="prod",project="shop",service="web",le="10"} 5`,
		`havre_request_seconds_bucket{environment="prod",project="shop",service="web",le="+Inf"} 6`,
		`havre_request_seconds_sum{environment="prod",project="shop",service="web"} 12.5`,
		`havre_request_seconds_count{environment="prod",project="shop",service="web"} 6`,
		`# TYPE havre_request_seconds histogram`,
		`havre_certificate_remaining_seconds{host="a.test"} 3600`,
		`havre_part_well{part="ingress"} 0`,
		`havre_turned_away_total{listen=":25/tcp",why="denied"} 1`,
		`havre_turned_away_total{listen=":25/tcp",why="crowded"} 2`,
		`havre_turned_away_total{listen=":25/tcp",why="beyond"} 3`,
		`havre_turned_away_total{listen=":25/tcp",why="failed"} 4`,
		`havre_build_info{version="1\"2"} 1`,
		`havre_loop_pass_seconds_total 1.5`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no line %s in\n%s", line, got)
		}
	}
	form := regexp.MustCompile(`^(# (HELP|TYPE) .+|[a-z_]+(\{[a-z]+="([^"\\]|\\.)*"(,[a-z]+="([^"\\]|\\.)*")*\})? [-+0-9.eInf]+)$`)
	for line := range strings.Lines(got) {
		if !form.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("not of the format: %s", line)
		}
	}
}

func TestEveryMetricOfTheDashboardExists(t *testing.T) {
	var known []string
	for _, f := range metric.Families(facts()) {
		known = append(known, f.Name)
		if f.Type == metric.Histogram {
			known = append(known, f.Name+"_bucket", f.Name+"_sum", f.Name+"_count")
		}
	}
	for _, file := range []string{"grafana.json", "metrics.md"} {
		text, err := os.ReadFile("../../docs/operate/" + file)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`\b(havre|process|go)_[a-z_]+\b`).FindAllString(string(text), -1)
		if len(names) < 5 {
			t.Errorf("%s names only %v", file, names)
		}
		for _, n := range names {
			if !slices.Contains(known, n) {
				t.Errorf("%s names %s, which there is not", file, n)
			}
		}
	}
}
