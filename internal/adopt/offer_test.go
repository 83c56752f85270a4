package adopt_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"havre/internal/adopt"
	"havre/internal/dockercall"
	"havre/internal/spec"
)

const (
	imageID = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	box     = "2222222222222222222222222222222222222222222222222222222222222222"
)

// found reads what an engine would say, in its own words.
func found(t *testing.T, text string) dockercall.Foreign {
	t.Helper()
	var f dockercall.Foreign
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	f.Images = map[dockercall.ImageID]dockercall.ForeignImage{imageID: {RepoTags: []string{"blog:1"}, Config: dockercall.ForeignConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"serve"}}}}
	return f
}

func container(more, host string) string {
	return `{"Containers":[{"Id":"` + box + `","Name":"/blog","Image":"` + imageID + `","State":{"Running":true},` + more + `"HostConfig":{"RestartPolicy":{"Name":"always"},` + host + `"NetworkMode":"bridge"}}]}`
}

func TestWhatContainersWouldBe(t *testing.T) {
	f := found(t, container(`"Config":{"Image":"blog:1","Hostname":"222222222222","Env":["PATH=/bin","A=$b"],"Cmd":["serve"],"StopTimeout":30,"Labels":{"mine":"1","com.docker.compose.x":"y"}},
		"Mounts":[{"Type":"volume","Name":"blog_data","Destination":"/data","RW":true},{"Type":"volume","Name":"`+box+`","Destination":"/anon","RW":true},
			{"Type":"bind","Source":"/srv/blog.conf","Destination":"/etc/blog.conf"},{"Type":"bind","Source":"/srv/media","Destination":"/media","RW":true}],`,
		`"Memory":67108864,"NanoCpus":500000000,"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"},{"HostPort":"8081"}]},"ShmSize":67108864,"SecurityOpt":["seccomp=x"],`))
	wish := adopt.Wish{Project: "blog", Environment: "prod", File: func(path string) ([]byte, bool) { return []byte("conf"), path == "/srv/blog.conf" }}
	o := adopt.From(f, wish)
	if len(o.Refused) > 0 {
		t.Fatal(o.Refused)
	}
	s := o.Project.Services[0]
	if s.Image != "blog:1" || len(s.Environment) != 1 || s.Environment["A"] != "$b" || s.Command != nil || s.Hostname != "" || len(s.Labels) != 1 || s.StopGrace == 0 ||
		s.Limits != (spec.Limits{Memory: 64 << 20, CPUs: 0.5}) || len(s.Ports) != 2 || s.Ports[0].Access != spec.Localhost || s.Ports[1].Access != spec.Public {
		t.Errorf("%+v", s)
	}
	if len(s.Mounts) != 3 || len(o.Moves) != 2 || o.Moves[0] != (adopt.Move{From: "blog_data", Name: "data"}) || o.Moves[1].Name != "data-22222222" || string(o.Project.Files[0].Content) != "conf" {
		t.Errorf("%+v, %+v, %+v", s.Mounts, o.Moves, o.Project.Files)
	}
	if lost := strings.Join(o.Lost, "\n"); !strings.Contains(lost, "/srv/media of the machine is not taken over") || !strings.Contains(lost, "seccomp=x") {
		t.Error(lost)
	}
	wish.TakeBinds = true
	if o = adopt.From(f, wish); len(o.Moves) != 3 || o.Moves[2] != (adopt.Move{Path: "/srv/media", Name: "srv-media"}) {
		t.Errorf("%+v", o.Moves)
	}
}

// What would make a container root, or cannot be kept, is refused by name.
func TestWhatCannotBeImportedIsRefusedWithItsReason(t *testing.T) {
	const config = `"Config":{"Image":"blog:1"},`
	for words, text := range map[string]string{
		"privileged":                     container(config, `"Privileged":true,`),
		"capability":                     container(config, `"CapAdd":["NET_ADMIN"],`),
		"device /dev/kvm":                container(config, `"Devices":[{"PathOnHost":"/dev/kvm"}],`),
		"processes with the machine":     container(config, `"PidMode":"host",`),
		"memory with container:x":        container(config, `"IpcMode":"container:x",`),
		"engine's socket":                container(config+`"Mounts":[{"Type":"bind","Source":"/var/run/docker.sock","Destination":"/s"}],`, ``),
		"mount of type npipe":            container(config+`"Mounts":[{"Type":"npipe","Destination":"/s"}],`, ``),
		"not on this machine any more":   strings.ReplaceAll(container(config, ``), `"Image":"`+imageID, `"Image":"sha256:3`),
		"nothing to import":              `{}`,
		"secret s":                       `{"Services":[{"ID":"a","Image":"` + imageID + `","Spec":{"Name":"x","TaskTemplate":{"ContainerSpec":{"Image":"blog:1","Secrets":[{"SecretName":"s"}]}}}}]}`,
		"has no name, so each container": `{"Services":[{"ID":"a","Image":"` + imageID + `","Spec":{"Name":"x","TaskTemplate":{"ContainerSpec":{"Image":"blog:1","Mounts":[{"Type":"volume","Target":"/d"}]}}}}]}`,
	} {
		o := adopt.From(found(t, text), adopt.Wish{Project: "p", Environment: "prod"})
		if !strings.Contains(strings.Join(o.Refused, "\n"), words) {
			t.Errorf("%s: %v", words, o.Refused)
		}
	}
}

