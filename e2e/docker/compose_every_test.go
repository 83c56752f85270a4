package docker_test

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// every has the fields that lead to other files and to kept data, and the long
// forms of those that have a short one.
const every = `
name: every
include: [{path: part/more.yml, project_directory: part, env_file: part/more.env}]
networks: {front: {}}
volumes: {data: {}, fresh: {}}
secrets: {told: {environment: EVERY_TOLD}, ours: {environment: EVERY_TOLD}, theirs: {environment: EVERY_TOLD}}
configs:
  filed: {file: ./filed.txt}
  spoken: {environment: EVERY_SPOKEN}
  bytes: {content: "", x-havre: {name: named.bin, base64: YnkAdGVz}}
services:
  s:
    extends: {file: base/base.yml, service: base}
    env_file: [{path: ./s.env, required: true}, {path: ./none.env, required: false}]
    networks: {front: {aliases: [in-front]}}
    secrets: [told]
    configs: [filed, {source: spoken, target: /etc/spoken}, {source: bytes, target: /etc/bytes}]
    healthcheck: {disable: true}
    depends_on: {absent: {condition: service_started, required: false}}
    ports: [{target: 8080, published: "18270", protocol: tcp, host_ip: 127.0.0.1}]
    volumes:
      - {type: volume, source: data, target: /data, read_only: true, volume: {nocopy: false}}
      - {type: bind, source: ./filed.txt, target: /etc/bound, read_only: true, bind: {create_host_path: false}}
      - {type: tmpfs, target: /fast, tmpfs: {size: 1048576}}
    deploy:
      replicas: 1
      restart_policy: {condition: on-failure, max_attempts: 3}
      resources:
        limits: {cpus: "0.5", memory: 48M, pids: 55}
        reservations: {cpus: "0.02", memory: 8M}
  chosen: {image: "app:1", profiles: [wanted], x-havre: {priority: 9}}
  left: {image: "app:1", profiles: [unwanted]}
  second: {image: "app:1", x-havre: {priority: 1}}
  reader:
    image: app:1
    user: "33:34"
    secrets: [{source: told, target: mine, uid: "33", mode: 0400}, {source: ours, gid: "34", mode: 0040}, {source: theirs, mode: 0400}]
  filled:
    image: app:1
    volumes: ["fresh:/vol/rw"]
    x-havre: {init: {command: [/app, write, /vol/rw/by, hand], timeout: 1m}}
`

// TestWhatOtherFilesSayIsPassedOn applies a file that is nothing without others.
func TestWhatOtherFilesSayIsPassedOn(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.write(t, "sick/Dockerfile", "FROM app:1\nHEALTHCHECK --interval=1s --retries=1 CMD [\"/app\", \"exit\", \"1\"]\n")
	h.must(t, "image", "build", "-t", "sick:1", h.work+"/sick")
	h.write(t, "every/base/base.yml", "services: {base: {image: 'sick:1', environment: {BASE: extended}}}\n")
	h.write(t, "every/part/more.yml", "services: {included: {image: 'app:1', environment: {MORE: '${MORE}'}, env_file: beside.env}}\n")
	h.write(t, "every/part/more.env", "MORE=of its own\n")
	h.write(t, "every/part/beside.env", "BESIDE=it\n")
	h.write(t, "every/filed.txt", "of a file\n")
	h.write(t, "every/s.env", "FILED=variable\n")
	cmd := h.command(t.Context(), "apply", "-f", h.write(t, "every/compose.yml", every), "--yes")
	cmd.Env = append(cmd.Env, "COMPOSE_PROFILES=wanted", "EVERY_TOLD=whispered", "EVERY_SPOKEN=aloud")
	h.removeLater(t, "every")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	env := func(service string) string { return h.must(t, "exec", service, "--", "/app", "env") }
	has(t, "variables", env("every.s"), "BASE=extended", "FILED=variable")
	has(t, "variables of what is included", env("every.included"), "MORE=of its own", "BESIDE=it")
	for file, want := range map[string]string{
		"/filed": "of a file\n", "/etc/bound": "of a file\n", "/etc/spoken": "aloud", "/etc/bytes": "by\x00tes", "/run/secrets/told": "whispered",
	} {
		h.sees(t, "every.s", file, want)
	}
	h.sees(t, "every.reader", "/run/secrets/mine", "whispered")
	h.sees(t, "every.reader", "/run/secrets/ours", "whispered")
	if r := h.run(t, "exec", "every.reader", "--", "/app", "cat", "/run/secrets/theirs"); r.code == 0 {
		t.Errorf("root's secret is read by somebody else: %s", r.out)
	}
	has(t, "the file's own name", h.must(t, "export", "every"), "named.bin")
	h.sees(t, "every.filled", "/vol/rw/by", "hand\n")
	has(t, "the network", h.inside(t, "every.included", "in-front:8080"), "ok")
	h.answers(t, "http://127.0.0.1:18270/", "v1")
	outside := &net.Dialer{Timeout: 3 * time.Second}
	if c, err := outside.DialContext(t.Context(), "tcp", net.JoinHostPort(h.world.Address.String(), "18270")); err == nil {
		c.Close()
		t.Error("a port that is bound to this machine is open to others")
	}
	if _, err := h.service(t.Context(), "every.left"); err == nil {
		t.Error("a service runs whose profile nobody chose")
	}
	h.seesEveryLongForm(t)
	if first, second := h.begun(t, "every.second"), h.begun(t, "every.chosen"); !first.Before(second) {
		t.Errorf("priority 1 was started at %s, priority 9 at %s", first, second)
	}
}

