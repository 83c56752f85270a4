package store

import (
	"reflect"
	"slices"
	"sync"
)

// copier copies values of plain types as wholes. The zero value is ready.
type copier struct {
	layouts sync.Map // reflect.Type → []bool: what fieldsOf gives, looked at once
}

// copied shares nothing with v. The types of records are plain: what they keep
// in fields of their own (time.Time, netip.Addr) is a value too.
func copied[T any](c *copier, v T) T {
	from := reflect.ValueOf(&v).Elem()
	to := reflect.New(from.Type()).Elem()
	c.copy(to, from)
	return to.Interface().(T)
}

func (c *copier) copy(to, from reflect.Value) {
	to.Set(from)
	switch from.Kind() {
	case reflect.Struct:
		for i, f := range c.fieldsOf(from.Type()) {
			if f {
				c.copy(to.Field(i), from.Field(i))
			}
		}
	case reflect.Array:
		for i := range from.Len() {
			c.copy(to.Index(i), from.Index(i))
		}
	case reflect.Slice:
		if from.IsNil() {
			return
		}
		to.Set(reflect.MakeSlice(from.Type(), from.Len(), from.Len()))
		if reflect.Copy(to, from); !c.holds(from.Type().Elem()) {
			return
		}
		for i := range from.Len() {
			c.copy(to.Index(i), from.Index(i))
		}
	case reflect.Map:
		if from.IsNil() {
			return
		}
		to.Set(reflect.MakeMapWithSize(from.Type(), from.Len()))
		for each := from.MapRange(); each.Next(); {
			value := reflect.New(from.Type().Elem()).Elem()
			c.copy(value, each.Value())
			to.SetMapIndex(each.Key(), value)
		}
	case reflect.Pointer:
		if from.IsNil() {
			return
		}
		to.Set(reflect.New(from.Type().Elem()))
		c.copy(to.Elem(), from.Elem())
	}
}

// fieldsOf tells of each field whether something in it could be shared.
func (c *copier) fieldsOf(t reflect.Type) []bool {
	if known, ok := c.layouts.Load(t); ok {
		return known.([]bool)
	}
	fields := make([]bool, t.NumField())
	for i := range fields {
		fields[i] = t.Field(i).IsExported() && c.holds(t.Field(i).Type)
	}
	c.layouts.Store(t, fields)
	return fields
}

// holds tells whether a copy of a value of t would share anything.
func (c *copier) holds(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return true
	case reflect.Struct:
		return slices.Contains(c.fieldsOf(t), true)
	case reflect.Array:
		return c.holds(t.Elem())
	}
	return false
}
