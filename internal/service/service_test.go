package service_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"havre/internal/service"
	"havre/internal/spec"
)

func TestLinkVariablesNameTheOther(t *testing.T) {
	got := service.LinkVariables("mail-1", []uint16{143, 25})
	want := []string{
		"MAIL_1_PORT=tcp://mail-1:25",
		"MAIL_1_PORT_143_TCP=tcp://mail-1:143",
		"MAIL_1_PORT_143_TCP_ADDR=mail-1",
		"MAIL_1_PORT_143_TCP_PORT=143",
		"MAIL_1_PORT_143_TCP_PROTO=tcp",
		"MAIL_1_PORT_25_TCP=tcp://mail-1:25",
		"MAIL_1_PORT_25_TCP_ADDR=mail-1",
		"MAIL_1_PORT_25_TCP_PORT=25",
		"MAIL_1_PORT_25_TCP_PROTO=tcp",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := service.LinkVariables("mail", nil); got != nil {
		t.Errorf("of nothing: %q", got)
	}
}

func full() spec.Service {
	return spec.Service{
		Name: "web", Image: "app:1", Pull: spec.PullAlways, Entrypoint: []string{"/a"}, Command: []string{"b"}, Environment: map[string]string{"A": "1"},
		Ports:  []spec.Port{{Internal: 80, External: 8080, Protocol: spec.TCP, Access: spec.Public}, {Internal: 25, External: 25, Protocol: spec.TCP, Access: spec.Public}},
		Expose: []uint16{81}, Mounts: []spec.Mount{{Kind: spec.Volume, Source: "data", Target: "/data"}},
		Needs: []spec.Need{{Service: "db", Condition: spec.Started}}, Links: []spec.Link{{To: "db"}}, Aliases: []string{"www"},
		Health: &spec.Health{Test: []string{"CMD", "true"}}, Replicas: 2, Limits: spec.Limits{Memory: 1 << 30}, Reserve: spec.Limits{CPUs: 1},
		Restart: spec.Restart{Policy: spec.OnFailure}, User: "www", WorkingDir: "/srv", Hostname: "web", ReadOnly: true, Init: true, InitHook: []string{"/seed"}, UpgradeHook: []string{"/migrate"}, InitTimeout: 5, UpgradeTimeout: 5,
		Labels: map[string]string{"a": "b"}, StopSignal: "SIGINT", StopGrace: 3, Order: spec.StopFirst, Domains: []spec.Domain{{Host: "a.example"}},
		Access: spec.Private, Front: spec.Front{Strip: true}, Priority: 4, Disabled: true, Shared: true, Keys: []spec.Key{{Text: "ssh-ed25519 AAAA"}},
		Groups: []string{"www"}, TTY: true, Stdin: true, CapAdd: []string{"NET_ADMIN"}, CapDrop: []string{"ALL"}, Ulimits: []spec.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}},
		Sysctls: map[string]string{"net.core.somaxconn": "1024"}, Hosts: []spec.Host{{Name: "a", Address: "192.0.2.1"}},
		DNS: spec.DNS{Options: []string{"ndots:2"}}, Log: spec.Log{Files: 2},
	}
}

// What a container cannot notice must not make a new one.
var unnoticed = map[string]bool{"Pull": true, "Order": true, "InitHook": true, "InitTimeout": true, "UpgradeHook": true, "UpgradeTimeout": true, "Needs": true, "Replicas": true, "Disabled": true, "Shared": true, "Domains": true, "Access": true, "Front": true, "Priority": true, "Keys": true}

func TestDigestIsOfWhatAContainerNotices(t *testing.T) {
	whole := service.Digest(full(), "sha256:a", nil, nil)
	v := reflect.ValueOf(full())
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if v.Field(i).IsZero() {
			t.Errorf("full() leaves %s empty; give it a value", name)
		}
		without := full()
		reflect.ValueOf(&without).Elem().Field(i).SetZero()
		if same := service.Digest(without, "sha256:a", nil, nil) == whole; same != unnoticed[name] {
			t.Errorf("without %s the digest is the same: %v", name, same)
		}
	}
	files := []spec.File{{Name: "a", Content: []byte("1")}}
	if service.Digest(full(), "sha256:b", nil, nil) == whole || service.Digest(full(), "sha256:a", files, nil) == whole {
		t.Error("another image or file has the same digest")
	}
}

func TestDigestOfPortsIsOfTheirInnerSide(t *testing.T) {
	whole := service.Digest(full(), "", nil, nil)
	for says, change := range map[string]func(*spec.Service){
		"another outer number": func(s *spec.Service) { s.Ports[0].External = 9 },
		"another access":       func(s *spec.Service) { s.Ports[0].Access = spec.Localhost },
		"another order":        func(s *spec.Service) { s.Ports[0], s.Ports[1] = s.Ports[1], s.Ports[0] },
		"published twice": func(s *spec.Service) {
			s.Ports = append(s.Ports, spec.Port{Internal: 80, External: 81, Protocol: spec.TCP})
		},
	} {
		s := full()
		change(&s)
		if service.Digest(s, "", nil, nil) != whole {
			t.Errorf("%s makes a new container", says)
		}
	}
	s := full()
	s.Ports[0].Internal = 82
	if service.Digest(s, "", nil, nil) == whole {
		t.Error("another inner port has the same digest")
	}
}

func TestDigestLeavesItsArgumentAlone(t *testing.T) {
	s := full()
	service.Digest(s, "", nil, nil)
	if !reflect.DeepEqual(s, full()) {
		t.Error("it was changed")
	}
}

func TestSwarmNamesAreShortAndPlain(t *testing.T) {
	name := service.Desired{Project: "abcdefgh", ID: "12345678", Rollout: 999999}.Name()
	if !regexp.MustCompile(`^[a-z0-9-]{1,63}$`).MatchString(name) || name != "h-abcdefgh-12345678-r999999" {
		t.Errorf("got %s", name)
	}
}

func FuzzEnding(f *testing.F) {
	f.Add("task: non-zero exit (1)", "no\n", 1, true)
	f.Add("", "", 0, false)
	f.Fuzz(func(t *testing.T, err, log string, code int, oom bool) {
		for _, health := range []string{"", "unhealthy"} {
			says := service.Ending(service.Task{Error: err, HealthLog: log, ExitCode: code, OOM: oom, Health: health})
			if says == "" || strings.ContainsRune(says, '\n') || len(says) > 1300 {
				t.Errorf("%q is not a clause", says)
			}
		}
	})
}
