// Package thrift keeps a process small: beside an app that was asked for,
// memory of ours that was needed once, as at the start, is taken from somebody.
package thrift

import (
	"context"
	"runtime/debug"
	"time"
)

// Keep gives back each minute the memory that this process does not need any
// more, until ctx ends. Slack is by how many percent of what is in use the heap
// grows before it is collected; as GOGC. The portal uses it, too: standard
// library only.
func Keep(ctx context.Context, slack int) {
	debug.SetGCPercent(slack)
	every := time.NewTicker(time.Minute)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			debug.FreeOSMemory() // some milliseconds; the runtime by itself takes minutes and keeps a tenth
		}
	}
}
