package accesslog

import (
	"encoding/json"
	"strconv"
	"time"

	"havre/internal/api"
)

// appendLine appends a as encoding/json writes it, without asking each time
// what its fields are.
func appendLine(to []byte, a *api.Access) ([]byte, error) {
	to = append(to, `{"time":"`...)
	to = append(a.Time.AppendFormat(to, time.RFC3339Nano), '"')
	to = text(to, "id", a.ID, true)
	to = text(to, "client", a.Client, false)
	to = text(to, "protocol", a.Protocol, false)
	to = yes(to, "secure", a.Secure)
	to = text(to, "method", a.Method, true)
	to = text(to, "host", a.Host, true)
	to = text(to, "path", a.Path, true)
	if a.Status != 0 {
		to = strconv.AppendInt(field(to, "status"), int64(a.Status), 10)
	}
	to = yes(to, "denied", a.Denied)
	to = strconv.AppendInt(field(to, "in"), a.In, 10)
	to = strconv.AppendInt(field(to, "out"), a.Out, 10)
	to = field(to, "seconds")
	if a.Seconds == 0 || a.Seconds >= 1e-6 && a.Seconds < 1e20 {
		to = strconv.AppendFloat(to, a.Seconds, 'f', -1, 64)
	} else {
		odd, err := json.Marshal(a.Seconds)
		if err != nil {
			return nil, err
		}
		to = append(to, odd...)
	}
	to = text(to, "replica", a.Replica, true)
	return append(to, "}\n"...), nil
}

func field(to []byte, name string) []byte {
	return append(append(append(to, `,"`...), name...), `":`...)
}

func yes(to []byte, name string, said bool) []byte {
	if !said {
		return to
	}
	return append(field(to, name), "true"...)
}

// text appends a string; one that is empty may be left out.
func text(to []byte, name, value string, optional bool) []byte {
	if value == "" && optional {
		return to
	}
	to = field(to, name)
	for i := range len(value) {
		switch c := value[i]; {
		case c < ' ', c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			odd, err := json.Marshal(value)
			if err != nil {
				panic("any string can be written: " + err.Error())
			}
			return append(to, odd...)
		}
	}
	return append(append(append(to, '"'), value...), '"')
}
