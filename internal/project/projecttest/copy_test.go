package projecttest

import (
	"reflect"
	"testing"

	"havre/internal/project"
)

// What is full has something in each of its fields, so those that a record gets
// one day are tried, too.
func TestCopyIsTheSameAndSharesNothing(t *testing.T) {
	var r project.Record
	fill(reflect.ValueOf(&r).Elem())
	c := copied(r)
	if !reflect.DeepEqual(r, c) {
		t.Errorf("got  %+v\nwant %+v", c, r)
	}
	mine, its := map[uintptr]string{}, map[uintptr]string{}
	references(reflect.ValueOf(r), "Record", mine)
	references(reflect.ValueOf(c), "Record", its)
	if len(mine) < 30 || len(mine) != len(its) {
		t.Errorf("it refers to %d things, its copy to %d", len(mine), len(its))
	}
	for at, what := range its {
		if _, shared := mine[at]; shared {
			t.Errorf("%s is shared", what)
		}
	}
}

func TestCopyOfNothingIsNothingAndOfEmptyIsEmpty(t *testing.T) {
	for says, r := range map[string]project.Record{
		"nothing": {}, "empty": {Services: []project.Service{}, Links: []project.LinkNet{}},
	} {
		if c := copied(r); !reflect.DeepEqual(r, c) {
			t.Errorf("%s: %+v", says, c)
		}
	}
}

// fill puts something into each field that refers to something.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 4))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		one := reflect.New(v.Type().Elem()).Elem()
		fill(one)
		v.SetMapIndex(reflect.Zero(v.Type().Key()), one)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	}
}

// references are all that can be changed through v, and their places.
func references(v reflect.Value, place string, all map[uintptr]string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				references(v.Field(i), place+"."+v.Type().Field(i).Name, all)
			}
		}
	case reflect.Slice:
		all[v.Pointer()] = place
		for i := range v.Len() {
			references(v.Index(i), place, all)
		}
	case reflect.Map:
		all[v.Pointer()] = place
		for one := v.MapRange(); one.Next(); {
			references(one.Value(), place, all)
		}
	case reflect.Pointer:
		all[v.Pointer()] = place
		references(v.Elem(), place, all)
	}
}
