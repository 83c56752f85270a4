package dockercall

import (
	"encoding/json"
	"io"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// own is in front of Havre's own calls.
const own = "/havre/v1/"

func isOwn(path string) bool { return strings.HasPrefix(path, own) }

// Parse understands a request made in the API version that is spoken
// ("1.41"), or refuses it.
//
// Errors: Invalid with the rule that was broken.
func Parse(version string, r Request) (Call, error) {
	path, err := unversioned(version, r.Path)
	if err != nil {
		return nil, err
	}
	row, args, ok := match(r.Method, path)
	if !ok {
		return nil, refuse(UnknownCall, "%s %.120q is not a call the guard knows", r.Method, path)
	}
	call := row.make()
	if err := checkHeader(r.Header, row, call.Kind()); err != nil {
		return nil, err
	}
	v := reflect.ValueOf(call).Elem()
	if err := fillPath(v, args); err != nil {
		return nil, err
	}
	if err := fillQuery(v, r.Query); err != nil {
		return nil, err
	}
	if row.stream {
		return call, nil
	}
	return call, fillBody(v, row, r.Body)
}

// unversioned takes the version off a Docker path. The engine answers in any
// version, and older ones read the same body differently.
func unversioned(version, path string) (string, error) {
	if strings.ContainsAny(path, "%\\;?#") || strings.Contains(path, "//") || !strings.HasPrefix(path, "/") || len(path) > 1024 {
		return "", refuse(OddPath, "the path %.120q is not plain", path)
	}
	for part := range strings.SplitSeq(path[1:], "/") {
		if part == "." || part == ".." || part == "" {
			return "", refuse(OddPath, "the path %.120q is not clean", path)
		}
	}
	if path == "/_ping" || isOwn(path) {
		return path, nil
	}
	first, rest, _ := strings.Cut(path[1:], "/")
	if first != "v"+version {
		return "", refuse(UnknownVersion, "%.120q is not of API version %s, the only one spoken here", path, version)
	}
	if isOwn("/" + rest) {
		return "", refuse(UnknownCall, "Havre's own calls have no Docker version")
	}
	return "/" + rest, nil
}

// match finds the row of a method and path. A row without a variable part
// wins: "/networks/create" is no network's id.
func match(method, path string) (row, map[string]string, bool) {
	for _, r := range rows {
		if r.method == method && r.path == path {
			return r, nil, true
		}
	}
	for _, r := range rows {
		if args, ok := segments(r.path, path); r.method == method && ok {
			return r, args, true
		}
	}
	return row{}, nil, false
}

func segments(pattern, path string) (map[string]string, bool) {
	before, rest, variable := strings.Cut(pattern, "{")
	if !variable {
		return nil, false
	}
	name, after, _ := strings.Cut(rest, "}")
	arg, ok := strings.CutPrefix(path, before)
	if !ok {
		return nil, false
	}
	arg, ok = strings.CutSuffix(arg, after)
	if !ok || arg == "" {
		return nil, false
	}
	// Only an image's reference may hold slashes.
	if strings.Contains(arg, "/") && (name != "Image" || !strings.HasPrefix(arg, "havre.invalid/")) {
		return nil, false
	}
	return map[string]string{name: arg}, true
}

// checkHeader refuses the headers that change what a request means.
func checkHeader(h map[string][]string, row row, kind Kind) error {
	for _, name := range []string{"Expect", "Trailer", "Content-Encoding", "X-Registry-Auth", "Http2-Settings", "X-Http-Method-Override"} {
		if len(h[name]) > 0 {
			return refuse(BadHeader, "the header %s has no place here", name)
		}
	}
	// The client sends its (no) credentials for registries with each build.
	if v := h["X-Registry-Config"]; len(v) > 0 && !slices.Equal(v, []string{"bnVsbA=="}) {
		return refuse(BadHeader, "credentials for registries have no place here")
	}
	if v := h["Upgrade"]; len(v) > 0 && (kind != ExecStartKind || !slices.Equal(v, []string{"tcp"})) {
		return refuse(BadHeader, "this call's connection cannot be upgraded")
	}
	types := h["Content-Type"]
	switch {
	case row.stream && !slices.Equal(types, []string{"application/x-tar"}):
		return refuse(BadHeader, "an archive is sent as application/x-tar")
	case row.biggest > 0 && !slices.Equal(types, []string{"application/json"}):
		return refuse(BadHeader, "a body is sent as application/json")
	}
	return nil
}

func fillPath(v reflect.Value, args map[string]string) error {
	for name, arg := range args {
		f := v.FieldByName(name)
		f.SetString(arg)
		if err := f.Interface().(syntax).check(); err != nil {
			return err
		}
	}
	return nil
}

// fillQuery sets the fields tagged query from a query string.
func fillQuery(v reflect.Value, query string) error {
	values, err := url.ParseQuery(query)
	if err != nil || len(query) > 64<<10 {
		return refuse(BadValue, "the query cannot be read")
	}
	for name, given := range values {
		f, ok := queryField(v, name)
		if !ok {
			return refuse(UnknownQuery, "the query parameter %.60q is not known here", name)
		}
		if len(given) != 1 {
			return refuse(RepeatedQuery, "the query parameter %q stands there twice", name)
		}
		if err := fillParameter(f, given[0], name); err != nil {
			return err
		}
	}
	return nil
}

func queryField(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("query"); tag != "" && tag == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// fillParameter reads one parameter as its field's type has it.
func fillParameter(f reflect.Value, given, name string) error {
	switch f.Kind() {
	case reflect.Bool:
		b, err := queryBool(given, name)
		f.SetBool(b)
		return err
	case reflect.Map:
		parsed, err := parseJSON([]byte(given))
		if err != nil {
			return err
		}
		return fill(f, parsed, name)
	case reflect.String:
		s, err := text(given)
		if err != nil {
			return err
		}
		return fill(f, s, name)
	case reflect.Struct:
		return mustBeEmpty(given, name)
	}
	return fill(f, json.Number(given), name)
}

// queryBool takes the spellings on which every engine agrees.
func queryBool(given, name string) (bool, error) {
	switch given {
	case "1", "true":
		return true, nil
	case "0", "false":
		return false, nil
	}
	return false, refuse(BadValue, "%s=%.20q is not 0 or 1", name, given)
}

// mustBeEmpty is what mustBeZero is for query parameters.
func mustBeEmpty(given, name string) error {
	if given != "" && given != "0" && given != "false" {
		return refuse(ForbiddenField, "the query parameter %s must not be set", name)
	}
	return nil
}

// fillBody reads the JSON body into the field tagged body, or checks that
// there is none.
func fillBody(v reflect.Value, row row, body io.Reader) error {
	if body == nil {
		body = strings.NewReader("")
	}
	raw, err := io.ReadAll(io.LimitReader(body, row.biggest+1))
	if err != nil {
		return refuse(BadBody, "the body ends too soon")
	}
	if row.biggest == 0 {
		if len(raw) > 0 {
			return refuse(BadBody, "this call takes no body")
		}
		return nil
	}
	if int64(len(raw)) > row.biggest {
		return refuse(TooBig, "the body has more than %d bytes", row.biggest)
	}
	return decode(raw, bodyField(v).Addr().Interface())
}

func bodyField(v reflect.Value) reflect.Value {
	for i := range v.NumField() {
		if _, ok := v.Type().Field(i).Tag.Lookup("body"); ok {
			return v.Field(i)
		}
	}
	return v
}

// Write writes a call afresh for the engine, from nothing but the value.
// Own calls and archives have no body here.
func Write(call Call) (Wire, error) {
	row := rowOf(call.Kind())
	v := reflect.Indirect(reflect.ValueOf(call))
	w := Wire{Method: row.method, Path: row.path}
	if p, ok := call.(*Ping); ok && p.Head {
		w.Method = "HEAD"
	}
	if before, rest, ok := strings.Cut(row.path, "{"); ok {
		name, after, _ := strings.Cut(rest, "}")
		w.Path = before + v.FieldByName(name).String() + after
	}
	query := url.Values{}
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("query")
		if name == "" || v.Field(i).IsZero() {
			continue
		}
		s, err := parameter(v.Field(i))
		if err != nil {
			return Wire{}, err
		}
		query.Set(name, s)
	}
	w.Query = query.Encode()
	if row.biggest == 0 {
		return w, nil
	}
	b, err := json.Marshal(bodyField(v).Interface())
	w.Body = b
	return w, err
}

func parameter(f reflect.Value) (string, error) {
	switch f.Kind() {
	case reflect.Bool:
		return "1", nil
	case reflect.String:
		return f.String(), nil
	case reflect.Pointer:
		return parameter(f.Elem())
	case reflect.Int64:
		return strconv.FormatInt(f.Int(), 10), nil
	case reflect.Uint64, reflect.Uint32:
		return strconv.FormatUint(f.Uint(), 10), nil
	}
	b, err := json.Marshal(f.Interface())
	return string(b), err
}

// Object names what a call is about, for the record: the id in its path, or
// the name of what it makes.
func Object(call Call) string {
	v := reflect.Indirect(reflect.ValueOf(call))
	for _, field := range []string{"ID", "Image", "As", "Name", "Container", "Service", "Volume"} {
		if f := v.FieldByName(field); f.IsValid() && f.Kind() == reflect.String && f.String() != "" {
			return f.String()
		}
	}
	if f := bodyField(v).FieldByName("Name"); f.IsValid() {
		return f.String()
	}
	return ""
}
