package store_test

import (
	"net/netip"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"havre/internal/project"
)

// What another process or another part of this one changed is read anew.
func TestWhatOthersChangedIsReadAnew(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "havre.db")
	mine, theirs := open(t, file), open(t, file)
	read := func() []project.Record {
		t.Helper()
		got, err := mine.Projects(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, name := range []string{"shop", "blog"} {
		if err := theirs.SaveProject(t.Context(), record(name)); err != nil {
			t.Fatal(err)
		}
	}
	changed := read()[1]
	changed.Services[0].Stopped = true
	if err := theirs.SaveProject(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	if got := read(); !got[1].Services[0].Stopped || got[1].Version != 2 || got[0].Services[0].Stopped {
		t.Errorf("read %+v", got)
	}
	if err := theirs.ForgetProject(t.Context(), changed.ID); err != nil {
		t.Fatal(err)
	}
	if got := read(); len(got) != 1 || got[0].Name != "blog" {
		t.Errorf("read %+v", got)
	}
	again := record("shop")
	again.Subnet = "10.210.9.0/24"
	if err := theirs.SaveProject(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if got := read(); len(got) != 2 || got[1].Subnet != again.Subnet {
		t.Errorf("of one with the id and version of one that is forgotten: %+v", got)
	}
}

// Copies are made by following slices, maps and pointers. What they cannot
// follow must not come into records.
func TestRecordsAreOfPlainTypes(t *testing.T) {
	t.Parallel()
	seen := map[reflect.Type]bool{reflect.TypeFor[time.Time](): true, reflect.TypeFor[netip.Addr](): true}
	var look func(of reflect.Type, path string)
	look = func(of reflect.Type, path string) {
		if seen[of] {
			return
		}
		seen[of] = true
		switch of.Kind() {
		case reflect.Interface, reflect.Chan, reflect.Func, reflect.UnsafePointer:
			t.Errorf("%s is a %s", path, of)
		case reflect.Map, reflect.Slice, reflect.Array, reflect.Pointer:
			look(of.Elem(), path+"[]")
		case reflect.Struct:
			for f := range of.Fields() {
				if !f.IsExported() && f.Type.Kind() != reflect.String {
					t.Errorf("%s.%s is not exported", path, f.Name)
				}
				look(f.Type, path+"."+f.Name)
			}
		}
	}
	look(reflect.TypeFor[project.Record](), "Record")
}
