package projecttest

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"havre/internal/project"
)

// copied gives a record that shares nothing with r that could be changed. A
// test asks for all records at each pass, so this is much of its time: by way of
// JSON it would be most of it.
func copied(r project.Record) project.Record {
	c := r
	if copyRecord != nil {
		copyRecord(reflect.ValueOf(&c).Elem())
	}
	return c
}

var copyRecord = copier(reflect.TypeFor[project.Record]())

// copier makes what replaces everything that a value of type t refers to by a
// copy; nil when that is nothing. It panics at a type of which it does not know
// what it refers to, and has no end at one that refers to itself.
func copier(t reflect.Type) func(v reflect.Value) {
	switch t.Kind() {
	case reflect.Struct:
		return structCopier(t)
	case reflect.Slice:
		return sliceCopier(t)
	case reflect.Map:
		return mapCopier(t)
	case reflect.Pointer:
		within := copier(t.Elem())
		return func(v reflect.Value) {
			if v.IsNil() {
				return
			}
			c := reflect.New(t.Elem())
			c.Elem().Set(v.Elem())
			if within != nil {
				within(c.Elem())
			}
			v.Set(c)
		}
	case reflect.Array, reflect.Interface, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		panic(fmt.Sprintf("nobody has said yet how a %s is copied", t))
	}
	return nil
}

// values are the types with fields of their own that nobody can change.
var values = []reflect.Type{reflect.TypeFor[time.Time](), reflect.TypeFor[netip.Addr]()}

func structCopier(t reflect.Type) func(v reflect.Value) {
	if slices.Contains(values, t) {
		return nil
	}
	type field struct {
		at   int
		copy func(reflect.Value)
	}
	var fields []field
	for i := range t.NumField() {
		if !t.Field(i).IsExported() {
			panic(fmt.Sprintf("nobody has said yet how a %s is copied", t))
		}
		if c := copier(t.Field(i).Type); c != nil {
			fields = append(fields, field{i, c})
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return func(v reflect.Value) {
		for _, f := range fields {
			f.copy(v.Field(f.at))
		}
	}
}

func sliceCopier(t reflect.Type) func(v reflect.Value) {
	within := copier(t.Elem())
	return func(v reflect.Value) {
		if v.IsNil() {
			return
		}
		c := reflect.MakeSlice(t, v.Len(), v.Len())
		reflect.Copy(c, v)
		for i := 0; within != nil && i < v.Len(); i++ {
			within(c.Index(i))
		}
		v.Set(c)
	}
}

func mapCopier(t reflect.Type) func(v reflect.Value) {
	if copier(t.Elem()) != nil {
		panic(fmt.Sprintf("nobody has said yet how a %s is copied", t))
	}
	return func(v reflect.Value) {
		if v.IsNil() {
			return
		}
		c := reflect.MakeMapWithSize(t, v.Len())
		for all := v.MapRange(); all.Next(); {
			c.SetMapIndex(all.Key(), all.Value())
		}
		v.Set(c)
	}
}
