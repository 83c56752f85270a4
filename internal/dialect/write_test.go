package dialect_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/dialect"
	"havre/internal/spec"
)

// again writes a project and reads what was written.
func again(t *testing.T, p spec.Project) (spec.Project, []byte) {
	t.Helper()
	text, _, err := dialect.Write(p)
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]string{} // secrets come by variables
	for _, s := range p.Secrets {
		given[strings.ToUpper(s.Name)], given[strings.ToUpper(s.Name)+"_2"] = "x", "x"
	}
	result, err := dialect.Read(t.Context(), dialect.Request{Files: []string{"-"}, Stdin: text, Dir: t.TempDir(), Env: given})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	official(t, p, text, given)
	kept := map[string]bool{} // that a directory is a volume is told each time, and is no complaint
	for _, s := range p.Services {
		for _, m := range s.Mounts {
			kept[m.From+" is kept as the volume "+m.Source+" of the project, which begins empty"] = m.From != ""
		}
	}
	for _, n := range result.Notes {
		if kept[n.Says] {
			continue
		}
		t.Errorf("the normal form is complained about: %s\n%s", n.Says, text)
	}
	return result.Project, text
}

func isAgain(t *testing.T, name string, p spec.Project) {
	t.Helper()
	back, text := again(t, p)
	if a, b := jsonOf(t, p), jsonOf(t, back); a != b {
		t.Errorf("%s: what was written means something else\nwas %s\nis  %s\n%s", name, a, b, text)
	}
	twice, _, err := dialect.Write(back)
	if err != nil || !bytes.Equal(text, twice) {
		t.Errorf("%s: written twice, written differently (%v)\n%s\n%s", name, err, text, twice)
	}
}

