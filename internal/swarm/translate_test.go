package swarm_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"havre/internal/service"
	"havre/internal/spec"
	"havre/internal/swarm"
)

const node = spec.NodeID("aaaaaaaaaaaaaaaaaaaaaaaaa")

// example has a value in every field.
func example() service.Desired {
	return service.Desired{
		Environment: "prod", Project: "aaaaaaa2", ID: "bbbbbbb2", Rollout: 3,
		Network: "nnnnnnnnnnnnnnnnnnnnnnnnn", Joins: []service.Join{{Network: "mmmmmmmmmmmmmmmmmmmmmmmmm", Aliases: []string{"db"}}}, Image: "sha256:1234",
		Variables:  []string{"A=b"},
		CheckStart: time.Minute, Binds: []service.Bind{{Source: "/volume/data", Target: "/vol/rw", ReadOnly: true}},
		Files:   []service.File{{ConfigID: "ccccccccccccccccccccccccc", ConfigName: "h-aaaaaaa2-x", Target: "/etc/x", Mode: 0o400, UID: 33, GID: 34, Content: []byte("x")}},
		Secrets: []service.SecretFile{{SecretID: "ddddddddddddddddddddddddd", SecretName: "h-aaaaaaa2-y", Target: "/run/secrets/y", UID: 33, GID: 34, Mode: 0o400}},
		Spec: spec.Service{
			Name: "web", Image: "web:1", Entrypoint: []string{"/init"}, Command: []string{"run"},
			Environment: map[string]string{"A": "b"},
			Ports:       []spec.Port{{Internal: 80, External: 8080, Protocol: spec.TCP, Access: spec.Public}},
			Expose:      []uint16{9000},
			Mounts:      []spec.Mount{{Kind: spec.Tmpfs, Target: "/run", Size: 1 << 20, ReadOnly: true, From: "./run"}},
			Needs:       []spec.Need{{Service: "db", Condition: spec.Healthy}},
			Links:       []spec.Link{{To: "db"}},
			Aliases:     []string{"www"},
			Health:      &spec.Health{Test: []string{"CMD", "/ok"}, Interval: 1e9, Timeout: 2e9, Start: 3e9, Retries: 4},
			Replicas:    2,
			Limits:      spec.Limits{Memory: 64 << 20, CPUs: 0.5, Pids: 100},
			Reserve:     spec.Limits{Memory: 32 << 20, CPUs: 0.25},
			Restart:     spec.Restart{Policy: spec.OnFailure, Attempts: 5},
			User:        "33:33", WorkingDir: "/srv", Hostname: "host", ReadOnly: true, Init: true, InitHook: []string{"/seed"}, InitTimeout: 5, UpgradeHook: []string{"/migrate"}, UpgradeTimeout: 5,
			Labels: map[string]string{"who": "me"}, StopSignal: "SIGINT", StopGrace: spec.Duration(time.Minute), Order: spec.StopFirst,
			Domains: []spec.Domain{{Host: "example.com"}}, Access: spec.Private, Priority: 1, Disabled: true, Shared: true, Keys: []spec.Key{{Text: "ssh-ed25519 AAAA"}},
			Groups: []string{"www"}, TTY: true, Stdin: true, CapAdd: []string{"NET_ADMIN"}, CapDrop: []string{"CHOWN"}, Ulimits: []spec.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}},
			Sysctls: map[string]string{"net.core.somaxconn": "1024"}, Hosts: []spec.Host{{Name: "a", Address: "192.0.2.1"}},
			DNS: spec.DNS{Servers: []string{"192.0.2.53"}, Search: []string{"example"}, Options: []string{"ndots:2"}}, Log: spec.Log{Size: 1 << 20, Files: 2},
		},
	}
}

// notForSwarm are the fields of a service that others deal with: what comes
// in another field of Desired, and what routes and people see.
var notForSwarm = map[string]string{
	"Image":          "Desired.Image",
	"Pull":           "project, before the deploy",
	"Environment":    "Desired.Variables",
	"Links":          "Desired.Variables",
	"Ports":          "the ingress",
	"Expose":         "the ingress",
	"Domains":        "the ingress",
	"Access":         "the ingress",
	"InitHook":       "a swarm service of its own",
	"UpgradeHook":    "a swarm service of its own",
	"InitTimeout":    "the loop",
	"UpgradeTimeout": "the loop",
	"Front":          "the ingress",
	"Needs":          "the loop",
	"Priority":       "the loop",
	"Disabled":       "project, by no replicas",
	"Shared":         "deploy, before there are several",
	"Keys":           "the gateway",
}

