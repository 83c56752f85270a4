package dockercall_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/swarm"

	"havre/internal/dockercall"
)

const version = "1.41"

// headers are what clients send with a call of each form.
func headers(body string) map[string][]string {
	if body == "" {
		return nil
	}
	return map[string][]string{"Content-Type": {"application/json"}}
}

func parse(method, path, query, body string) (dockercall.Call, error) {
	return dockercall.Parse(version, dockercall.Request{Method: method, Path: path, Query: query, Header: headers(body), Body: strings.NewReader(body)})
}

// engineTypes are what the engine reads the bodies into, with Go's own
// lenient JSON.
var engineTypes = map[dockercall.Kind]func() any{
	dockercall.NetworkCreateKind:     func() any { return new(network.CreateRequest) },
	dockercall.NetworkConnectKind:    func() any { return new(network.ConnectRequest) },
	dockercall.NetworkDisconnectKind: func() any { return new(network.DisconnectRequest) },
	dockercall.ServiceCreateKind:     func() any { return new(swarm.ServiceSpec) },
	dockercall.ServiceUpdateKind:     func() any { return new(swarm.ServiceSpec) },
	dockercall.ContainerCreateKind:   func() any { return new(container.CreateRequest) },
	dockercall.ExecCreateKind:        func() any { return new(container.ExecCreateRequest) },
	dockercall.ExecStartKind:         func() any { return new(container.ExecStartRequest) },
	dockercall.ConfigCreateKind:      func() any { return new(swarm.ConfigSpec) },
	dockercall.SecretCreateKind:      func() any { return new(swarm.SecretSpec) },
}

// FuzzParse holds Parse to three promises: it never panics; what it
// understood it writes so that it understands the same again; and what the
// engine's own types make of the written body is what was understood, with
// nothing set that must not be.
func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add(s.method, s.path, s.query, s.body)
	}
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		call, err := parse(method, path, query, body)
		if err != nil || dockercall.Streams(call.Kind()) {
			return
		}
		wire, err := dockercall.Write(call)
		if err != nil {
			t.Fatalf("%s cannot be written: %v", call.Kind(), err)
		}
		again, err := reparse(wire)
		if err != nil {
			t.Fatalf("%s was written as %s %s?%s %s, which is refused: %v", call.Kind(), wire.Method, wire.Path, wire.Query, wire.Body, err)
		}
		if !reflect.DeepEqual(call, again) {
			t.Fatalf("understood %+v\nwrote %s %s?%s %s\nunderstood %+v", call, wire.Method, wire.Path, wire.Query, wire.Body, again)
		}
		engineAgrees(t, call, wire)
	})
}

// reparse understands what was written.
func reparse(w dockercall.Wire) (dockercall.Call, error) {
	path := w.Path
	if !strings.HasPrefix(path, "/havre/") && path != "/_ping" {
		path = "/v" + version + path
	}
	return parse(w.Method, path, w.Query, string(w.Body))
}

// engineAgrees reads the written body as the engine does, writes out what it
// got, and understands that: it must be the same call.
func engineAgrees(t *testing.T, call dockercall.Call, wire dockercall.Wire) {
	fresh, ok := engineTypes[call.Kind()]
	if !ok {
		return
	}
	got := fresh()
	if err := json.Unmarshal(wire.Body, got); err != nil {
		t.Fatalf("the engine cannot read %s: %v", wire.Body, err)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	wire.Body = text
	seen, err := reparse(wire)
	if err != nil {
		t.Fatalf("the engine's view %s is refused: %v", text, err)
	}
	a, b := plain(call), plain(seen)
	if !bytes.Equal(a, b) {
		t.Fatalf("judged  %s\nengine  %s", a, b)
	}
}

// plain writes a call without what the engine's types do not carry: empty
// lists, and a flag that newer types lack.
func plain(call dockercall.Call) []byte {
	if c, ok := call.(*dockercall.NetworkCreate); ok {
		c.Spec.CheckDuplicate = false
	}
	text, err := json.Marshal(call)
	if err != nil {
		panic(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		panic(err)
	}
	text, err = json.Marshal(prune(v))
	if err != nil {
		panic(err)
	}
	return text
}

// prune takes empty lists, objects and texts out.
func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			if p := prune(e); p != nil {
				out[k] = p
			}
		}
		if len(out) > 0 {
			return out
		}
		return nil
	case []any:
		if len(v) == 0 {
			return nil
		}
	}
	return v
}

func TestSeedsAreUnderstood(t *testing.T) {
	for _, s := range seeds {
		if _, err := parse(s.method, s.path, s.query, s.body); err != nil {
			t.Errorf("%s %s: %v", s.method, s.path, err)
		}
	}
}

// Every kind that takes JSON has a seed, or the fuzzer would never find it.
func TestEveryKindHasASeed(t *testing.T) {
	seeded := map[dockercall.Kind]bool{}
	for _, s := range seeds {
		if call, err := parse(s.method, s.path, s.query, s.body); err == nil {
			seeded[call.Kind()] = true
		}
	}
	for _, k := range dockercall.Kinds() {
		if !seeded[k] && !dockercall.Streams(k) {
			t.Errorf("%s has no seed", k)
		}
	}
}

// What is written never holds a field that must not be set.
func TestZeroIsNeverWritten(t *testing.T) {
	body := `{"Image":"` + image + `","HostConfig":{"NetworkMode":"none","Privileged":false,"Binds":null,"ConsoleSize":[0,0]}}`
	call, err := parse("POST", "/v1.41/containers/create", "name=h-x", body)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := dockercall.Write(call)
	if err != nil || strings.Contains(string(wire.Body), "Privileged") || strings.Contains(string(wire.Body), "ConsoleSize") {
		t.Errorf("%s, %v", wire.Body, err)
	}
}

func TestBigBodyIsRefusedWithoutBeingKept(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(`{"Name":"`), repeat('a'))
	_, err := dockercall.Parse(version, dockercall.Request{Method: "POST", Path: "/v1.41/networks/create", Header: headers("x"), Body: endless})
	if err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("an endless body: %v", err)
	}
}

type repeat byte

func (r repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}

func TestBuildArgumentsArriveAsTheyWere(t *testing.T) {
	args := url.Values{"t": {"havre.invalid/prod/a:1"}, "buildargs": {`{"A":"b c","N":null}`}}
	call, err := dockercall.Parse(version, dockercall.Request{Method: "POST", Path: "/v1.41/build", Query: args.Encode(), Header: map[string][]string{"Content-Type": {"application/x-tar"}}})
	if err != nil {
		t.Fatal(err)
	}
	b := call.(*dockercall.ImageBuild)
	if *b.BuildArgs["A"] != "b c" || b.BuildArgs["N"] != nil {
		t.Errorf("%v", b.BuildArgs)
	}
}
