package ingress_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"havre/internal/ingress"
	"havre/internal/route"
)

// childSettings makes the test program an ingress: as nobody with childUser,
// with few descriptors with childFiles.
const (
	childSettings = "HAVRE_TEST_INGRESS"
	childUser     = "HAVRE_TEST_USER"
	childFiles    = "HAVRE_TEST_FILES"
)

const (
	nobody = 65534
	few    = 60
)

func TestMain(m *testing.M) {
	if text := os.Getenv(childSettings); text != "" {
		go func() { // it must not outlive the test, however that ends
			io.Copy(io.Discard, os.Stdin)
			os.Exit(1)
		}()
		fmt.Fprintln(os.Stderr, beIngress(text))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func beIngress(text string) error {
	var its struct{ TableFile, ControlSocket, PortalDir, Bind string }
	if err := json.Unmarshal([]byte(text), &its); err != nil {
		return err
	}
	bind, err := netip.ParseAddr(its.Bind)
	if err != nil {
		return err
	}
	set := ingress.Settings{TableFile: its.TableFile, ControlSocket: its.ControlSocket, Dial: throughPortals(its.PortalDir), Ask: socketsOfPortals(its.PortalDir), Bind: bind}
	if os.Getenv(childUser) != "" { // not sooner: another user may not read the program
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			return err
		}
	}
	if os.Getenv(childFiles) != "" {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: few, Max: few}); err != nil {
			return err
		}
	}
	i, err := ingress.New(set)
	if err != nil {
		return err
	}
	return i.Run(context.Background())
}

// startChild runs the ingress in a process of its own until kill is called or
// the test ends.
func (w *world) startChild(env ...string) (kill func()) {
	w.t.Helper()
	text, err := json.Marshal(struct{ TableFile, ControlSocket, PortalDir, Bind string }{
		w.set.TableFile, w.set.ControlSocket, filepath.Join(w.dir, "portal"), "127.0.0.1",
	})
	if err != nil {
		w.t.Fatal(err)
	}
	c := exec.Command(os.Args[0])
	c.Env = append(append(os.Environ(), childSettings+"="+string(text)), env...)
	c.Stderr = os.Stderr
	if _, err := c.StdinPipe(); err != nil {
		w.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	kill = func() {
		c.Process.Kill()
		c.Wait()
	}
	w.t.Cleanup(kill)
	w.ready()
	return kill
}

// startNobody is startChild without any rights.
func (w *world) startNobody() {
	w.t.Helper()
	if os.Geteuid() != 0 {
		if mustRun() {
			w.t.Fatal("needs root, as HAVRE_NEED says")
		}
		w.t.Skip("only root can become somebody else")
	}
	if err := os.Chown(w.dir, nobody, nobody); err != nil {
		w.t.Fatal(err)
	}
	w.startChild(childUser + "=nobody")
}

func TestKilledIngressServesAgainWithoutTheServer(t *testing.T) {
	w, port := newWorld(t), freePort(t)
	table := onlyTCP(port, w.says("still here"))
	kill := w.startChild()
	w.must(table)
	for range 3 {
		kill()
		kill = w.startChild()
		if word, err := read(t, port); err != nil || word != "still here" {
			t.Fatalf("%q, %v", word, err)
		}
		if s := w.status(); s.Digest != table.Digest() || s.Version != 0 {
			t.Errorf("status = %+v", s)
		}
	}
}

// Kills while tables are put: afterwards there is one that was put, whole, and
// none older than the last that was answered.
func TestKillWhileTablesArePutLeavesAWholeOne(t *testing.T) {
	w, port := newWorld(t), freePort(t)
	hi := w.says("hi")
	number := func(n int) route.Table {
		table := onlyTCP(port, hi)
		table.TCP[0].Service = fmt.Sprintf("prod.mail.exim%d", n)
		return table
	}
	answered, next := 0, 1
	for range 5 {
		kill := w.startChild()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				if _, err := w.call("PUT", "/table", number(next).Encode()); err != nil {
					next++ // it may have been kept all the same
					return
				}
				answered = next
				next++
			}
		}()
		eventually(t, "a few tables", func() error {
			if v := w.status().Version; v < 5 {
				return fmt.Errorf("version %d", v)
			}
			return nil
		})
		kill()
		<-done
		b, err := os.ReadFile(w.set.TableFile)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := route.Parse(b)
		if err != nil {
			t.Fatalf("after a kill: %v", err)
		}
		if !kept.Equal(number(answered)) && !kept.Equal(number(answered+1)) {
			t.Fatalf("kept %s; answered %d", kept.TCP[0].Service, answered)
		}
	}
}