func TestEveryFieldArrives(t *testing.T) {
	arrive(t, example().Spec, notForSwarm, func(s spec.Service) service.Desired {
		d := example()
		d.Spec = s
		return d
	})
	arrive(t, example(), nil, func(d service.Desired) service.Desired { return d })
	arrive(t, *example().Spec.Health, map[string]string{"Start": "Desired.CheckStart"}, func(h spec.Health) service.Desired {
		d := example()
		d.Spec.Health = &h
		return d
	})
	arrive(t, example().Spec.Limits, nil, func(l spec.Limits) service.Desired {
		d := example()
		d.Spec.Limits = l
		return d
	})
	arrive(t, example().Spec.Restart, nil, func(r spec.Restart) service.Desired {
		d := example()
		d.Spec.Restart = r
		return d
	})
	arrive(t, example().Spec.DNS, nil, func(n spec.DNS) service.Desired {
		d := example()
		d.Spec.DNS = n
		return d
	})
	arrive(t, example().Spec.Log, nil, func(l spec.Log) service.Desired {
		d := example()
		d.Spec.Log = l
		return d
	})
	arrive(t, example().Spec.Ulimits[0], nil, func(u spec.Ulimit) service.Desired {
		d := example()
		d.Spec.Ulimits = []spec.Ulimit{u}
		return d
	})
	arrive(t, example().Spec.Hosts[0], nil, func(h spec.Host) service.Desired {
		d := example()
		d.Spec.Hosts = []spec.Host{h}
		return d
	})
	arrive(t, example().Binds[0], nil, func(b service.Bind) service.Desired {
		d := example()
		d.Binds = []service.Bind{b}
		return d
	})
	arrive(t, example().Files[0], map[string]string{"Content": "the config"}, func(f service.File) service.Desired {
		d := example()
		d.Files = []service.File{f}
		return d
	})
	arrive(t, example().Secrets[0], nil, func(s service.SecretFile) service.Desired {
		d := example()
		d.Secrets = []service.SecretFile{s}
		return d
	})
	arrive(t, example().Spec.Mounts[0], map[string]string{"Source": "a tmpfs has none", "From": "the loop, when the volume is made", "UID": "Desired.Secrets", "GID": "Desired.Secrets", "Mode": "Desired.Secrets"}, func(m spec.Mount) service.Desired {
		d := example()
		d.Spec.Mounts = []spec.Mount{m}
		return d
	})
}

// arrive takes each field of full away and looks whether the swarm notices.
func arrive[T any](t *testing.T, full T, elsewhere map[string]string, in func(T) service.Desired) {
	t.Helper()
	whole := translated(t, in(full))
	of := reflect.TypeOf(full)
	for i := range of.NumField() {
		name := of.Field(i).Name
		less := full
		field := reflect.ValueOf(&less).Elem().Field(i)
		if field.IsZero() && elsewhere[name] == "" {
			t.Errorf("the example leaves %s.%s empty; give it a value", of.Name(), name)
		}
		field.SetZero()
		arrives := translated(t, in(less)) != whole
		if arrives == (elsewhere[name] != "") {
			t.Errorf("%s.%s: arrives in the swarm: %v", of.Name(), name, arrives)
		}
	}
}

