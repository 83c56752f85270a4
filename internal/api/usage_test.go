package api_test

import (
	"testing"
	"time"

	"havre/internal/api"
)

func TestRatesAreOfWhatCameBetweenTwoReadings(t *testing.T) {
	at := time.Unix(1000, 0)
	before := []api.Usage{
		{Name: "web", At: at, CPU: 10, NetIn: 1000, Requests: []int64{0, 0, 100, 0, 2, 0}, Connections: 4},
		{Name: "new", At: at, CPU: 50, NetIn: 9000},
	}
	now := []api.Usage{
		{Name: "web", At: at.Add(2 * time.Second), CPU: 11, NetIn: 5000, Requests: []int64{0, 0, 120, 0, 4, 0}, Connections: 6, Memory: 7},
		{Name: "new", At: at.Add(2 * time.Second), CPU: 1, NetIn: 1},
		{Name: "come", At: at.Add(2 * time.Second), CPU: 99},
	}
	got := api.Rates(before, now)
	if w := got[0]; w.Requests != 11 || w.CPU != 0.5 || w.NetIn != 2000 || w.Connections != 1 || w.Memory != 7 {
		t.Errorf("web: %+v", w)
	}
	for _, r := range got[1:] {
		if r.CPU != 0 || r.NetIn != 0 {
			t.Errorf("%s did nothing that is known: %+v", r.Name, r)
		}
	}
}
