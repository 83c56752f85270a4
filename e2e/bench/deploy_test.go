package bench_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const many = 20

// BenchmarkDeploy is apply beside docker stack deploy, and how soon a killed
// app answers again.
func BenchmarkDeploy(b *testing.B) {
	h := start(b)
	h.app(b)
	stack := h.file(b, "stack.yml", stackOf(8000))
	ours, theirs := portsFrom(7000), portsFrom(8000)
	project := h.file(b, "many.yml", projectOf(7000, many))

	add(b, row{what: "apply of 20 services until all answer", against: "docker stack deploy", unit: "s", least: 1.1, aim: 0.9},
		func() float64 {
			took := h.until(b, ours, func() { h.must(b, "apply", "-f", project, "-p", "many", "--yes") })
			h.must(b, "rm", "many/", "--yes")
			return took
		}, func() float64 {
			took := h.until(b, theirs, func() {
				h.world.Docker(b, "stack", "deploy", "--resolve-image", "never", "-c", stack, "many")
			})
			h.world.Docker(b, "stack", "rm", "many")
			h.untilNone(b, "many_")
			return took
		})

	h.must(b, "apply", "-f", project, "-p", "many", "--yes")
	add(b, row{what: "apply again, nothing changed, 20 services", against: "–", unit: "ms", least: 300, aim: 100},
		func() float64 {
			begin := time.Now()
			h.must(b, "apply", "-f", project, "-p", "many", "--yes")
			return time.Since(begin).Seconds() * 1000
		}, nil)

	network := strings.Fields(h.world.Docker(b, "network", "ls", "-q", "--filter", "label=havre.kind=network"))[0]
	h.world.Docker(b, "run", "-d", "--name", "alone", "--restart", "always", "--network", network, "-p", "8100:8080", "havre.invalid/prod/app:1")
	h.untilAll(b, []int{8100})
	add(b, row{what: "kill -9 of an app to its next answer", against: "docker run --restart=always", unit: "ms", least: 1.5, aim: 1.1},
		func() float64 { return h.kill(b, 7000, h.container(b, "s0")) },
		func() float64 { return h.kill(b, 8100, "alone") })
}

// until gives the seconds from the begin of deploy until all ports answer.
func (h *havre) until(b *testing.B, ports []int, deploy func()) float64 {
	b.Helper()
	begin := time.Now()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		deploy()
	}()
	h.untilAll(b, ports)
	took := time.Since(begin).Seconds()
	<-ended
	return took
}

// untilNone waits until the engine has forgotten a stack.
func (h *havre) untilNone(b *testing.B, prefix string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		if h.world.Docker(b, "ps", "-aq", "--filter", "name="+prefix) == "" && h.world.Docker(b, "network", "ls", "-q", "--filter", "name="+prefix) == "" {
			return
		}
		pause(ctx, 200*time.Millisecond)
	}
	b.Fatal("the stack does not go")
}

// kill ends the app's process as the kernel would for lack of memory, and
// gives the milliseconds until the port answers again. The engine waits longer
// before it starts what lived less than ten seconds; Swarm does not.
func (h *havre) kill(b *testing.B, port int, container string) float64 {
	b.Helper()
	pause(b.Context(), 11*time.Second)
	pid, err := strconv.Atoi(h.world.Docker(b, "inspect", "-f", "{{.State.Pid}}", container))
	if err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		b.Fatal(err)
	}
	h.untilAll(b, []int{port})
	return time.Since(begin).Seconds() * 1000
}

// container is the running one of a service, by the name that its task bears.
func (h *havre) container(b *testing.B, service string) string {
	b.Helper()
	for id := range strings.FieldsSeq(h.world.Docker(b, "ps", "-q", "--filter", "label=havre.kind=service")) {
		if strings.Contains(h.world.Docker(b, "inspect", "-f", "{{.Config.Env}}", id), "VERSION="+service+" ") {
			return id
		}
	}
	b.Fatalf("no container of %s runs", service)
	return ""
}

func portsFrom(first int) (all []int) {
	for i := range many {
		all = append(all, first+i)
	}
	return all
}

func projectOf(first, count int) string {
	text := "services:\n"
	for i := range count {
		text += fmt.Sprintf("  s%d:\n    image: app:1\n    environment: {VERSION: s%d, END: \"\"}\n    ports: [\"%d:8080\"]\n", i, i, first+i)
	}
	return text
}

func stackOf(first int) string {
	text := "version: \"3.8\"\nservices:\n"
	for i := range many {
		text += fmt.Sprintf("  s%d:\n    image: havre.invalid/prod/app:1\n    environment: {VERSION: s%d}\n    deploy: {endpoint_mode: dnsrr}\n"+
			"    ports: [{target: 8080, published: %d, mode: host}]\n", i, i, first+i)
	}
	return text
}
