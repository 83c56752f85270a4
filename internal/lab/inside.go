package lab

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// Command is exec.CommandContext in the world's network namespace. Files,
// users and process numbers are the host's. The process number is the
// program's own, and the world's end is its end.
func (w *World) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + w.Netns, "--", name}, args...)...)
}

// Do calls f on a thread in the world's network namespace. What f starts in
// other goroutines is outside again; sockets that it made stay inside. It must
// not end the test.
func (w *World) Do(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		result <- w.enter(f)
	}()
	return <-result
}

func (w *World) enter(f func() error) error {
	fd, err := unix.Open(w.Netns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", w.Netns, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", w.Netns, err)
	}
	return f()
}

// Dial connects from within the world. It has the form that http.Transport and
// others ask for. Names are looked up outside.
func (w *World) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	dialer := net.Dialer{FallbackDelay: -1} // a race of two addresses would leave the thread
	err = w.Do(func() error {
		conn, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen listens within the world.
func (w *World) Listen(ctx context.Context, network, address string) (l net.Listener, err error) {
	err = w.Do(func() error {
		l, err = new(net.ListenConfig).Listen(ctx, network, address)
		return err
	})
	return l, err
}
