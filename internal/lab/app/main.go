// Command app is the service that tests run in containers: one static program,
// well or badly behaved as its environment says, and the few tools that an
// image without a shell lacks.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const usage = `usage: app [serve]          as the environment says, see serve.go
       app healthcheck [PORT]  exit 0 when /health is well
       app dial ADDR           ok, refused or timeout
       app send ADDR DURATION  datagrams, as fast as it goes
       app lookup NAME         its addresses
       app sleep DURATION
       app print WORD...       each on a line
       app exit CODE
       app env [NAME...]
       app id                  uid and gid
       app tty                 size of the terminal, or none
       app cat [FILE...]       or standard input
       app write FILE TEXT     appends a line
       app ls DIR`

func main() {
	command, args := "serve", os.Args[1:]
	if path.Base(os.Args[0]) == "container_init" {
		command = "fill"
	}
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	if err := run(command, args); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

func run(command string, args []string) error {
	switch {
	case command == "serve":
		return serve()
	case command == "fill":
		return fill()
	case command == "healthcheck":
		return healthcheck(append(args, first(setting("HTTP", "8080")))[0])
	case command == "print":
		fmt.Println(strings.Join(args, "\n"))
		return nil
	case command == "env":
		return env(args)
	case command == "id":
		fmt.Println(os.Getuid(), os.Getgid())
		return nil
	case command == "tty":
		return tty()
	case command == "cat":
		return cat(args)
	case command == "write" && len(args) == 2:
		return write(args[0], args[1])
	case command == "send" && len(args) == 2:
		return send(args[0], args[1])
	case len(args) == 1:
		return runOne(command, args[0])
	}
	return errors.New(usage)
}

// runOne is run for the commands with one argument.
func runOne(command, arg string) error {
	switch command {
	case "dial":
		fmt.Println(dial(arg))
		return nil
	case "lookup":
		addresses, err := net.DefaultResolver.LookupHost(context.Background(), arg)
		fmt.Println(strings.Join(addresses, "\n"))
		return err
	case "sleep":
		d, err := time.ParseDuration(arg)
		time.Sleep(d)
		return err
	case "exit":
		code, err := strconv.Atoi(arg)
		if err == nil {
			os.Exit(code)
		}
		return err
	case "ls":
		entries, err := os.ReadDir(arg)
		for _, e := range entries {
			fmt.Println(e.Name())
		}
		return err
	}
	return errors.New(usage)
}

func healthcheck(port string) error {
	if takes, err := time.ParseDuration(os.Getenv("CHECK_TAKES")); err == nil {
		time.Sleep(takes)
	}
	client := http.Client{Timeout: 3 * time.Second}
	answer, err := client.Get("http://127.0.0.1:" + port + "/health")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	fmt.Printf("%s", text)
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// send gives way to others between datagrams: a test looks at what comes
// through, not at how much.
func send(address, duration string) error {
	d, err := time.ParseDuration(duration)
	if err != nil {
		return err
	}
	conn, err := net.Dial("udp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(200 * time.Microsecond) {
		_, _ = conn.Write([]byte("x")) // what is dropped may be told by an error
	}
	return nil
}

func dial(address string) string {
	conn, err := net.DialTimeout("tcp", address, 3*time.Second)
	var late net.Error
	switch {
	case err == nil:
		conn.Close()
		return "ok"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.As(err, &late) && late.Timeout():
		return "timeout"
	}
	return err.Error()
}

func env(names []string) error {
	if len(names) == 0 {
		fmt.Println(strings.Join(os.Environ(), "\n"))
	}
	for _, name := range names {
		value, ok := os.LookupEnv(name)
		if !ok {
			return fmt.Errorf("%s is not set", name)
		}
		fmt.Println(value)
	}
	return nil
}

func tty() error {
	var size struct{ rows, columns, x, y uint16 }
	for range 20 { // before Docker API 1.42 the size comes only after the start
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size))); errno != 0 {
			fmt.Println("none")
			return nil
		}
		if size.rows > 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Println(size.rows, size.columns)
	return nil
}

func cat(files []string) error {
	if len(files) == 0 {
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		fmt.Printf("%s", text)
	}
	return nil
}

func write(file, text string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, text)
	return errors.Join(err, f.Sync(), f.Close())
}
