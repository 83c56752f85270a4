package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Each measurement of traffic takes so long; wrk first warms up.
const (
	warm = time.Second
	span = 4 * time.Second
)

const trafficFile = `
services:
  backend:
    image: bench:1
    ports: ["9081:8080"]
    expose: ["8080"]
    x-havre: {domains: ["bench.test:8080"]}
  stream:
    image: bench:1
    command: [iperf3, -s]
    ports: ["9301:5201"]
`

// BenchmarkTraffic is the ingress beside nginx, Caddy and HAProxy.
func BenchmarkTraffic(b *testing.B) {
	h := start(b)
	h.freePorts(b)
	versions(h.peers(b))
	h.apply(b, "traffic", trafficFile)
	h.proxy(b, "nginx", []int{9080, 9443}, "nginx -c /etc/bench/nginx.conf")
	h.proxy(b, "caddy", []int{9280}, "caddy run --adapter caddyfile --config /etc/bench/Caddyfile")
	h.proxy(b, "haproxy", []int{9180, 9201}, "haproxy -f /etc/bench/haproxy.cfg")
	h.untilPeers(b)
	at := func(scheme string, port int, path string) string {
		return fmt.Sprintf("%s://bench.test:%d%s", scheme, port, path)
	}
	requests := func(url string) func() float64 { return func() float64 { return h.wrk(b, url) } }
	each := func(port int) func() float64 {
		return func() float64 { return h.wrk(b, at("http", port, "/1k"), "-H", "Connection: close") }
	}

	kib, mib, tls := at("http", 80, "/1k"), at("http", 80, "/1m"), at("https", 443, "/1k")
	nginx := requests(at("http", 9080, "/1k"))
	add(b, row{what: "HTTP keep-alive 1 KiB, 64 connections", against: "nginx as proxy", unit: "requests/s", least: 0.45, aim: 1, more: true}, requests(kib), nginx)
	h.profile(b, "HTTP keep-alive 1 KiB", func() { h.wrk(b, kib) })
	add(b, row{what: "the same", against: "Caddy as proxy", unit: "requests/s", least: 1.25, more: true}, requests(kib), requests(at("http", 9280, "/1k")))
	add(b, row{what: "HTTPS, the same", against: "nginx", unit: "requests/s", least: 0.45, aim: 1, more: true}, requests(tls), requests(at("https", 9443, "/1k")))
	add(b, row{what: "1 MiB bodies", against: "nginx", unit: "requests/s", least: 1.2, more: true}, requests(mib), requests(at("http", 9080, "/1m")))

	add(b, row{what: "TCP throughput, one stream", against: "HAProxy in TCP mode", unit: "Gbit/s", least: 0.9, aim: 1, more: true},
		func() float64 { return h.iperf(b, 9301) }, func() float64 { return h.iperf(b, 9201) })
	h.profile(b, "TCP throughput", func() { h.iperf(b, 9301) })
	add(b, row{what: "TCP connections, one request each", against: "HAProxy in TCP mode", unit: "connections/s", least: 0.9, aim: 1, more: true},
		each(9081), each(9180))
	h.profile(b, "TCP connections", func() { each(9081)() })
}

// untilPeers waits until everybody answers.
func (h *havre) untilPeers(b *testing.B) {
	b.Helper()
	defer func() {
		if b.Failed() {
			for _, peer := range []string{"nginx", "caddy", "haproxy"} {
				b.Log(peer, h.world.Docker(b, "inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}", peer))
			}
		}
	}()
	h.untilAll(b, []int{9080, 9180, 9280, 9081})
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	for _, port := range []int{80, 443, 9201, 9301} {
		for ctx.Err() == nil {
			c, err := h.world.Dial(ctx, "tcp", net.JoinHostPort(h.world.Address.String(), strconv.Itoa(port)))
			if err == nil {
				c.Close()
				break
			}
			pause(ctx, 50*time.Millisecond)
		}
	}
	if ctx.Err() != nil {
		b.Fatal("not all peers answer")
	}
}

var perSecond = regexp.MustCompile(`(?m)^Requests/sec:\s+([0-9.]+)`)
var wrong = regexp.MustCompile(`(?m)^\s*(Non-2xx|Socket errors).*`)

// wrk gives requests per second. What fails counts for nothing: it ends the run.
func (h *havre) wrk(b *testing.B, url string, more ...string) float64 {
	b.Helper()
	run := func(d time.Duration) string {
		args := []string{"run", "--rm", "--network", "host", "--add-host", "bench.test:" + h.world.Address.String(), benchImage,
			"wrk", "-t", "1", "-c", "64", "-d", d.String(), url}
		return h.world.Docker(b, append(args, more...)...)
	}
	run(warm)
	said := run(span)
	if bad := wrong.FindString(said); bad != "" {
		b.Fatalf("%s: %s\n%s", url, bad, said)
	}
	found := perSecond.FindStringSubmatch(said)
	if found == nil {
		b.Fatalf("wrk said\n%s", said)
	}
	n, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// iperf gives Gbit/s as the receiver saw it.
func (h *havre) iperf(b *testing.B, port int) float64 {
	b.Helper()
	said := h.world.Docker(b, "run", "--rm", "--network", "host", benchImage,
		"iperf3", "-J", "-c", h.world.Address.String(), "-p", strconv.Itoa(port), "-t", strconv.Itoa(int(span/time.Second)), "-O", "1")
	var report struct {
		End struct {
			Received struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal([]byte(said), &report); err != nil || report.End.Received.BitsPerSecond == 0 {
		b.Fatalf("iperf3 said\n%s\n%v", said, err)
	}
	return report.End.Received.BitsPerSecond / 1e9
}

// profile records what the ingress spends its processor time on meanwhile.
func (h *havre) profile(b *testing.B, what string, work func()) {
	b.Helper()
	file := filepath.Join(b.TempDir(), "cpu")
	socket := filepath.Join(h.data(), "run", "ingress", "ingress.sock")
	recorded := make(chan error, 1)
	go func() {
		text, err := ask(b.Context(), socket, fmt.Sprintf("/profile?seconds=%d", int(span/time.Second)))
		if err == nil {
			err = os.WriteFile(file, text, 0o600)
		}
		recorded <- err
	}()
	work()
	if err := <-recorded; err != nil {
		b.Fatal(err)
	}
	spent(b, what, file)
}

// versions keeps what the peers' packages are for the report.
func versions(lines string) {
	theReport.mu.Lock()
	defer theReport.mu.Unlock()
	for line := range strings.Lines(lines) {
		theReport.versions = append(theReport.versions, strings.TrimSpace(line))
	}
}