// seesEveryLongForm looks at the container of s and at its swarm service.
func (h *havre) seesEveryLongForm(t *testing.T) {
	t.Helper()
	_, c := h.container(t, "every.s")
	if test := fmt.Sprint(c.Config.Healthcheck.Test); test != "[NONE]" {
		t.Errorf("the image's check runs: %s", test)
	}
	if k := c.HostConfig; k.Memory != 48_000_000 && k.Memory != 48<<20 || k.NanoCpus != 5e8 || k.PidsLimit != 55 {
		t.Errorf("limits: %+v", k)
	}
	mounts := h.must(t, "exec", "every.s", "--", "/app", "cat", "/proc/self/mountinfo")
	for _, want := range []struct{ at, options string }{{"/data", "ro,"}, {"/fast", "rw,"}} {
		if !slices.ContainsFunc(strings.Split(mounts, "\n"), func(line string) bool {
			f := strings.Fields(line)
			return len(f) > 5 && f[4] == want.at && strings.HasPrefix(f[5], want.options)
		}) {
			t.Errorf("no mount at %s with %s in\n%s", want.at, want.options, mounts)
		}
	}
	has(t, "the tmpfs", mounts, "size=1024k")
	text := h.world.Docker(t, "service", "inspect", "-f", "{{json .Spec.TaskTemplate}}", c.Config.Labels["com.docker.swarm.service.id"])
	var task struct {
		Resources struct {
			Reservations struct{ NanoCPUs, MemoryBytes int64 }
		}
		RestartPolicy struct {
			Condition   string
			MaxAttempts int
		}
	}
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		t.Fatal(err)
	}
	if r := task.Resources.Reservations; r.NanoCPUs != 2e7 || r.MemoryBytes != 8_000_000 && r.MemoryBytes != 8<<20 {
		t.Errorf("reservations: %+v", r)
	}
	if p := task.RestartPolicy; p.Condition != "on-failure" || p.MaxAttempts != 3 {
		t.Errorf("restart policy: %+v", p)
	}
}

// begun is when the swarm got to know a service.
func (h *havre) begun(t *testing.T, name string) time.Time {
	t.Helper()
	_, c := h.container(t, name)
	at, err := time.Parse("2006-01-02 15:04:05.999999999 -0700 MST", strings.TrimSpace(
		h.world.Docker(t, "service", "inspect", "-f", "{{.CreatedAt}}", c.Config.Labels["com.docker.swarm.service.id"])))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Of these two a variable is what tells: which ports there are, and by which name.
func TestLinksTellThePortsThatAreAskedFor(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "exposed", `
services:
  web:
    image: app:1
    x-havre: {links: [{to: db, alias: store, ports: [8081]}, {to: cache}]}
  old: {image: "app:1", links: ["db:ancient"]}
  db: {image: "app:1", expose: ["8081-8082"], environment: {HTTP: "8081,8082"}}
  cache: {image: "app:1", expose: ["8083"], environment: {HTTP: "8083"}}
`)
	env := h.must(t, "exec", "exposed.web", "--", "/app", "env")
	has(t, "variables", env, "STORE_PORT_8081_TCP_ADDR=store", "CACHE_PORT_8083_TCP_ADDR=cache")
	if strings.Contains(env, "STORE_PORT_8082") {
		t.Errorf("a port is told that nobody asked for:\n%s", env)
	}
	has(t, "variables of the old form", h.must(t, "exec", "exposed.old", "--", "/app", "env"), "ANCIENT_PORT_8082_TCP_ADDR=ancient")
	has(t, "the link's name", h.inside(t, "exposed.web", "store:8082"), "ok")
}
