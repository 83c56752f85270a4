package ingress

import (
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"

	"havre/internal/problem"
)

// longestProfile bounds how long a caller may slow the ingress down.
const longestProfile = time.Minute

// profile answers with what the ingress spends its processor time on during
// ?seconds=N, in the form that go tool pprof reads. One runs at a time.
func profile(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Query().Get("seconds"))
	d := time.Duration(n) * time.Second
	if err != nil || d <= 0 || d > longestProfile {
		complain(w, problem.New(problem.Invalid, "seconds is 1 to %d", longestProfile/time.Second))
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := pprof.StartCPUProfile(w); err != nil {
		complain(w, problem.New(problem.Conflict, "profile the ingress").Because(err))
		return
	}
	defer pprof.StopCPUProfile()
	select {
	case <-r.Context().Done():
	case <-time.After(d):
	}
}
