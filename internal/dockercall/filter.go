package dockercall

import "havre/internal/pattern"

// Filters narrow a list: term → values. The guard adds a term of its own, so
// that lists hold only what is Havre's.
type Filters map[FilterTerm]map[FilterValue]bool

// FilterTerm is one of the terms that only narrow.
type FilterTerm string

// FilterValue is what a term is compared with.
type FilterValue string

// Moment is a point in time as the engine writes it: seconds and perhaps
// nanoseconds.
type Moment string

var (
	momentForm = pattern.New(`^[0-9]{1,12}(\.[0-9]{1,9})?$`)
	valueForm  = pattern.New(`^[A-Za-z0-9][A-Za-z0-9_.:/=-]{0,255}$`)
)

func (m Moment) check() error { return form(momentForm, string(m), "a moment (seconds since 1970)") }

func (v FilterValue) check() error { return form(valueForm, string(v), "a filter's value") }

func (t FilterTerm) check() error {
	switch t {
	case "id", "name", "label", "status", "health", "service", "desired-state", "node", "type", "event", "container", "driver", "scope", "network", "reference":
		return nil
	}
	return refuse(UnknownField, "the filter %.40q is not known here", string(t))
}

// With is f and one term more; f stays as it is.
func (f Filters) With(term FilterTerm, value FilterValue) Filters {
	more := Filters{term: {value: true}}
	for t, values := range f {
		if more[t] == nil {
			more[t] = map[FilterValue]bool{}
		}
		for v, on := range values {
			more[t][v] = on
		}
	}
	return more
}
