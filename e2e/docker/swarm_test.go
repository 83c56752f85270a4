package docker_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/lab"
)

// stranger is somebody else's use of a swarm: a node with a mark, a service on a
// network where Havre would have its own, a secret and a config.
type stranger struct{ h *havre }

func moveIn(t *testing.T, h *havre) stranger {
	t.Helper()
	lab.ScratchImage(t, h.world, "theirs:1")
	for _, file := range []string{"secret", "config"} {
		h.world.Docker(t, file, "create", "theirs", h.write(t, file, "of theirs"))
	}
	h.world.Docker(t, "network", "create", "--driver", "overlay", "--attachable", "--subnet", "10.87.0.0/24", "theirs")
	h.world.Docker(t, "service", "create", "--detach", "--name", "theirs", "--network", "theirs", "--secret", "theirs", "--config", "theirs",
		"--endpoint-mode", "dnsrr", "--publish", "mode=host,published=18655,target=8080", "--env", "VERSION=theirs",
		h.world.Docker(t, "image", "inspect", "-f", "{{.Id}}", "theirs:1"))
	h.answers(t, "http://127.0.0.1:18655/", "theirs")
	return stranger{h}
}

// sees is all of it that Havre could change, the container's own id among it: a
// service that was touched has another.
func (s stranger) sees(t *testing.T) string {
	t.Helper()
	s.h.answers(t, "http://127.0.0.1:18655/", "theirs")
	var all strings.Builder
	for _, args := range [][]string{
		{"info", "-f", "{{.Swarm.NodeID}} {{.Swarm.Cluster.ID}} {{json .Swarm.Cluster.Spec}}"},
		{"node", "inspect", "self", "-f", "{{json .Spec}}"},
		{"swarm", "join-token", "-q", "manager"},
		{"service", "inspect", "theirs", "-f", "{{.ID}} {{.Version.Index}} {{json .Spec}}"},
		{"ps", "--no-trunc", "-q", "--filter", "label=com.docker.swarm.service.name=theirs"},
		{"network", "inspect", "theirs", "-f", "{{.Id}} {{json .IPAM.Config}}"},
		{"secret", "inspect", "theirs", "-f", "{{.ID}}"},
		{"config", "inspect", "theirs", "-f", "{{.ID}}"},
		{"image", "inspect", "theirs:1", "-f", "{{.Id}}"},
	} {
		all.WriteString(s.h.world.Docker(t, args...) + "\n")
	}
	return all.String()
}

// demoDown runs what "make demo-down" runs, on the Havre of the test.
func (h *havre) demoDown(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"demo-down.sh", "manners.sh", "engine.sh"} {
		text, err := os.ReadFile(filepath.Join("../../script", name))
		if err != nil {
			t.Fatal(err)
		}
		h.write(t, filepath.Join(dir, "script", name), string(text))
		if err := os.Chmod(filepath.Join(dir, "script", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(h.bin, filepath.Join(dir, "bin/havre")); err != nil {
		t.Fatal(err)
	}
	script := h.world.Command(t.Context(), "bash", filepath.Join(dir, "script/demo-down.sh"))
	script.Env = append(os.Environ(), "HOME="+h.home, "HAVRE_DATA="+h.data, "HAVRE_ENGINE="+h.world.Socket)
	out, err := script.CombinedOutput()
	if err != nil {
		t.Fatalf("demo-down: %v\n%s", err, out)
	}
	return string(out)
}

func (h *havre) swarmState(t *testing.T) string {
	t.Helper()
	return h.world.Docker(t, "info", "-f", "{{.Swarm.LocalNodeState}}")
}

// works has a service that answers, made and removed with its data.
func (h *havre) works(t *testing.T) {
	t.Helper()
	file := h.write(t, "one/compose.yml", "services: {web: {image: 'app:1', ports: ['18656:8080'], volumes: ['data:/data']}}\nvolumes: {data: {}}\n")
	h.must(t, "apply", "-f", file, "-p", "one", "--yes")
	h.answers(t, "http://127.0.0.1:18656/", "v1")
	if r := h.run(t, "apply", "-f", h.write(t, "two/compose.yml", "services: {web: {image: 'app:1', ports: ['18655:8080']}}"), "-p", "two", "--yes"); r.code != 2 {
		t.Errorf("a port of somebody's swarm service: exit code %d\n%s%s", r.code, r.out, r.errs)
	}
	h.must(t, "rm", "one/", "--volumes", "--yes")
}

// TestSwarmThatWasThereIsUsedAndStays has both cases on one engine: first Havre
// makes a swarm and takes it away again, then it comes to somebody else's.
func TestSwarmThatWasThereIsUsedAndStays(t *testing.T) {
	t.Parallel()
	h := alone(t)
	if has(t, "demo-down", h.demoDown(t), "gone: swarm "); h.swarmState(t) != "inactive" {
		t.Errorf("the swarm that Havre made is %s", h.swarmState(t))
	}
	h.demoDown(t) // may be run again

	h.world.Docker(t, "swarm", "init", "--advertise-addr", h.world.Address.String(), "--task-history-limit", "3")
	h.world.Docker(t, "node", "update", "--label-add", "rack=7", h.world.Docker(t, "info", "-f", "{{.Swarm.NodeID}}"))
	theirs := moveIn(t, h)
	before := theirs.sees(t)
	same := func(when string) {
		t.Helper()
		if after := theirs.sees(t); after != before {
			t.Errorf("%s:\n%s\nbefore:\n%s", when, after, before)
		}
	}
	h = start(t, h.world, h.world.Dir)
	h.works(t)
	same("after a service came and went")
	h.must(t, "down", "--data", h.data)
	same("after havre down")
	has(t, "demo-down of a Havre that is down", h.demoDown(t), "a swarm, which Havre did not make")
	same("after make demo-down")
	if left, err := exec.Command("find", h.data).CombinedOutput(); err == nil {
		t.Errorf("data are left:\n%s", left)
	}
}
