package role

import (
	"fmt"
	"os/exec"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"

	"havre/internal/problem"
)

// startNarrow starts a process that gains no right any more, whatever program
// it runs: it has a bounding set of caps and no others, and no new privileges.
// Both belong to a thread and are inherited.
// Errors: Failed when the rights cannot be taken away; then it is not started.
func startNarrow(cmd *exec.Cmd, caps []uintptr) error {
	return onThreadOfItsOwn(func() error {
		if err := narrow(caps); err != nil {
			return err
		}
		return cmd.Start()
	})
}

// onThreadOfItsOwn has a thread do something, and ends it.
func onThreadOfItsOwn(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // where it is not unlocked the thread goes with the goroutine
		if unix.Gettid() != unix.Getpid() {
			done <- do()
			return
		}
		err := onThreadOfItsOwn(do) // the first thread cannot end; while we hold it, it is not taken again
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

// narrow takes from the thread what its children may not have (prctl(2)).
func narrow(caps []uintptr) error {
	for c := uintptr(0); ; c++ {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
		if err == unix.EINVAL {
			break // the kernel knows no more
		}
		if err == nil && has == 1 && !slices.Contains(caps, c) {
			err = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		}
		if err != nil {
			return tooWide(fmt.Errorf("capability %d: %w", c, err))
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return tooWide(err)
	}
	return nil
}

func tooWide(err error) error {
	return problem.New(problem.Failed, "take rights away from a process before it starts").Because(err).
		With("let havre up have CAP_SETPCAP: systemctl show -p CapabilityBoundingSet havre")
}
