package docker_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
)

// confined has every field that narrows a container or changes what it knows.
const confined = `
services:
  s:
    image: checked:1
    entrypoint: []
    command: ["/app"]
    tty: true
    stdin_open: true
    group_add: [27]
    cap_drop: [ALL]
    cap_add: [CHOWN]
    ulimits: {nofile: {soft: 1234, hard: 5678}, memlock: 4096}
    sysctls: {net.core.somaxconn: 321}
    extra_hosts: ["db.example=192.0.2.1", "gate=host-gateway"]
    dns: 192.0.2.53
    dns_search: example.org
    dns_opt: ["timeout:7"]
    label_file: ./labels
    shm_size: 8m
    init: true
    stop_signal: SIGINT
    stop_grace_period: 3s
    healthcheck: {interval: 2s, retries: 9}
    logging: {driver: local, options: {max-size: 2m, max-file: "4"}}
`

// inspected is what the engine says of a container.
type inspected struct {
	Path   string
	Args   []string
	Config struct {
		Tty, OpenStdin             bool
		StopSignal, Hostname, User string
		WorkingDir                 string
		Env                        []string
		Labels                     map[string]string
		Healthcheck                struct {
			Test     []string
			Interval time.Duration
			Timeout  time.Duration
			Retries  int

			StartPeriod time.Duration
		}
	}
	HostConfig struct {
		ReadonlyRootfs              bool
		Dns                         []string
		Memory, NanoCpus, PidsLimit int64
		LogConfig                   struct {
			Type   string
			Config map[string]string
		}
	}
}

// container gives the only container of a service.
func (h *havre) container(t *testing.T, name string) (api.Task, inspected) {
	t.Helper()
	s, err := h.service(t.Context(), name)
	if err != nil || len(s.Tasks) != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	var all []inspected
	if err := json.Unmarshal([]byte(h.world.Docker(t, "inspect", s.Tasks[0].Container)), &all); err != nil {
		t.Fatal(err)
	}
	return s.Tasks[0], all[0]
}

// What a person declares is so inside the container, on the real engine.
func TestConfinementIsPassedOn(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.write(t, "img/Dockerfile", "FROM app:1\nHEALTHCHECK --interval=1s CMD [\"/app\", \"healthcheck\"]\n")
	h.must(t, "image", "build", "-t", "checked:1", h.work+"/img")
	h.write(t, "confined/labels", "team=blue\n")
	h.apply(t, "confined", confined)
	inside := func(args ...string) string {
		return h.must(t, append([]string{"exec", "confined.s", "--", "/app"}, args...)...)
	}
	app := ""
	for _, pid := range []string{"1", "7", "8", "9"} { // the first is the init process
		if status := h.run(t, "exec", "confined.s", "--", "/app", "cat", "/proc/"+pid+"/status"); strings.Contains(status.out, "Name:\tapp") {
			app = status.out
			break
		}
	}
	has(t, "the app's rights", app, "CapBnd:\t0000000000000001", "Groups:\t", "27")
	limits := strings.Join(strings.Fields(inside("cat", "/proc/1/limits")), " ")
	has(t, "limits", limits, "Max open files 1234 5678", "Max locked memory 4096 4096")
	has(t, "somaxconn", inside("cat", "/proc/sys/net/core/somaxconn"), "321")
	hosts := inside("cat", "/etc/hosts")
	has(t, "hosts", hosts, "192.0.2.1\tdb.example", "\tgate")
	if strings.Contains(hosts, "host-gateway") {
		t.Errorf("the machine's address was not put in: %s", hosts)
	}
	has(t, "resolv.conf", inside("cat", "/etc/resolv.conf"), "search example.org", "timeout:7")
	has(t, "memory", inside("cat", "/proc/1/mountinfo"), "/dev/shm", "size=8192k")
	has(t, "the first process", inside("cat", "/proc/1/cmdline"), "init")
	_, c := h.container(t, "confined.s")
	if !c.Config.Tty || !c.Config.OpenStdin || c.Config.StopSignal != "SIGINT" || c.Config.Labels["team"] != "blue" || c.Path != "/app" || len(c.Args) > 0 {
		t.Errorf("%+v", c)
	}
	if check := c.Config.Healthcheck; fmt.Sprint(check.Test) != "[CMD /app healthcheck]" || check.Interval != 2*time.Second || check.Retries != 9 {
		t.Errorf("the image's test with other times: %+v", check)
	}
	if !slices.Equal(c.HostConfig.Dns, []string{"192.0.2.53"}) {
		t.Errorf("name servers: %v", c.HostConfig.Dns)
	}
	if l := c.HostConfig.LogConfig; l.Type != "local" || l.Config["max-size"] != "2m" || l.Config["max-file"] != "4" {
		t.Errorf("log %+v", l)
	}
	has(t, "logs of a terminal", h.must(t, "logs", "confined.s"), "listening")
}

