package route

// LatencyBounds are the upper bounds of Count.Latency, in seconds; one more
// without a bound follows.
var LatencyBounds = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// Count is what came to one service since the ingress started. Counts answers
// GET /counts.
type Count struct {
	Service     string  `json:"service"` // env.project.service; "" is what named no host that there is
	Open        int64   `json:"open"`    // requests and TCP connections at this moment
	Connections int64   `json:"connections,omitempty"`
	Requests    []int64 `json:"requests,omitempty"` // by the status's first digit; 0: the client left before there was one
	Latency     []int64 `json:"latency,omitempty"`  // requests by how long they took, see LatencyBounds
	Seconds     float64 `json:"seconds,omitempty"`  // that all requests took together
	In          int64   `json:"in"`                 // bytes of bodies and of TCP connections that have ended
	Out         int64   `json:"out"`
}

// Counts is one Count for each service that a route leads to.
type Counts struct {
	Counts []Count `json:"counts"`
}
