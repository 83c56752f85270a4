package api

import "time"

// Usage is what the containers of a service use, and what came to it. What is
// counted since a start falls when a container is replaced.
type Usage struct {
	Name        string    `json:"name"`
	Project     string    `json:"project"`
	Environment string    `json:"environment"`
	State       string    `json:"state" enum:"healthy,starting,failing,stopped,idle,completed"`
	At          time.Time `json:"at" doc:"when it was read"`
	Containers  int       `json:"containers" doc:"that run"`
	CPU         float64   `json:"cpuSeconds" doc:"seconds of processors since the containers started"`
	Memory      int64     `json:"memory" doc:"bytes in use"`
	MemoryLimit int64     `json:"memoryLimit,omitempty" doc:"bytes; of all containers together"`
	NetIn       int64     `json:"netIn" doc:"bytes over the containers' networks since they started"`
	NetOut      int64     `json:"netOut"`
	Restarts    int       `json:"restarts" doc:"containers that ended badly, ever"`
	Rollout     int       `json:"rollout"`

	// Counted by the ingress since it started.
	Open        int64   `json:"open" doc:"requests and TCP connections at this moment"`
	Connections int64   `json:"connections" doc:"TCP connections"`
	Requests    []int64 `json:"requests,omitempty" doc:"by the status's first digit, 0 to 5; 0: the client left before there was one"`
	Latency     []int64 `json:"latency,omitempty" doc:"requests that took at most 5, 10, 25, 50, 100, 250, 500 ms, 1, 2.5, 5, 10 s, and longer"`
	Seconds     float64 `json:"seconds" doc:"that all requests took together"`
	BytesIn     int64   `json:"bytesIn" doc:"of bodies, and of TCP connections that have ended"`
	BytesOut    int64   `json:"bytesOut"`
}

// Answered is how many requests were answered.
func (u Usage) Answered() (n int64) {
	for _, r := range u.Requests {
		n += r
	}
	return n
}

// Rate is what a service used between two readings of its usage, a second.
type Rate struct {
	Name        string  `json:"name"`
	Project     string  `json:"project"`
	Environment string  `json:"environment"`
	State       string  `json:"state"`
	Containers  int     `json:"containers"`
	Requests    float64 `json:"requests" doc:"a second"`
	Connections float64 `json:"connections" doc:"TCP connections a second"`
	Open        int64   `json:"open"`
	CPU         float64 `json:"cpu" doc:"processors; 1 is one, busy all the time"`
	Memory      int64   `json:"memory" doc:"bytes"`
	MemoryLimit int64   `json:"memoryLimit,omitempty"`
	NetIn       float64 `json:"netIn" doc:"bytes a second"`
	NetOut      float64 `json:"netOut" doc:"bytes a second"`
}

// Rates compares two readings. What was there at only one of them, or was
// counted afresh between them, did nothing.
func Rates(before, now []Usage) []Rate {
	old := map[string]Usage{}
	for _, u := range before {
		old[u.Environment+"."+u.Project+"."+u.Name] = u
	}
	var all []Rate
	for _, u := range now {
		r := Rate{
			Name: u.Name, Project: u.Project, Environment: u.Environment, State: u.State, Containers: u.Containers,
			Open: u.Open, Memory: u.Memory, MemoryLimit: u.MemoryLimit,
		}
		b, there := old[u.Environment+"."+u.Project+"."+u.Name]
		if t := u.At.Sub(b.At).Seconds(); there && t > 0 {
			r.Requests = max(0, float64(u.Answered()-b.Answered())/t)
			r.Connections = max(0, float64(u.Connections-b.Connections)/t)
			r.CPU = max(0, (u.CPU-b.CPU)/t)
			r.NetIn = max(0, float64(u.NetIn-b.NetIn)/t)
			r.NetOut = max(0, float64(u.NetOut-b.NetOut)/t)
		}
		all = append(all, r)
	}
	return all
}
