package script_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// talk is the command "pty CODE FILE COMMAND…": it runs a command on a terminal
// of 24 by 80 and has the conversation in FILE with it: "> text" waits for
// text, "< text" types it and a newline, "<< text" types it alone, "# 50 132"
// resizes the terminal. All that was shown is in the file "screen" afterwards.
func talk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: pty CODE FILE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	mine, theirs, err := openPTY()
	ts.Check(err)
	defer mine.Close()
	resize(ts, mine, 24, 80)
	program, err := lookup(ts, args[2])
	ts.Check(err)
	cmd := exec.Command(program, args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.Dir, cmd.Env = ts.Getenv("WORK"), environ(ts)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	ts.Check(cmd.Start())
	theirs.Close()
	watchdog := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	shown := &bytes.Buffer{}
	for _, step := range strings.Split(strings.TrimSpace(ts.ReadFile(args[1])), "\n") {
		if err := converse(ts, mine, shown, step); err != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			ts.Fatalf("at %q: %v; the screen shows:\n%s", step, err, shown)
		}
	}
	_, _ = shown.ReadFrom(mine) // ends with an error when the last program has closed the terminal
	_ = cmd.Wait()              // its code is looked at below
	ts.Check(os.WriteFile(ts.MkAbs("screen"), bytes.ReplaceAll(shown.Bytes(), []byte("\r\n"), []byte("\n")), 0o600))
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit code %d, want %d; the screen shows:\n%s", got, want, shown)
	}
}

func converse(ts *testscript.TestScript, mine *os.File, shown *bytes.Buffer, step string) error {
	verb, rest, _ := strings.Cut(step, " ")
	switch verb {
	case ">":
		from := shown.Len()
		b := make([]byte, 4096)
		for !strings.Contains(shown.String()[from:], rest) {
			n, err := mine.Read(b)
			shown.Write(b[:n])
			if err != nil {
				return err
			}
		}
	case "<", "<<":
		if verb == "<" {
			rest += "\n"
		}
		_, err := mine.WriteString(rest)
		return err
	case "#":
		var rows, cols uint16
		if _, err := fmt.Sscan(rest, &rows, &cols); err != nil {
			return err
		}
		resize(ts, mine, rows, cols)
	default:
		return fmt.Errorf("no such step")
	}
	return nil
}

func openPTY() (mine, theirs *os.File, err error) {
	mine, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(mine.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(mine.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		mine.Close()
		return nil, nil, err
	}
	return mine, theirs, nil
}

func resize(ts *testscript.TestScript, mine *os.File, rows, cols uint16) {
	ts.Check(unix.IoctlSetWinsize(int(mine.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}))
}

// lookup finds a program on the script's own path.
func lookup(ts *testscript.TestScript, name string) (string, error) {
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), ":") {
		file := dir + "/" + name
		if info, err := os.Stat(file); err == nil && !info.IsDir() {
			return file, nil
		}
	}
	return "", fmt.Errorf("no program %s", name)
}

func environ(ts *testscript.TestScript) []string {
	var all []string
	for _, name := range []string{"PATH", "HOME", "HAVRE_URL", "HAVRE_TOKEN", "HAVRE_ENV", "TERM"} {
		if v := ts.Getenv(name); v != "" {
			all = append(all, name+"="+v)
		}
	}
	return all
}