// A name that means something else in the environment is left to it.
func TestImportTakesNobodysNames(t *testing.T) {
	f := found(t, container(`"Config":{"Image":"blog:1"},"Mounts":[{"Type":"volume","Name":"p_data","Destination":"/a"},{"Type":"volume","Name":"data","Destination":"/b"}],`, ``))
	o := adopt.From(f, adopt.Wish{Project: "p", Environment: "prod", Named: map[string]dockercall.ImageID{"blog:1": "sha256:other"}})
	if o.Images[0].Name != "blog:imported-11111111" || o.Project.Services[0].Image != o.Images[0].Name || o.Moves[0].Name == o.Moves[1].Name {
		t.Errorf("%+v %+v", o.Images, o.Moves)
	}
	o = adopt.From(f, adopt.Wish{Project: "p", Environment: "prod", Named: map[string]dockercall.ImageID{"blog:1": imageID}})
	if o.Images[0].Name != "blog:1" {
		t.Errorf("%+v", o.Images)
	}
}

func TestWhatAStackWouldBe(t *testing.T) {
	f := found(t, `{"Configs":{"c":"aGk="},"Services":[{"ID":"a","Image":"`+imageID+`","Spec":{"Name":"st_web","Labels":{"com.docker.stack.namespace":"st"},"Mode":{"Replicated":{"Replicas":3}},
		"EndpointSpec":{"Ports":[{"Protocol":"tcp","TargetPort":80,"PublishedPort":8080}]},
		"TaskTemplate":{"Resources":{"Limits":{"NanoCPUs":250000000,"MemoryBytes":33554432,"Pids":50}},"RestartPolicy":{"Condition":"on-failure","MaxAttempts":4},
		"ContainerSpec":{"Image":"blog:1@sha256:44","Env":["A=b"],"Hosts":["192.0.2.1 a.example"],"Configs":[{"ConfigID":"c","ConfigName":"st_conf","File":{"Name":"/etc/conf","Mode":288}}],
		"Mounts":[{"Type":"volume","Source":"st_data","Target":"/data"},{"Type":"tmpfs","Target":"/tmp"}]}}}}]}`)
	o := adopt.From(f, adopt.Wish{Project: "st", Environment: "prod"})
	if len(o.Refused) > 0 {
		t.Fatal(o.Refused)
	}
	s := o.Project.Services[0]
	if s.Name != "web" || s.Image != "blog:1" || s.Replicas != 3 || s.Ports[0].External != 8080 || s.Limits != (spec.Limits{CPUs: 0.25, Memory: 32 << 20, Pids: 50}) ||
		s.Restart != (spec.Restart{Policy: spec.OnFailure, Attempts: 4}) || s.Hosts[0] != (spec.Host{Name: "a.example", Address: "192.0.2.1"}) || len(s.Mounts) != 3 {
		t.Errorf("%+v", s)
	}
	if f := o.Project.Files[0]; f.Name != "conf" || string(f.Content) != "hi" || f.Mode != 0o440 || o.Moves[0].Name != "data" || o.Objects[0].Service != "a" {
		t.Errorf("%+v %+v %+v", f, o.Moves, o.Objects)
	}
}

// Whose update_config asked for stop-first is not started beside itself.
func TestOrderOfUpdatesIsTakenOver(t *testing.T) {
	for update, want := range map[string]spec.Order{
		"": "", `"UpdateConfig":{"Parallelism":2,"Order":"stop-first"},`: spec.StopFirst, `"UpdateConfig":{"Order":"start-first"},`: "",
	} {
		f := found(t, `{"Services":[{"ID":"a","Image":"`+imageID+`","Spec":{"Name":"x",`+update+`"TaskTemplate":{"ContainerSpec":{"Image":"blog:1"}}}}]}`)
		if o := adopt.From(f, adopt.Wish{Project: "p", Environment: "prod"}); len(o.Refused) > 0 || o.Project.Services[0].Order != want {
			t.Errorf("%s: %+v, %v", update, o.Project.Services[0], o.Refused)
		}
	}
}

func TestUDPPortsAreTakenOver(t *testing.T) {
	want := []spec.Port{
		{Internal: 53, External: 53, Protocol: spec.TCP, Access: spec.Public},
		{Internal: 53, External: 53, Protocol: spec.UDP, Access: spec.Public},
		{Internal: 514, External: 5514, Protocol: spec.UDP, Access: spec.Localhost},
	}
	box := container(`"Config":{"Image":"blog:1"},`, `"PortBindings":{"53/udp":[{"HostIp":"0.0.0.0","HostPort":"53"},{"HostIp":"::","HostPort":"53"}],"514/udp":[{"HostIp":"127.0.0.1","HostPort":"5514"}],"53/tcp":[{"HostPort":"53"}]},`)
	stack := `{"Services":[{"ID":"a","Image":"` + imageID + `","Spec":{"Name":"x","EndpointSpec":{"Ports":[{"Protocol":"tcp","TargetPort":53,"PublishedPort":53},{"Protocol":"udp","TargetPort":53,"PublishedPort":53}]},"TaskTemplate":{"ContainerSpec":{"Image":"blog:1"}}}}]}`
	for text, want := range map[string][]spec.Port{box: want, stack: want[:2]} {
		for range 5 { // in the same order each time
			o := adopt.From(found(t, text), adopt.Wish{Project: "dns", Environment: "prod"})
			if len(o.Refused) > 0 || !slices.Equal(o.Project.Services[0].Ports, want) {
				t.Fatalf("%+v, %v; want %+v", o.Project.Services[0].Ports, o.Refused, want)
			}
		}
	}
	sctp := found(t, container(`"Config":{"Image":"blog:1"},`, `"PortBindings":{"53/sctp":[{"HostPort":"53"}]},`))
	if o := adopt.From(sctp, adopt.Wish{Project: "dns", Environment: "prod"}); !strings.Contains(strings.Join(o.Refused, " "), "sctp") {
		t.Errorf("refused: %v", o.Refused)
	}
}