func translated(t *testing.T, d service.Desired) string {
	t.Helper()
	text, err := json.Marshal(swarm.Translate(d, node))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTranslationSaysWhatTheGuardWants(t *testing.T) {
	d := example()
	d.Spec.CapAdd, d.Spec.CapDrop, d.Spec.Log = nil, nil, spec.Log{}
	s := swarm.Translate(d, node)
	c := s.TaskTemplate.ContainerSpec
	if s.Name != "h-aaaaaaa2-bbbbbbb2-r3" || s.EndpointSpec.Mode != "dnsrr" || *s.Mode.Replicated.Replicas != 2 {
		t.Errorf("service is %+v", s)
	}
	if got := s.TaskTemplate.Networks[0].Aliases; !slices.Equal(got, []string{"web", "www"}) {
		t.Errorf("aliases are %v", got)
	}
	if !slices.Equal(c.CapabilityDrop, []string{"CAP_NET_RAW", "CAP_MKNOD"}) || c.CapabilityAdd != nil || c.Privileges != nil {
		t.Errorf("capabilities are %v and %v", c.CapabilityAdd, c.CapabilityDrop)
	}
	if d := s.TaskTemplate.LogDriver; d.Name != "local" || d.Options["max-size"] != "10m" || d.Options["max-file"] != "3" {
		t.Errorf("log driver is %+v", d)
	}
	if got := s.TaskTemplate.Placement.Constraints; !slices.Equal(got, []string{"node.id==" + string(node)}) {
		t.Errorf("constraints are %v", got)
	}
	want := map[string]string{"havre.kind": "service", "havre.env": "prod", "havre.project": "aaaaaaa2", "havre.service": "bbbbbbb2", "havre.rollout": "3"}
	if !reflect.DeepEqual(s.Labels, want) {
		t.Errorf("labels are %v", s.Labels)
	}
	want["who"] = "me"
	if !reflect.DeepEqual(c.Labels, want) {
		t.Errorf("the container's labels are %v", c.Labels)
	}
}

func TestGrantedCapabilityIsAddedAndNotDropped(t *testing.T) {
	d := example()
	d.Spec.CapAdd, d.Spec.CapDrop = []string{"NET_ADMIN", "NET_RAW"}, nil
	c := swarm.Translate(d, node).TaskTemplate.ContainerSpec
	if !slices.Equal(c.CapabilityAdd, []string{"CAP_NET_ADMIN", "CAP_NET_RAW"}) || !slices.Equal(c.CapabilityDrop, []string{"CAP_MKNOD"}) {
		t.Errorf("%v are added and %v dropped", c.CapabilityAdd, c.CapabilityDrop)
	}
}

func TestDroppedCapabilitiesAreThoseOfAllAndMore(t *testing.T) {
	for _, c := range []struct{ given, want []string }{
		{[]string{"CHOWN", "MKNOD"}, []string{"CAP_NET_RAW", "CAP_MKNOD", "CAP_CHOWN"}}, {[]string{"KILL", "ALL"}, []string{"ALL"}},
	} {
		d := example()
		d.Spec.CapDrop = c.given
		if got := swarm.Translate(d, node).TaskTemplate.ContainerSpec.CapabilityDrop; !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.given, got, c.want)
		}
	}
}

func TestLogSizesAreInWholeKilobytes(t *testing.T) {
	for size, want := range map[spec.Bytes]string{0: "10m", 1 << 10: "1k", 1025: "2k", 1 << 20: "1m", 1500 << 10: "1500k", 20<<20 + 1: "21m", 1 << 30: "1024m"} {
		d := example()
		d.Spec.Log.Size = size
		if got := swarm.Translate(d, node).TaskTemplate.LogDriver.Options["max-size"]; got != want {
			t.Errorf("%d: %s, want %s", size, got, want)
		}
	}
}

func TestRestartPoliciesTranslate(t *testing.T) {
	for policy, want := range map[spec.RestartPolicy]string{"": "any", spec.Always: "any", spec.OnFailure: "on-failure", spec.Never: "none"} {
		d := example()
		d.Spec.Restart = spec.Restart{Policy: policy}
		got := swarm.Translate(d, node).TaskTemplate.RestartPolicy
		if string(got.Condition) != want || *got.Delay != 10*time.Millisecond || got.MaxAttempts != nil {
			t.Errorf("%q: %+v, want %s", policy, got, want)
		}
	}
}

func TestServiceThatWritesOrIsToBeAloneStopsBeforeItsSuccessorStarts(t *testing.T) {
	d := example()
	if got := swarm.Translate(d, node).UpdateConfig.Order; got != "stop-first" {
		t.Errorf("as declared: %s", got)
	}
	d.Spec.Order = ""
	if got := swarm.Translate(d, node).UpdateConfig.Order; got != "start-first" {
		t.Errorf("without data: %s", got)
	}
	d.Spec.Mounts = append(d.Spec.Mounts, spec.Mount{Kind: spec.Volume, Source: "data", Target: "/vol/rw"})
	if got := swarm.Translate(d, node).UpdateConfig.Order; got != "stop-first" {
		t.Errorf("with data: %s", got)
	}
}

func TestVariablesAreNoTemplates(t *testing.T) {
	d := example()
	d.Variables = []string{"A={{.Node.ID}}", "B={{{{"}
	got := swarm.Translate(d, node).TaskTemplate.ContainerSpec.Env
	want := []string{`A={{"{{"}}.Node.ID}}`, `B={{"{{"}}{{"{{"}}`}
	if !slices.Equal(got, want) {
		t.Errorf("variables are %q, want %q", got, want)
	}
}

func TestGraceIsTenSecondsUnlessDeclared(t *testing.T) {
	d := example()
	d.Spec.StopGrace = 0
	if got := *swarm.Translate(d, node).TaskTemplate.ContainerSpec.StopGracePeriod; got != 10*time.Second {
		t.Errorf("grace is %s", got)
	}
}