// A declaration that changes in one of these is another container.
func TestChangedConfinementIsANewRollout(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "limited", "services: {s: {image: 'app:1', ulimits: {nofile: 1000}}}")
	h.apply(t, "limited", "services: {s: {image: 'app:1', ulimits: {nofile: 1001}}}")
	s, err := h.service(t.Context(), "limited.s")
	if err != nil || s.Rollout != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	limits := strings.Join(strings.Fields(h.must(t, "exec", "limited.s", "--", "/app", "cat", "/proc/1/limits")), " ")
	has(t, "limits", limits, "Max open files 1001 1001")
}

const declared = `
services:
  s:
    image: app:1
    entrypoint: ["/app", "serve"]
    environment: {A: b}
    user: "1000:1001"
    working_dir: /work
    hostname: name-of-its-own
    labels: {a: b}
    read_only: true
    tmpfs: ["/run:size=1m"]
    stop_grace_period: 7s
    restart: on-failure:4
    networks: {default: {aliases: [other-name]}}
    configs: [{source: c, target: /etc/c, mode: 0404}]
    volumes: ["data:/data:ro"]
    scale: 1
    pids_limit: 77
    cpus: 0.5
    mem_limit: 64m
    mem_reservation: 32m
    healthcheck: {test: [CMD, /app, healthcheck], interval: 1s, timeout: 4s, start_period: 2s, retries: 5}
configs: {c: {content: "of a config"}}
volumes: {data: {}}
`

// What a service declares of its process and its share of the machine.
func TestDeclarationIsPassedOn(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "declared", declared)
	_, c := h.container(t, "declared.s")
	if k := c.Config; k.Hostname != "name-of-its-own" || k.User != "1000:1001" || k.WorkingDir != "/work" || k.Labels["a"] != "b" || !strings.Contains(fmt.Sprint(k.Env), "A=b") ||
		c.Path != "/app" || !slices.Equal(c.Args, []string{"serve"}) {
		t.Errorf("%+v, %s %v", k, c.Path, c.Args)
	}
	if k := c.Config.Healthcheck; fmt.Sprint(k.Test) != "[CMD /app healthcheck]" || k.Interval != time.Second || k.Timeout != 4*time.Second || k.StartPeriod != 2*time.Second || k.Retries != 5 {
		t.Errorf("%+v", k)
	}
	if k := c.HostConfig; !k.ReadonlyRootfs || k.Memory != 64<<20 || k.NanoCpus != 5e8 || k.PidsLimit != 77 {
		t.Errorf("%+v", k)
	}
	inside := func(args ...string) string {
		return h.must(t, append([]string{"exec", "declared.s", "--", "/app"}, args...)...)
	}
	has(t, "the config", inside("cat", "/etc/c"), "of a config")
	mounts := inside("cat", "/proc/self/mountinfo")
	has(t, "memory", mounts, "size=1024k")
	for line := range strings.Lines(mounts) {
		if f := strings.Fields(line); len(f) > 5 && f[4] == "/data" && !strings.HasPrefix(f[5], "ro,") {
			t.Errorf("the volume can be written: %s", line)
		}
	}
	has(t, "the alias", inside("lookup", "other-name"), ".")
	var services []struct {
		Spec struct {
			TaskTemplate struct {
				ContainerSpec struct {
					StopGracePeriod time.Duration
					Configs         []struct{ File struct{ Mode uint32 } }
				}
				Resources     struct{ Reservations struct{ MemoryBytes int64 } }
				RestartPolicy struct {
					Condition   string
					MaxAttempts int
				}
			}
		}
	}
	text := h.world.Docker(t, "service", "inspect", c.Config.Labels["com.docker.swarm.service.id"])
	if err := json.Unmarshal([]byte(text), &services); err != nil {
		t.Fatal(err)
	}
	task := services[0].Spec.TaskTemplate
	if k := task.ContainerSpec; k.StopGracePeriod != 7*time.Second || len(k.Configs) != 1 || k.Configs[0].File.Mode != 0o404 {
		t.Errorf("%+v", k)
	}
	if task.Resources.Reservations.MemoryBytes != 32<<20 || task.RestartPolicy.Condition != "on-failure" || task.RestartPolicy.MaxAttempts != 4 {
		t.Errorf("%+v", task)
	}
}
