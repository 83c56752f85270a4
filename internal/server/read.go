package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/spec"
)

// maxBody is enough for a project with its small files, in base64.
const maxBody = 48 << 20

// read takes one JSON value and refuses what it does not know.
func read(w http.ResponseWriter, r *http.Request, into any) error {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	err := strict(http.MaxBytesReader(w, r.Body, maxBody), into)
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		return &misuse{problem.New(problem.Invalid, "the request is larger than %d bytes", big.Limit).
			With("put large files into a volume or into the image"), http.StatusRequestEntityTooLarge}
	}
	if err != nil {
		return problem.New(problem.Invalid, "the request is not what this path takes").Because(err).
			With("GET /v1/openapi.json describes it")
	}
	return control.SetReadDeadline(time.Time{})
}

// strict reads exactly one value, to the end of the input.
func strict(from io.Reader, into any) error {
	d := json.NewDecoder(from)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the value")
	}
	return nil
}

// target reads what the path names.
func target(r *http.Request, project bool) (t api.Target, err error) {
	t = api.Target{Name: r.PathValue("name"), Project: project}
	t.Environment, err = environment(r)
	return t, err
}

// environment reads ?env=, which may be left out.
func environment(r *http.Request) (string, error) {
	env := r.URL.Query().Get("env")
	if env != "" && !spec.ValidEnvironment(env) {
		return "", problem.New(problem.Invalid, "%q cannot name an environment", env).
			With("use lower-case letters, digits and -")
	}
	return env, nil
}

// ownEnvironment is environment with its default, for what must have one.
func ownEnvironment(r *http.Request) (string, error) {
	env, err := environment(r)
	if env == "" {
		env = spec.DefaultEnvironment
	}
	return env, err
}

func truth(r *http.Request, name string) (bool, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, problem.New(problem.Invalid, "parameter %s is %q", name, v).With("use true or false")
	}
	return b, nil
}

func logOptions(r *http.Request) (o api.LogOptions, err error) {
	if o.Follow, err = truth(r, "follow"); err != nil {
		return o, err
	}
	q := r.URL.Query()
	if v := q.Get("since"); v != "" {
		if o.Since, err = time.Parse(time.RFC3339Nano, v); err != nil {
			return o, problem.New(problem.Invalid, "parameter since is %q", v).With("use a time like 2026-01-31T12:00:00Z")
		}
	}
	if v := q.Get("tail"); v != "" {
		if o.Tail, err = strconv.Atoi(v); err != nil || o.Tail < 0 {
			return o, problem.New(problem.Invalid, "parameter tail is %q", v).With("use a number of lines; 0 is all")
		}
	}
	if v := q.Get("rollout"); v != "" {
		if o.Rollout, err = strconv.Atoi(v); err != nil || o.Rollout < 0 {
			return o, problem.New(problem.Invalid, "parameter rollout is %q", v).With("use the number of a rollout")
		}
	}
	return o, nil
}