func TestSpoiltTableIsSaidAndReplacedByTheNext(t *testing.T) {
	w, port := newWorld(t), freePort(t)
	if err := os.WriteFile(w.set.TableFile, []byte(`{"tcp":[{"lis`), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	if s := w.status(); s.Problem == "" || len(s.Listeners) != 0 {
		t.Errorf("status = %+v", s)
	}
	w.must(onlyTCP(port, w.says("hi")))
	if word, err := read(t, port); err != nil || word != "hi" {
		t.Errorf("%q, %v", word, err)
	}
	if s := w.status(); s.Problem != "" {
		t.Errorf("it still says %q", s.Problem)
	}
}

// On a full disk an app that was replaced is served on.
func TestTableThatCannotBeKeptIsFollowedAndComplainedOf(t *testing.T) {
	w, port := open(t), freePort(t)
	if err := os.Mkdir(w.set.TableFile+".new", 0o700); err != nil { // in the way of every write
		t.Fatal(err)
	}
	if _, err := w.call("PUT", "/table", onlyTCP(port, w.says("hi")).Encode()); err == nil {
		t.Error("it was answered with success")
	}
	c, err := net.Dial("tcp", local(port))
	if err != nil {
		t.Fatalf("it is not followed: %v", err)
	}
	c.Close()
}

func TestKeptTableIsForItsOwnerAlone(t *testing.T) {
	w := open(t)
	w.must(route.Table{})
	i, err := os.Stat(w.set.TableFile)
	if err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v", i.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "table.json.new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

func TestTakenPortIsSaidWithItsHolder(t *testing.T) {
	w, free := open(t), freePort(t)
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	taken := uint16(other.Addr().(*net.TCPAddr).Port)
	hi := w.says("hi")
	problems := w.put(route.Table{TCP: []route.TCP{tcpRoute(taken, hi), tcpRoute(free, hi)}})
	want := fmt.Sprintf("port %d is taken by %s (pid %d)", taken, comm(t), os.Getpid())
	if len(problems) != 1 || problems[0].Says != want || problems[0].Listen != fmt.Sprintf(":%d/tcp", taken) ||
		problems[0].Service != "prod.mail.exim" || problems[0].Remedy == "" {
		t.Errorf("problems = %+v; want %q", problems, want)
	}
	if word, err := read(t, free); err != nil || word != "hi" {
		t.Errorf("the other port: %q, %v", word, err)
	}
	if l := w.listener(problems[0].Listen); l.State != route.Failed || l.Says != want {
		t.Errorf("status = %+v", l)
	}
	other.Close()
	eventually(t, "the port to be taken over", func() error {
		if l := w.listener(problems[0].Listen); l.State != route.Open {
			return fmt.Errorf("%+v", l)
		}
		return nil
	})
	if word, err := read(t, taken); err != nil || word != "hi" {
		t.Errorf("once it was free: %q, %v", word, err)
	}
}

func comm(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func TestHolderOfAnotherUserIsSaidByUser(t *testing.T) {
	w := newWorld(t)
	w.startNobody()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	port := uint16(other.Addr().(*net.TCPAddr).Port)
	want := fmt.Sprintf("port %d is taken by a process of user root", port)
	if p := w.put(onlyTCP(port)); len(p) != 1 || p[0].Says != want {
		t.Errorf("problems = %+v; want %q", p, want)
	}
}

func TestMissingRightToALowPortIsSaid(t *testing.T) {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil || strings.TrimSpace(string(b)) != "1024" {
		t.Skipf("low ports begin at %s here", b)
	}
	w := newWorld(t)
	w.startNobody()
	if p := w.put(onlyTCP(1)); len(p) != 1 || !strings.Contains(p[0].Says, "may not listen on port 1") {
		t.Errorf("problems = %+v", p)
	}
}

func TestIngressOutOfDescriptorsRecovers(t *testing.T) {
	w, port := newWorld(t), freePort(t)
	w.startChild(childFiles + "=few")
	w.must(onlyTCP(port, w.echoes()))
	talk(t, dial(t, port), "hello")
	var crowd []net.Conn // the kernel takes them, the ingress cannot
	defer func() {
		for _, c := range crowd {
			c.Close()
		}
	}()
	refused := 0
	for range 2 * few {
		c, err := net.Dial("tcp", local(port))
		if err != nil {
			refused++
			continue
		}
		crowd = append(crowd, c)
	}
	for _, c := range crowd[:min(few, len(crowd))] {
		c.SetDeadline(time.Now().Add(50 * time.Millisecond))
		if exchange(c, "me too") != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Error("there were descriptors for all; the test shows nothing")
	}
	for _, c := range crowd {
		c.Close()
	}
	eventually(t, "service as before", func() error {
		c, err := net.Dial("tcp", local(port))
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		return exchange(c, "and now")
	})
	w.must(route.Table{})
}
