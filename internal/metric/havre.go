package metric

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"havre/internal/api"
)

// Facts is all that is measured.
type Facts struct {
	Now          time.Time
	Version      string
	Services     []api.Usage
	Bounds       []float64 // of Usage.Latency, in seconds
	Parts        []api.Part
	Ports        []Port
	Certificates map[string]time.Time // by host: when it ends
	Passes       int64                // of the loop, since the start
	PassFailures int64
	PassTime     time.Duration // of all of them
	Process      Process
}

// Port is an outside port, and how many connections, flows and requests came to
// it and were turned away.
type Port struct {
	Listen  string // ":25/tcp"
	Denied  int64  // from where they may not come, or too often
	Crowded int64  // because too many were open
	Beyond  int64  // because their client had its share
	Failed  int64  // because no container took them
}

// Process is this process's own use.
type Process struct {
	CPU        time.Duration
	Resident   int64 // bytes
	Started    time.Time
	Goroutines int
}

// Families makes metrics of facts.
func Families(f Facts) []Family {
	all := slices.Concat(traffic(f), used(f), deploys(f))
	certs := Family{"havre_certificate_remaining_seconds", "Time until a host's certificate ends.", Gauge, nil}
	for _, host := range slices.Sorted(maps.Keys(f.Certificates)) {
		certs.Samples = append(certs.Samples, Sample{Labels: []Label{{"host", host}}, Value: f.Certificates[host].Sub(f.Now).Seconds()})
	}
	parts := Family{"havre_part_well", "1 when a part of Havre is well, else 0.", Gauge, nil}
	for _, p := range f.Parts {
		parts.Samples = append(parts.Samples, Sample{Labels: []Label{{"part", p.Name}}, Value: truth(p.Well)})
	}
	return append(all, certs, parts, turnedAway(f),
		one("havre_loop_passes_total", "Passes of the loop.", Counter, float64(f.Passes)),
		one("havre_loop_pass_failures_total", "Passes of the loop that could not do all there was to do.", Counter, float64(f.PassFailures)),
		one("havre_loop_pass_seconds_total", "Time that passes of the loop took.", Counter, f.PassTime.Seconds()),
		one("process_cpu_seconds_total", "Processor time of the server.", Counter, f.Process.CPU.Seconds()),
		one("process_resident_memory_bytes", "Resident memory of the server.", Gauge, float64(f.Process.Resident)),
		one("process_start_time_seconds", "When the server started.", Gauge, float64(f.Process.Started.UnixMilli())/1000),
		one("go_goroutines", "Goroutines of the server.", Gauge, float64(f.Process.Goroutines)),
		Family{"havre_build_info", "Always 1; the version stands in the label.", Gauge, []Sample{{Labels: []Label{{"version", f.Version}}, Value: 1}}},
	)
}

func one(name, help string, t Type, v float64) Family {
	return Family{name, help, t, []Sample{{Value: v}}}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func about(u api.Usage, more ...Label) []Label {
	return append([]Label{{"environment", u.Environment}, {"project", u.Project}, {"service", u.Name}}, more...)
}

// each makes a family with one sample for each service.
func each(f Facts, fam Family, value func(api.Usage) float64) Family {
	for _, u := range f.Services {
		fam.Samples = append(fam.Samples, Sample{Labels: about(u), Value: value(u)})
	}
	return fam
}

func turnedAway(f Facts) Family {
	fam := Family{"havre_turned_away_total", "Connections, flows and requests that a port turned away.", Counter, nil}
	for _, p := range f.Ports {
		for _, n := range []struct {
			why  string
			many int64
		}{{"denied", p.Denied}, {"crowded", p.Crowded}, {"beyond", p.Beyond}, {"failed", p.Failed}} {
			fam.Samples = append(fam.Samples, Sample{Labels: []Label{{"listen", p.Listen}, {"why", n.why}}, Value: float64(n.many)})
		}
	}
	return fam
}

var classes = []string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

func traffic(f Facts) []Family {
	requests := Family{"havre_requests_total", "Requests by status class; none: the client left before there was one.", Counter, nil}
	latency := Family{"havre_request_seconds", "How long requests took, to the last byte.", Histogram, nil}
	for _, u := range f.Services {
		for i, n := range u.Requests {
			if i < len(classes) {
				requests.Samples = append(requests.Samples, Sample{Labels: about(u, Label{"class", classes[i]}), Value: float64(n)})
			}
		}
		if len(u.Latency) != len(f.Bounds)+1 {
			continue // nothing came to it yet
		}
		sum := int64(0)
		for i, n := range u.Latency {
			sum += n
			le := "+Inf"
			if i < len(f.Bounds) {
				le = strconv.FormatFloat(f.Bounds[i], 'g', -1, 64)
			}
			latency.Samples = append(latency.Samples, Sample{Suffix: "_bucket", Labels: about(u, Label{"le", le}), Value: float64(sum)})
		}
		latency.Samples = append(latency.Samples, Sample{Suffix: "_sum", Labels: about(u), Value: u.Seconds}, Sample{Suffix: "_count", Labels: about(u), Value: float64(sum)})
	}
	return []Family{
		requests, latency,
		each(f, Family{"havre_tcp_connections_total", "TCP connections.", Counter, nil}, func(u api.Usage) float64 { return float64(u.Connections) }),
		each(f, Family{"havre_open_connections", "Requests and TCP connections at this moment.", Gauge, nil}, func(u api.Usage) float64 { return float64(u.Open) }),
		each(f, Family{"havre_received_bytes_total", "Bytes from clients: bodies, and TCP connections that have ended.", Counter, nil}, func(u api.Usage) float64 { return float64(u.BytesIn) }),
		each(f, Family{"havre_sent_bytes_total", "Bytes to clients: bodies, and TCP connections that have ended.", Counter, nil}, func(u api.Usage) float64 { return float64(u.BytesOut) }),
	}
}

func used(f Facts) []Family {
	return []Family{
		each(f, Family{"havre_containers", "Containers that run.", Gauge, nil}, func(u api.Usage) float64 { return float64(u.Containers) }),
		each(f, Family{"havre_memory_bytes", "Memory in use.", Gauge, nil}, func(u api.Usage) float64 { return float64(u.Memory) }),
		each(f, Family{"havre_memory_limit_bytes", "Memory that its containers may use.", Gauge, nil}, func(u api.Usage) float64 { return float64(u.MemoryLimit) }),
		each(f, Family{"havre_cpu_seconds_total", "Processor time of the containers that run.", Counter, nil}, func(u api.Usage) float64 { return u.CPU }),
		each(f, Family{"havre_network_receive_bytes_total", "Bytes that its containers received.", Counter, nil}, func(u api.Usage) float64 { return float64(u.NetIn) }),
		each(f, Family{"havre_network_transmit_bytes_total", "Bytes that its containers sent.", Counter, nil}, func(u api.Usage) float64 { return float64(u.NetOut) }),
	}
}

func deploys(f Facts) []Family {
	states := Family{"havre_service_state", "1 for the state that a service is in.", Gauge, nil}
	for _, u := range f.Services {
		states.Samples = append(states.Samples, Sample{Labels: about(u, Label{"state", u.State}), Value: 1})
	}
	return []Family{
		states,
		each(f, Family{"havre_restarts_total", "Containers that ended badly.", Counter, nil}, func(u api.Usage) float64 { return float64(u.Restarts) }),
		each(f, Family{"havre_rollouts_total", "Rollouts there ever were.", Counter, nil}, func(u api.Usage) float64 { return float64(u.Rollout) }),
	}
}
