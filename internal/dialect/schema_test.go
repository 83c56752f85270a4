package dialect_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"havre/internal/dialect/compose"
)

const schemaFile = "../../docs/reference/compose.schema.json"

type object = map[string]any

// ownSchemas are the forms of x-havre, for which the specification has none.
var ownSchemas = map[string]object{
	"domains": {"type": "array", "items": object{"oneOf": []any{
		object{"type": "string"},
		object{"type": "object", "properties": object{"host": object{"type": "string"}, "port": object{"type": "integer", "minimum": 1, "maximum": 65535}, "path": object{"type": "string"}, "tls": object{"enum": []any{"passthrough"}}}, "additionalProperties": false},
	}}},
	"links": {"type": "array", "items": object{"oneOf": []any{
		object{"type": "string"},
		object{"type": "object", "properties": object{"to": object{"type": "string"}, "alias": object{"type": "string"}, "ports": object{"type": "array", "items": object{"type": "integer"}}}, "required": []any{"to"}, "additionalProperties": false},
	}}},
	"access":   {"oneOf": []any{object{"type": "string"}, object{"type": "array", "items": object{"type": "string"}}}},
	"path":     {"type": "string"},
	"strip":    {"type": "boolean"},
	"redirect": {"type": "boolean"},
	"compress": {"type": "boolean"},
	"scheme":   {"enum": []any{"http", "h2c"}},
	"proxy":    {"enum": []any{"v2"}},
	"sticky":   {"enum": []any{"cookie", "address"}},
	"body":     {"type": []any{"string", "integer"}},
	"users":    {"type": "array", "items": object{"type": "string"}},
	"check": {"oneOf": []any{
		object{"type": "string"},
		object{"type": "object", "properties": object{"path": object{"type": "string"}, "every": object{"type": "string"}, "timeout": object{"type": "string"}}, "required": []any{"path"}, "additionalProperties": false},
	}},
	"rate": {"oneOf": []any{
		object{"type": "string"},
		object{"type": "object", "properties": object{"limit": object{"type": "string"}, "burst": object{"type": "integer", "minimum": 1}}, "required": []any{"limit"}, "additionalProperties": false},
	}},
	"keys":        {"type": "array", "items": object{"type": "string"}},
	"priority":    {"type": "integer"},
	"certificate": {"type": "string"},
	"status":      {"enum": []any{"enabled", "disabled"}},
	"volumes":     {"enum": []any{"shared"}},
	"init": {"oneOf": []any{
		object{"type": "string"}, object{"const": false}, object{"type": "array", "items": object{"type": "string"}},
		object{"type": "object", "properties": object{
			"command": object{"oneOf": []any{object{"type": "string"}, object{"const": false}, object{"type": "array", "items": object{"type": "string"}}}},
			"timeout": object{"type": "string"},
		}, "additionalProperties": false},
	}},
	"upgrade": {"oneOf": []any{
		object{"type": "string"}, object{"const": false}, object{"type": "array", "items": object{"type": "string"}},
	}},
}

// trimmer makes the schema of what Havre takes out of the specification's:
// without what is refused, and with the table's words in place of its own.
type trimmer struct {
	root   object
	fields map[string]compose.Field
	depth  int
}

