package bench_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/project"
	"havre/internal/spec"
	"havre/internal/store"
)

// BenchmarkSize is the same machine with ten and with a thousand projects and
// routes. The projects are stopped ones: what runs is measured elsewhere.
func BenchmarkSize(b *testing.B) {
	h := start(b)
	h.app(b)
	h.apply(b, "still", "services: {web: {image: 'app:1', scale: 0, x-havre: {domains: [still.test]}}}\n")
	var few, crowd [][2]float64
	for i := range 2 {
		n := []int{10, 1000}[i]
		h.fill(b, n)
		h.apply(b, "live", projectWith(n))
		h.untilAll(b, []int{7000})
		for range rounds {
			one := [2]float64{h.latency(b), h.list(b)}
			if n == 10 {
				few = append(few, one)
			} else {
				crowd = append(crowd, one)
			}
		}
	}
	figure := func(of [][2]float64, which int) func() float64 {
		i := -1
		return func() float64 { i++; return of[i][which] }
	}
	add(b, row{what: "latency of a request, 1,000 routes and projects", against: "10 of each", unit: "µs", least: 1.1}, figure(crowd, 0), figure(few, 0))
	add(b, row{what: "`ps`, 1,000 projects", against: "–", unit: "ms", least: 50}, figure(crowd, 1), nil)
}

// projectWith is a service with so many domains.
func projectWith(domains int) string {
	var names []string
	for i := range domains {
		names = append(names, fmt.Sprintf("n%d.test", i))
	}
	return "services: {web: {image: 'app:1', ports: ['7000:8080'], expose: ['8080'], x-havre: {domains: [" + strings.Join(names, ", ") + "]}}}\n"
}

// fill puts copies of the stopped project into the store, until there are n,
// while Havre is down.
func (h *havre) fill(b *testing.B, n int) {
	b.Helper()
	h.must(b, "down", "--data", h.data())
	s, err := store.Open(b.Context(), filepath.Join(h.data(), "server", "havre.db"))
	if err != nil {
		b.Fatal(err)
	}
	records, err := s.Projects(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	at := slices.IndexFunc(records, func(r project.Record) bool { return r.Name == "still" })
	for i := len(records); i < n; i++ {
		one := records[at]
		one.ID, one.Name, one.Version, one.Subnet = spec.ProjectID(project.NewID()), fmt.Sprintf("still%d", i), 0, ""
		one.Services = slices.Clone(one.Services)
		for j := range one.Services {
			one.Services[j].ID = spec.ServiceID(project.NewID())
		}
		if err := s.SaveProject(b.Context(), one); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	h.must(b, "up", "--detach", "--data", h.data(), "--engine", h.world.Socket)
}

// latency is the median of many requests on one connection, in microseconds.
func (h *havre) latency(b *testing.B) float64 {
	b.Helper()
	web := &http.Client{Transport: &http.Transport{DialContext: h.world.Dial}, Timeout: 10 * time.Second}
	defer web.CloseIdleConnections()
	var all []float64
	for range 2000 {
		ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/", h.world.Address), nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Host = "n7.test"
		begin := time.Now()
		answer, err := web.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
			b.Fatal(answer.Status, err)
		}
		answer.Body.Close()
		all = append(all, time.Since(begin).Seconds()*1e6)
		cancel()
	}
	return median(all)
}

// list is how many milliseconds havre ps takes as a whole process.
func (h *havre) list(b *testing.B) float64 {
	b.Helper()
	begin := time.Now()
	h.must(b, "ps")
	return time.Since(begin).Seconds() * 1000
}
