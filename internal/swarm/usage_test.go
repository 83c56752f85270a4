package swarm

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
)

func TestUsageIsWhatDockerStatsShows(t *testing.T) {
	for name, text := range map[string]string{
		"version 1": `{"total_inactive_file":1000,"inactive_file":7}`,
		"version 2": `{"inactive_file":1000}`,
	} {
		var st container.StatsResponse
		all := `{"cpu_stats":{"cpu_usage":{"total_usage":2500000000}},"memory_stats":{"usage":5000,"limit":9000,"stats":` + text + `},
			"networks":{"eth0":{"rx_bytes":1,"tx_bytes":2},"eth1":{"rx_bytes":10,"tx_bytes":20}}}`
		if err := json.Unmarshal([]byte(all), &st); err != nil {
			t.Fatal(err)
		}
		want := Usage{CPU: 2500 * time.Millisecond, Memory: 4000, Limit: 9000, In: 11, Out: 22}
		if got := usageOf(st); got != want {
			t.Errorf("control groups of %s: got %+v, want %+v", name, got, want)
		}
	}
}
