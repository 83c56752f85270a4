package thrift_test

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"havre/internal/thrift"
)

// What a process needed at its start goes back to the system within a minute.
func TestWhatIsNotNeededIsGivenBackEachMinute(t *testing.T) {
	defer debug.SetGCPercent(100)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go thrift.Keep(ctx, 400) // so much that the collector does not run by itself
		synctest.Wait()
		needed := make([]byte, 64<<20)
		for at := 0; at < len(needed); at += 4096 {
			needed[at] = 1
		}
		runtime.KeepAlive(needed)
		before := released()
		time.Sleep(time.Minute)
		synctest.Wait()
		if after := released(); after < before+60<<20 {
			t.Errorf("%d MiB were given back, of 64 that nobody needs", (int64(after)-int64(before))>>20)
		}
	})
}

// released is what of the heap the system has back, in bytes.
func released() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapReleased
}
