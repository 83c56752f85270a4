package dockercall

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"unicode/utf8"
)

// maxDepth is deeper than any request of the Docker API goes.
const maxDepth = 16

// member is one key of an object, in the order of the text.
type member struct {
	key   string
	value any
}

// object is a JSON object that kept its order; all other values are as
// encoding/json gives them, numbers as json.Number.
type object []member

// parseJSON reads exactly one JSON value. Two parsers may differ in what they
// make of odd texts, so odd texts are refused: invalid UTF-8 and its
// replacement, duplicate keys, anything behind the value.
func parseJSON(text []byte) (any, error) {
	if !utf8.Valid(text) || bytes.HasPrefix(text, []byte("\xef\xbb\xbf")) {
		return nil, refuse(BadBody, "the body is not plain UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := value(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, refuse(BadBody, "something follows the JSON value")
	}
	return v, nil
}

func value(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, refuse(BadBody, "the JSON is more than %d levels deep", maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, refuse(BadBody, "the body is not JSON")
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return members(d, depth)
		}
		return elements(d, depth)
	case string:
		return text(t)
	}
	return t, nil
}

// text refuses what encoding/json put in place of half a surrogate pair.
func text(s string) (string, error) {
	if strings.ContainsRune(s, utf8.RuneError) {
		return "", refuse(BadBody, "a string holds a character that is none")
	}
	return s, nil
}

func members(d *json.Decoder, depth int) (any, error) {
	o := object{}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return nil, refuse(BadBody, "the body is not JSON")
		}
		if key, err = text(key); err != nil {
			return nil, err
		}
		if seen[key] {
			return nil, refuse(DuplicateKey, "the key %q stands there twice", key)
		}
		seen[key] = true
		v, err := value(d, depth+1)
		if err != nil {
			return nil, err
		}
		o = append(o, member{key, v})
	}
	if _, err := d.Token(); err != nil {
		return nil, refuse(BadBody, "the body is not JSON")
	}
	return o, nil
}

func elements(d *json.Decoder, depth int) (any, error) {
	list := []any{}
	for d.More() {
		v, err := value(d, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	if _, err := d.Token(); err != nil {
		return nil, refuse(BadBody, "the body is not JSON")
	}
	return list, nil
}
