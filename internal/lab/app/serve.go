package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// The environment of serve. Unset means no, unless said otherwise.
//
//	VERSION=v1          what it answers; default v1
//	HTTP=8080,80        ports; default 8080; "none" for none
//	TCP=25,143          ports that greet with "VERSION CLIENT-ADDRESS" and echo lines
//	UDP=514             ports that answer "VERSION what-was-said", and print lines of syslog
//	DNS=53              UDP ports of a name server that knows one address
//	LISTEN=127.0.0.1    default all addresses
//	CRASH=3             exit at once with this code, after PRINT
//	START_DELAY=2s      listen only then
//	EXIT_AFTER=3s       exit then, with EXIT_CODE (default 0)
//	UNHEALTHY=1         /health answers 503
//	CHECK_TAKES=2s      how long healthcheck waits before it asks
//	WRITE=/vol/rw/log   append VERSION to this file at start
//	LOCK=/vol/rw/lock   hold this file alone; if another one does, leave LOCK.broken and end
//	PRINT=hello         print this line at start, and every PRINT_EVERY
//	IGNORE_TERM=1       do not end on SIGTERM
//	ALLOCATE=100        take so many MiB of memory
func serve() error {
	if text := os.Getenv("PRINT"); text != "" {
		fmt.Println(text)
		go every("PRINT_EVERY", func() { fmt.Println(text) })
	}
	if code := os.Getenv("CRASH"); code != "" {
		fmt.Fprintln(os.Stderr, "crash as told")
		return runOne("exit", code)
	}
	onTerm()
	go every("EXIT_AFTER", func() { _ = runOne("exit", setting("EXIT_CODE", "0")) })
	if file := os.Getenv("WRITE"); file != "" {
		if err := write(file, setting("VERSION", "v1")); err != nil {
			return err
		}
	}
	if file := os.Getenv("LOCK"); file != "" {
		if err := lock(file); err != nil {
			return err
		}
	}
	if mib, err := strconv.Atoi(setting("ALLOCATE", "0")); err == nil {
		allocate(mib)
	}
	if delay, err := time.ParseDuration(os.Getenv("START_DELAY")); err == nil {
		time.Sleep(delay)
	}
	return listen()
}

func onTerm() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for s := range signals {
			fmt.Println("got", s)
			if os.Getenv("IGNORE_TERM") == "" {
				os.Exit(0)
			}
		}
	}()
}

// every does nothing when the variable holds no duration.
func every(name string, do func()) {
	d, err := time.ParseDuration(os.Getenv(name))
	for err == nil {
		time.Sleep(d)
		do()
	}
}

// allocate takes memory that no collector gives back.
func allocate(mib int) {
	if mib > 0 {
		_, err := syscall.Mmap(-1, 0, mib<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_POPULATE)
		fmt.Println("allocated", mib, "MiB:", err)
	}
}

func listen() error {
	ended := make(chan error)
	for _, port := range ports("HTTP", "8080") {
		go func() { ended <- http.ListenAndServe(net.JoinHostPort(os.Getenv("LISTEN"), port), pages()) }()
	}
	for _, port := range ports("TCP", "none") {
		go func() { ended <- greet(net.JoinHostPort(os.Getenv("LISTEN"), port)) }()
	}
	for _, port := range ports("UDP", "none") {
		go func() { ended <- repeat(net.JoinHostPort(os.Getenv("LISTEN"), port)) }()
	}
	for _, port := range ports("DNS", "none") {
		go func() { ended <- names(net.JoinHostPort(os.Getenv("LISTEN"), port)) }()
	}
	fmt.Println("listening")
	return <-ended
}

// pages answers VERSION everywhere but at these paths.
func pages() http.Handler {
	var ill atomic.Bool
	ill.Store(os.Getenv("UNHEALTHY") != "")
	mux := http.NewServeMux()
	page := func(path string, answer func(r *http.Request, arg string) string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, answer(r, r.FormValue("arg")))
		})
	}
	page("/", func(*http.Request, string) string { return setting("VERSION", "v1") })
	page("/remote", func(r *http.Request, _ string) string { return r.RemoteAddr })
	page("/header", func(r *http.Request, name string) string { return r.Header.Get(name) })
	page("/host", func(r *http.Request, _ string) string { return r.Host })
	page("/hostname", func(*http.Request, string) string { name, _ := os.Hostname(); return name })
	page("/env", func(_ *http.Request, name string) string { return os.Getenv(name) })
	page("/dial", func(_ *http.Request, address string) string { return dial(address) })
	page("/print", func(_ *http.Request, line string) string { fmt.Println(line); return line })
	page("/sleep", func(_ *http.Request, d string) string { return fmt.Sprint(runOne("sleep", d)) })
	page("/allocate", func(_ *http.Request, n string) string { mib, _ := strconv.Atoi(n); allocate(mib); return n })
	page("/exit", func(_ *http.Request, code string) string { return fmt.Sprint(runOne("exit", code)) })
	page("/ill", func(_ *http.Request, arg string) string { ill.Store(arg != "no"); return arg })
	page("/write", func(r *http.Request, file string) string { return fmt.Sprint(write(file, r.FormValue("text"))) })
	mux.HandleFunc("/post", post)
	mux.HandleFunc("/chat", chat)
	mux.HandleFunc("/cat", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, r.FormValue("arg")) })
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		if ill.Load() {
			http.Error(w, "ill as told", http.StatusServiceUnavailable)
		}
	})
	return mux
}

func greet(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go echo(conn)
	}
}

func echo(conn net.Conn) {
	defer conn.Close()
	fmt.Fprintln(conn, setting("VERSION", "v1"), conn.RemoteAddr())
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if _, err := io.WriteString(conn, lines.Text()+"\n"); err != nil {
			return
		}
	}
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func first(list string) string { one, _, _ := strings.Cut(list, ","); return one }

func ports(name, otherwise string) []string {
	list := setting(name, otherwise)
	if list == "none" {
		return nil
	}
	return strings.Split(list, ",")
}