func jsonOf(t *testing.T, p spec.Project) string {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestNormalFormOfTheCorpusMeansTheSame(t *testing.T) {
	files, err := filepath.Glob("../../examples/compose/*.yml")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	geard, err := filepath.Glob("../../examples/*/*.json")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, file := range append(files, geard...) {
		result, err := dialect.Read(t.Context(), dialect.Request{Files: []string{file}, Project: "corpus", Env: map[string]string{"HOME": "/home/me"}})
		if err != nil {
			continue // the corpus has files that are refused; TestCorpusReadsWithNoSilentLoss says which
		}
		read++
		isAgain(t, file, result.Project)
	}
	if read < 40 {
		t.Errorf("only %d of the files could be read", read)
	}
}

// full is a project in which every field says something.
func full() spec.Project {
	return spec.Project{
		Name: "full", Secrets: []spec.Secret{{Name: "PASSWORD"}, {Name: "key", External: "shared.key"}, {Name: "password"}, {Name: "token", External: "token"}},
		Files: []spec.File{
			{Name: "conf", Content: []byte("a: $1\n b\n"), Mode: 0o444},
			{Name: "conf/d", Content: []byte("x\r\ny\t\x01 \n\n"), Mode: 0o600},
			{Name: "conf_d", Content: []byte{}, Mode: 0o755},
			{Name: "conf~", Content: []byte{0xff, 0, 0xfe}, Mode: 0o444},
		},
		Services: []spec.Service{
			{Name: "db", Image: "db:1", Replicas: 0, InitHook: []string{""}, Restart: spec.Restart{Policy: spec.OnFailure, Attempts: 3}, Expose: []uint16{5432}, Front: spec.Front{Proxy: spec.ProxyV2, Sticky: spec.ByAddress}, Order: spec.StartFirst},
			{
				Name: "web", Image: "host:5000/a/web:1@sha256:" + strings.Repeat("0a", 32), Pull: spec.PullAlways, Entrypoint: []string{""}, Command: []string{"sh", "-c", "echo $HOME\n\"'# x", ""},
				Environment: map[string]string{"A": "yes", "B": "", "C.d": " x: $$ ${Y} ", "N": "0123", "M": "a\nb\n"},
				Ports:       []spec.Port{{Internal: 80, External: 8080, Protocol: spec.TCP, Access: spec.Public}, {Internal: 81, Protocol: spec.TCP, Access: spec.Localhost}},
				Expose:      []uint16{80, 8000}, Mounts: []spec.Mount{
					{Kind: spec.Config, Source: "conf", Target: "/a", ReadOnly: true, UID: 33, GID: 34}, {Kind: spec.Config, Source: "conf/d", Target: "/b", ReadOnly: true},
					{Kind: spec.Config, Source: "conf_d", Target: "/c", ReadOnly: true}, {Kind: spec.Config, Source: "conf~", Target: "/d", ReadOnly: true},
					{Kind: spec.Volume, Source: "data.1", Target: "/data", ReadOnly: true}, {Kind: spec.Tmpfs, Target: "/dev/shm", Size: 1 << 20},
					{Kind: spec.Volume, Source: "other", Target: "/other dir"},
					{Kind: spec.SecretFile, Source: "PASSWORD", Target: "/run/secrets/PASSWORD", ReadOnly: true}, {Kind: spec.SecretFile, Source: "key", Target: "/run/secrets/k", ReadOnly: true, Mode: 0o400},
					{Kind: spec.SecretFile, Source: "password", Target: "/run/secrets/password", ReadOnly: true, UID: 33}, {Kind: spec.Tmpfs, Target: "/tmp", Size: 12345}, {Kind: spec.Tmpfs, Target: "/tmp2", ReadOnly: true},
					{Kind: spec.SecretFile, Source: "token", Target: "/token", ReadOnly: true, GID: 34},
				},
				Needs: []spec.Need{{Service: "db", Condition: spec.Completed}}, Links: []spec.Link{{To: "db", Alias: "data", Ports: []uint16{5432}}, {To: "web"}},
				Aliases: []string{"www", "api"}, Health: &spec.Health{Test: []string{"CMD", "true", "$x"}, Interval: spec.Duration(90 * time.Second), Timeout: spec.Duration(time.Second), Start: spec.Duration(time.Millisecond), Retries: 2},
				Replicas: 3, Shared: true, Disabled: true, Limits: spec.Limits{Memory: 64 << 20, CPUs: 0.1, Pids: 100}, Reserve: spec.Limits{Memory: 32 << 20, CPUs: 0.05},
				Restart: spec.Restart{Policy: spec.Always}, User: "1000:1000", WorkingDir: "/srv", Hostname: "web-1", ReadOnly: true, Init: true, InitHook: []string{"/seed", "$a b", "no"}, UpgradeHook: []string{"/migrate", "$a b"}, InitTimeout: spec.Duration(90 * time.Second), UpgradeTimeout: spec.Duration(2 * time.Hour),
				Labels: map[string]string{"a.b": "true", "x-y": "1"}, StopSignal: "SIGINT", StopGrace: spec.Duration(time.Minute), Order: spec.StopFirst, Groups: []string{"100", "video"}, TTY: true, Stdin: true,
				CapAdd: []string{"NET_ADMIN"}, CapDrop: []string{"ALL"}, Ulimits: []spec.Ulimit{{Name: "core", Soft: 0, Hard: spec.Unlimited}, {Name: "nofile", Soft: 10, Hard: 20}},
				Sysctls: map[string]string{"net.core.somaxconn": "1024"}, Hosts: []spec.Host{{Name: "a.example", Address: "192.0.2.1"}, {Name: "b.example", Address: "2001:db8::1"}, {Name: "me", Address: spec.HostGateway}},
				DNS: spec.DNS{Servers: []string{"192.0.2.53"}, Search: []string{"example.org"}, Options: []string{"ndots:2"}}, Log: spec.Log{Size: 1 << 20, Files: 2},
				Domains: []spec.Domain{{Host: "www.example.org"}, {Host: "*.example.org", Port: 8000, Path: "/a"}, {Port: 81}, {Path: "/b"}, {Host: "own.example", Port: 4443, TLS: spec.Passthrough}}, Access: "192.0.2.0/24,2001:db8::/32", Priority: -3,
				Front: spec.Front{
					Strip: true, Scheme: spec.H2C, Sticky: spec.ByCookie, Redirect: true, Plain: true, Body: 1 << 20, Users: []string{"ann:$2y$05$abcdefghijklmnopqrstuuJ4JxqYcPz0yQ0m0o2vYJ5lQ3t8Zr1eC"},
					Check: spec.Check{Path: "/health", Every: spec.Duration(time.Second), Timeout: spec.Duration(time.Minute)}, Rate: spec.Rate{Events: 9, Per: spec.Duration(time.Hour), Burst: 3},
				},
				Keys: []spec.Key{{Text: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@home"}},
			},
		},
	}
}

func TestEveryFieldReturnsFromTheNormalForm(t *testing.T) {
	p := full()
	if wrong := spec.Validate(p); len(wrong) > 0 {
		t.Fatal(wrong[0].Path, wrong[0].Problem)
	}
	v := reflect.ValueOf(p.Services[1])
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("full() leaves %s empty; give it a value, so that it is seen to return", v.Type().Field(i).Name)
		}
	}
	isAgain(t, "full", p)
}

// Services with a random half of the fields each: what is left out must not
// change how the rest is written.
func TestAnyMixtureOfFieldsReturns(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		p := full()
		s := &p.Services[1]
		v, zero := reflect.ValueOf(s).Elem(), reflect.Zero(reflect.TypeFor[spec.Service]())
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Name" && name != "Image" && r.IntN(2) == 0 {
				v.Field(i).Set(zero.Field(i))
			}
		}
		p.Files = slices.DeleteFunc(p.Files, func(f spec.File) bool { return len(s.Mounts) == 0 })
		p.Secrets = slices.DeleteFunc(p.Secrets, func(spec.Secret) bool { return len(s.Mounts) == 0 })
		if len(spec.Validate(p)) == 0 {
			isAgain(t, fmt.Sprint("seed ", seed), p)
		}
	}
}
