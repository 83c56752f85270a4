package dockercall_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"havre/internal/dockercall"
)

// A deed goes into the record, so it has nothing that could be a secret: no
// variable, no argument of a build, no content.
func TestDeedHasNoValueOfAVariable(t *testing.T) {
	met := map[string]int{}
	for _, s := range seeds {
		call, err := parse(s.method, s.path, s.query, s.body)
		if err != nil {
			t.Fatalf("%s %s: %v", s.method, s.path, err)
		}
		met[string(call.Kind())] += spoil(reflect.ValueOf(call))
		text, err := json.Marshal(dockercall.DeedOf(call))
		if err != nil || strings.Contains(string(text), "hunter") {
			t.Errorf("%s: the deed is %s, %v", call.Kind(), text, err)
		}
	}
	for _, kind := range []string{"ServiceCreate", "ContainerCreate", "ExecCreate", "SecretCreate", "ConfigCreate"} {
		if met[kind] == 0 {
			t.Errorf("%s: its seed has nothing that could be a secret", kind)
		}
	}
}

// spoil puts a secret wherever one can be, and tells in how many places.
func spoil(v reflect.Value) (n int) {
	switch x := v.Interface().(type) {
	case dockercall.EnvVar, dockercall.ExecVar:
		v.SetString("A=hunter2")
		return 1
	case []byte:
		v.SetBytes([]byte("hunter2"))
		return 1
	case dockercall.BuildArgs:
		secret := "hunter2"
		v.Set(reflect.ValueOf(dockercall.BuildArgs{"A": &secret}))
		return 1
	case dockercall.Labels:
		if x != nil {
			x["mine"] = "hunter2"
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			n += spoil(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += spoil(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			n += spoil(v.Index(i))
		}
	}
	return n
}

// What changes or reads says more than its object's id: all that a call names
// has to come up. The calls that name nothing else are listed.
func TestEveryDeedSaysWhatItIsAbout(t *testing.T) {
	plain := " NetworkRemove ServiceRemove ContainerStart ContainerStop ContainerRemove ContainerLogs ExecStart ExecResize ConfigRemove SecretRemove Swarm Firewall Purge ForeignRemove "
	for _, s := range seeds {
		call, err := parse(s.method, s.path, s.query, s.body)
		if err != nil {
			t.Fatal(err)
		}
		if k := call.Kind(); !dockercall.Changes(k) && !dockercall.Reads(k) || s.path == "/v1.41/configs/create" || s.path == "/v1.41/secrets/create" {
			continue // those two say it by labels, which these seeds lack
		}
		says := !reflect.ValueOf(dockercall.DeedOf(call)).IsZero()
		if listed := strings.Contains(plain, " "+string(call.Kind())+" "); says == listed {
			t.Errorf("%s says %+v; listed as saying nothing: %v", call.Kind(), dockercall.DeedOf(call), listed)
		}
	}
}
