package dockercall

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// Zero is the type of a field that is known and must not be set: clients of
// newer versions send the empty values of fields that older ones lack. It is
// never written.
type Zero struct{}

// syntax is a type whose texts have a form; forms are held when a value comes
// into being, so that a value of the type has always the form.
type syntax interface{ check() error }

// decode fills the struct that into points to from a JSON text; see fill.
func decode(text []byte, into any) error {
	v, err := parseJSON(text)
	if err != nil {
		return err
	}
	return fill(reflect.ValueOf(into).Elem(), v, "body")
}

// fill puts a parsed JSON value into a Go value of our own types. Keys match
// fields exactly, and every key must match one.
func fill(to reflect.Value, from any, at string) error {
	if err := fillKind(to, from, at); err != nil {
		return err
	}
	if s, ok := to.Interface().(syntax); ok && !to.IsZero() {
		return s.check()
	}
	return nil
}

func fillKind(to reflect.Value, from any, at string) error {
	if to.Type() == reflect.TypeFor[Zero]() {
		return mustBeZero(from, at)
	}
	if from == nil {
		return fillNull(to, at)
	}
	switch to.Kind() {
	case reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		return fill(to.Elem(), from, at)
	case reflect.Struct:
		return fillStruct(to, from, at)
	case reflect.Map:
		return fillMap(to, from, at)
	case reflect.Slice:
		return fillSlice(to, from, at)
	default:
		return fillScalar(to, from, at)
	}
}

func fillNull(to reflect.Value, at string) error {
	switch to.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		return nil
	}
	return refuse(BadValue, "%s is null", at)
}

func fillScalar(to reflect.Value, from any, at string) error {
	ok := false
	switch to.Kind() {
	case reflect.String:
		var s string
		if s, ok = from.(string); ok {
			to.SetString(s)
		}
	case reflect.Bool:
		var b bool
		if b, ok = from.(bool); ok {
			to.SetBool(b)
		}
	case reflect.Int64, reflect.Int32:
		n, isNumber := from.(json.Number)
		i, err := strconv.ParseInt(string(n), 10, to.Type().Bits())
		if ok = isNumber && err == nil && plain(string(n)); ok {
			to.SetInt(i)
		}
	case reflect.Uint64, reflect.Uint32, reflect.Uint16:
		n, isNumber := from.(json.Number)
		u, err := strconv.ParseUint(string(n), 10, to.Type().Bits())
		if ok = isNumber && err == nil && plain(string(n)); ok {
			to.SetUint(u)
		}
	}
	if !ok {
		return refuse(BadValue, "%s is not a proper %s", at, to.Kind())
	}
	return nil
}

// plain refuses "-0": JSON knows it, and an engine could read a float.
func plain(number string) bool { return number != "-0" }

func fillStruct(to reflect.Value, from any, at string) error {
	o, ok := from.(object)
	if !ok {
		return refuse(BadValue, "%s is not an object", at)
	}
	seen := map[string]bool{}
	for _, m := range o {
		folded := strings.ToLower(m.key)
		if seen[folded] {
			return refuse(DuplicateKey, "%s has the key %q twice, in different letters", at, m.key)
		}
		seen[folded] = true
		f, ok := field(to, m.key)
		if !ok {
			return refuse(UnknownField, "%s.%s is not known here", at, m.key)
		}
		if err := fill(f, m.value, at+"."+m.key); err != nil {
			return err
		}
	}
	return nil
}

// field finds the field a key names, also in embedded structs.
func field(in reflect.Value, key string) (reflect.Value, bool) {
	for i := range in.NumField() {
		f := in.Type().Field(i)
		if f.Anonymous {
			if found, ok := field(in.Field(i), key); ok {
				return found, true
			}
			continue
		}
		if name := keyOf(f); name == key && name != "-" {
			return in.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// keyOf is the JSON key of a field.
func keyOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" {
		return f.Name
	}
	return name
}

func fillMap(to reflect.Value, from any, at string) error {
	o, ok := from.(object)
	if !ok {
		return refuse(BadValue, "%s is not an object", at)
	}
	to.Set(reflect.MakeMapWithSize(to.Type(), len(o)))
	for _, m := range o {
		k := reflect.New(to.Type().Key()).Elem()
		if err := fill(k, m.key, at); err != nil {
			return err
		}
		v := reflect.New(to.Type().Elem()).Elem()
		if err := fill(v, m.value, at+"."+m.key); err != nil {
			return err
		}
		to.SetMapIndex(k, v)
	}
	return nil
}

func fillSlice(to reflect.Value, from any, at string) error {
	if to.Type().Elem().Kind() == reflect.Uint8 {
		s, ok := from.(string)
		b, err := base64.StdEncoding.Strict().DecodeString(s)
		if !ok || err != nil || strings.ContainsAny(s, "\r\n") {
			return refuse(BadValue, "%s is not base64", at)
		}
		to.SetBytes(b)
		return nil
	}
	list, ok := from.([]any)
	if !ok {
		return refuse(BadValue, "%s is not a list", at)
	}
	to.Set(reflect.MakeSlice(to.Type(), len(list), len(list)))
	for i, v := range list {
		if err := fill(to.Index(i), v, at+"["+strconv.Itoa(i)+"]"); err != nil {
			return err
		}
	}
	return nil
}

// mustBeZero takes null, false, 0, "" and empty lists and objects, and the
// pair [0,0] that is ConsoleSize's way to say nothing.
func mustBeZero(from any, at string) error {
	zero := false
	switch v := from.(type) {
	case nil:
		zero = true
	case bool:
		zero = !v
	case string:
		zero = v == ""
	case json.Number:
		zero = v == "0"
	case object:
		zero = len(v) == 0
	case []any:
		zero = len(v) == 0 || len(v) == 2 && v[0] == json.Number("0") && v[1] == json.Number("0")
	}
	if !zero {
		return refuse(ForbiddenField, "%s must not be set", at)
	}
	return nil
}