func composeSchema(t *testing.T) string {
	t.Helper()
	var root object
	if err := json.Unmarshal([]byte(schema.Schema), &root); err != nil {
		t.Fatal(err)
	}
	g := &trimmer{root: root, fields: map[string]compose.Field{}}
	for _, f := range compose.Fields() {
		g.fields[f.Path] = f
	}
	whole := g.trim(root, "")
	delete(whole, "$defs")
	whole["$id"], whole["title"] = "compose.schema.json", "Compose files for Havre"
	whole["$comment"] = "made from the table in internal/dialect/compose by: go test ./internal/dialect -update"
	text, err := json.MarshalIndent(whole, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// trim follows one schema; at is its path in the table, "-" where the table
// has nothing to say.
func (g *trimmer) trim(s object, at string) object {
	if g.depth++; g.depth > 40 {
		panic("the schema goes in circles at " + at)
	}
	defer func() { g.depth-- }()
	out := object{}
	for key, value := range s {
		switch key {
		case "description", "$ref":
		case "properties":
			out[key] = g.properties(value.(object), at)
		case "patternProperties":
			out[key] = g.patterns(value.(object), at)
		case "items", "additionalProperties":
			out[key] = value
			if below, ok := value.(object); ok {
				out[key] = g.trim(below, under(at, "[]"))
			}
		case "oneOf", "anyOf", "allOf":
			var all []any
			for _, a := range value.([]any) {
				all = append(all, g.trim(a.(object), at))
			}
			out[key] = all
		default:
			out[key] = value
		}
	}
	if ref, ok := s["$ref"].(string); ok {
		for key, value := range g.trim(g.follow(ref), at) {
			out[key] = value
		}
	}
	if at == "services.*" {
		if properties, ok := out["properties"].(object); ok {
			properties["x-havre"] = g.own()
		}
	}
	return out
}

func under(at, name string) string {
	switch {
	case at == "-" || at == "":
		return at + strings.TrimPrefix(name, ".")
	case name == "[]":
		return at + name
	}
	return at + "." + name
}

func (g *trimmer) properties(all object, at string) object {
	out := object{}
	for name, value := range all {
		path := name
		if at != "" {
			path = at + "." + name
		}
		f, known := g.fields[path]
		switch {
		case !known:
			out[name] = g.trim(value.(object), "-")
		case f.Verdict == compose.Honoured:
			out[name] = said(g.trim(value.(object), path), f.Says)
		case f.Verdict == compose.Warned:
			out[name] = said(g.trim(value.(object), "-"), "no effect: "+f.Says)
		case len(f.Fine)+len(f.Mild) > 0:
			words := object{"enum": enum(slices.Concat(f.Fine, f.Mild))}
			if value.(object)["type"] == "array" {
				words = object{"type": "array", "items": words}
			}
			out[name] = said(words, f.Says)
		}
	}
	return out
}

func said(s object, text string) object {
	s["description"] = text
	return s
}

// enum gives the values that texts stand for, too.
func enum(texts []string) []any {
	all := []any{nil, ""}
	for _, text := range texts {
		all = append(all, text)
		if b, err := strconv.ParseBool(text); err == nil && (text == "true" || text == "false") {
			all = append(all, b)
		} else if n, err := strconv.Atoi(text); err == nil {
			all = append(all, n)
		}
	}
	return all
}

func (g *trimmer) patterns(all object, at string) object {
	out := object{}
	for pattern, value := range all {
		below, ok := value.(object)
		path := under(at, "*")
		if _, known := g.fields[path]; !known || pattern == "^x-" {
			path = "-"
		}
		if ok {
			out[pattern] = g.trim(below, path)
		} else {
			out[pattern] = value
		}
	}
	return out
}

func (g *trimmer) follow(ref string) object {
	n := any(g.root)
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		n = n.(object)[name]
	}
	return n.(object)
}

// own is x-havre: the table's rows and the forms above must be the same keys.
func (g *trimmer) own() object {
	properties := object{}
	for path, f := range g.fields {
		name, ok := strings.CutPrefix(path, "services.*.x-havre.")
		if ok && f.Verdict == compose.Honoured && !strings.Contains(name, ".") {
			form, known := ownSchemas[name]
			if !known {
				panic("x-havre." + name + " has no schema")
			}
			properties[name] = object{"description": f.Says, "allOf": []any{form}}
		}
	}
	return object{"type": "object", "description": g.fields["services.*.x-havre"].Says, "properties": properties, "additionalProperties": false}
}

// TestSchemaIsFresh keeps the schema for editors as the table is.
func TestSchemaIsFresh(t *testing.T) { fresh(t, schemaFile, composeSchema(t)) }

// The schema takes what Havre takes, and not what it refuses by its table.
func TestSchemaAgreesWithTheReader(t *testing.T) {
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("compose.schema.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("compose.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("testdata/corpus.golden")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../examples/compose/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	byTable := []string{"cadvisor.yml", "gitlab-runner.yml", "homeassistant.yml", "jellyfin.yml", "sonarqube.yml", "vllm.yml"}
	for _, file := range files {
		name := filepath.Base(file)
		if name == "n8n.yml" {
			continue // it has a word of old YAML, which a schema does not know
		}
		wrong := s.Validate(asJSON(t, file))
		refused := strings.Contains(string(golden), "== "+name+": refused")
		if wrong != nil && !refused {
			t.Errorf("%s is read, but not by the schema: %v", name, wrong)
		}
		if wrong == nil && slices.Contains(byTable, name) {
			t.Errorf("%s is refused, but not by the schema", name)
		}
	}
}

// asJSON reads a YAML file as an editor hands it to a schema.
func asJSON(t *testing.T, file string) any {
	t.Helper()
	text, err := os.ReadFile(file)
	var v any
	if err == nil {
		err = yaml.Unmarshal(text, &v)
	}
	if err == nil {
		text, err = json.Marshal(v)
	}
	if err == nil {
		v, err = jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	}
	if err != nil {
		t.Fatal(file, err)
	}
	return v
}
