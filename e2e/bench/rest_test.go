package bench_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// clockTick is how many times a second the kernel counts processor time for
// user space: USER_HZ, 100 on all Linux machines that Go runs on.
const clockTick = 100

// BenchmarkRest is what Havre takes when nothing happens.
func BenchmarkRest(b *testing.B) {
	h := start(b)
	h.app(b)
	h.apply(b, "many", projectOf(7000, many))
	h.untilAll(b, portsFrom(7000))
	add(b, idle(many), func() float64 { return h.busy(b, time.Minute) }, nil)
	h.load(b)
	h.apply(b, "many", strings.ReplaceAll(projectOf(7000, many), "END: \"\"", "END: \"2\""))
	h.load(b)
	pause(b.Context(), time.Minute) // what load and update needed is given back in that time
	add(b, row{what: "all of Havre's processes, a minute after load and an update, 20 services", against: "–", unit: "MiB", least: 64, aim: 48},
		func() float64 { return h.memory(b) }, nil)
	h.apply(b, "more", projectOf(7100, 9*many))
	add(b, idle(10*many), func() float64 { return h.busy(b, time.Minute) }, nil)
}

func idle(services int) row {
	return row{what: fmt.Sprintf("idle, %d services, one minute", services), against: "–", unit: "% of a core", least: 1}
}

// load asks each service for a while.
func (h *havre) load(b *testing.B) {
	b.Helper()
	for range 50 {
		h.untilAll(b, portsFrom(7000))
	}
}

// busy is how much of one core all processes use, in percent.
func (h *havre) busy(b *testing.B, span time.Duration) float64 {
	b.Helper()
	all := h.processes(b)
	sum := func() (ticks float64) {
		for _, pids := range all {
			for _, pid := range pids {
				ticks += processorTime(b, pid)
			}
		}
		return ticks
	}
	before, begin := sum(), time.Now()
	pause(b.Context(), span)
	return (sum() - before) / clockTick / time.Since(begin).Seconds() * 100
}

// processorTime is utime and stime of proc(5), /proc/pid/stat, in ticks.
func processorTime(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err := strconv.ParseFloat(f[11], 64)
	if err != nil {
		b.Fatal(err)
	}
	system, err := strconv.ParseFloat(f[12], 64)
	if err != nil {
		b.Fatal(err)
	}
	return user + system
}

// memory is the proportional set size of all processes, in MiB.
func (h *havre) memory(b *testing.B) float64 {
	b.Helper()
	sum := 0.0
	for role, pids := range h.processes(b) {
		for _, pid := range pids {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
			if err != nil {
				b.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				if value, ok := strings.CutPrefix(line, "Pss:"); ok {
					kib, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
					if err != nil {
						b.Fatal(err)
					}
					b.Logf("%s: %.1f MiB", role, kib/1024)
					sum += kib / 1024
				}
			}
		}
	}
	return sum
}
