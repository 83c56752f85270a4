// Package thrift keeps a process small: beside an app that was asked for,
// memory of ours that was needed once, as at the start, is taken from somebody.
package thrift

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// Keep gives back each minute what this process does not need any more, until
// ctx ends. Slack is by how many percent of what is in use the heap grows before
// it is collected; as GOGC. The portal uses it, too: standard library only.
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
			_ = shed()           // what cannot be let go of does no harm where it is
		}
	}
}

// shed lets go of the pages of the program itself, code and tables, most of
// which only the start needed. Those in use come back from the file at their
// next use, in the cache still, some at a time.
func shed() error {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer smaps.Close()
	all, err := pristine(smaps, program)
	if err != nil {
		return err
	}
	for _, m := range all {
		// Not syscall.Madvise, which wants a slice: nothing may make one of code.
		if _, _, wrong := syscall.Syscall(syscall.SYS_MADVISE, m.start, m.end-m.start, syscall.MADV_DONTNEED); wrong != 0 {
			return fmt.Errorf("let go of %x-%x: %w", m.start, m.end, wrong)
		}
	}
	return nil
}

// mapping is where something lies in memory.
type mapping struct{ start, end uintptr }

// pristine finds, in what /proc/PID/smaps says (proc(5)), where a file lies in
// memory just as it is on the disk: it cannot be written there, and nobody did.
// A debugger's breakpoint would be lost, and so would an address that was put in
// at the start of a program that may lie anywhere.
func pristine(smaps io.Reader, file string) (all []mapping, err error) {
	var at *mapping // nil: of something else
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		field := strings.Fields(lines.Text())
		switch {
		case len(field) >= 5 && !strings.HasSuffix(field[0], ":"):
			at = nil
			_, path, _ := strings.Cut(lines.Text(), "/")
			if rights := field[1]; "/"+path != file || rights[0] != 'r' || rights[1] != '-' || rights[3] != 'p' {
				continue
			}
			at = new(mapping)
			if _, err := fmt.Sscanf(field[0], "%x-%x", &at.start, &at.end); err != nil {
				return nil, fmt.Errorf("a mapping's addresses are %q: %w", field[0], err)
			}
		case at != nil && len(field) == 3 && field[0] == "Anonymous:" && field[1] == "0":
			all = append(all, *at)
		}
	}
	return all, lines.Err()
}
