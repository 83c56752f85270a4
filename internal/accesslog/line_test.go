package accesslog

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"havre/internal/api"
)

func TestLinesAreAsEncodingJSONWritesThem(t *testing.T) {
	full := api.Access{Time: time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC)}
	for i, v := 1, reflect.ValueOf(&full).Elem(); i < v.NumField(); i++ { // one that is new must not be forgotten
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("a" + v.Type().Field(i).Name)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int, reflect.Int64:
			f.SetInt(int64(1000 + i))
		case reflect.Float64:
			f.SetFloat(0.125)
		default:
			t.Fatalf("a field of kind %v", f.Kind())
		}
	}
	lines := []api.Access{{}, full}
	for _, s := range []string{"/a<b>&c", "\"", "\\", "\x00", "\x7f", "\xff", "ä", "\u2028", "/", "a b"} {
		lines = append(lines, api.Access{Path: s, Client: s})
	}
	for _, f := range []float64{1e-9, 1e-6, 9.99e-7, 0.0012345678, 1, 123456.75, 1e20, 1e21, -1} {
		lines = append(lines, api.Access{Seconds: f, Time: time.Unix(1, 1).UTC()})
	}
	for _, line := range lines {
		want, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		got, err := appendLine(nil, &line)
		if err != nil || string(got) != string(want)+"\n" {
			t.Errorf("%s%v; want %s", got, err, want)
		}
	}
}
