package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"path"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"havre/internal/api"
)

//go:generate go test . -run Fresh -update

// document answers with the API's own description.
func (s *Server) document(w http.ResponseWriter, _ *http.Request) error {
	b, err := OpenAPI()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", api.ContentJSON)
	_, _ = w.Write(b) // who has gone cannot be told
	return nil
}

// Paths lists what is served, as in package api.
func Paths() []string {
	var all []string
	for _, rt := range New(Settings{}).routes() {
		all = append(all, rt.path)
	}
	return all
}

// OpenAPI describes the API (OpenAPI 3.1), from the same table that serves it.
// Only the schemas come from huma: its router keeps the form of errors in a
// package variable, and half of our paths are streams.
func OpenAPI() ([]byte, error) {
	reg := huma.NewMapRegistry("#/components/schemas/", schemaName)
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{Title: "Havre", Version: "1", Description: "Streams are one JSON value per line; blank lines keep the connection alive. " +
			"Every error is application/problem+json. Root needs no token on the unix socket."},
		Components: &huma.Components{
			Schemas:         reg,
			SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}},
		},
		Security: []map[string][]string{{"token": {}}},
	}
	for _, rt := range New(Settings{}).routes() {
		method, path, _ := strings.Cut(rt.path, " ")
		doc.AddOperation(operation(rt, reg, method, path))
	}
	plain, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	var sorted any // of plain maps, whose keys json sorts
	if err := json.Unmarshal(plain, &sorted); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err = e.Encode(sorted)
	return text.Bytes(), err
}

// schemaName keeps apart what two packages call by the same name.
func schemaName(t reflect.Type, hint string) string {
	pkg := path.Base(t.PkgPath())
	if t.Name() == "" || pkg == "api" {
		return huma.DefaultSchemaNamer(t, hint)
	}
	return pkg + "." + t.Name()
}

func operation(rt route, reg huma.Registry, method, where string) *huma.Operation {
	op := &huma.Operation{
		OperationID: operationID(method, where),
		Method:      method,
		Path:        where,
		Summary:     rt.does,
		Responses: map[string]*huma.Response{"default": {
			Description: "what went wrong",
			Content:     content(reg, api.ContentProblem, api.Problem{}),
		}},
	}
	if rt.open {
		op.Security = []map[string][]string{{}}
	}
	if strings.Contains(where, "{name}") {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: "name", In: "path", Required: true, Schema: &huma.Schema{Type: "string"},
			Description: "whatever is unique: service, project.service or environment.project.service; likewise for projects",
		})
	}
	for _, p := range rt.query {
		op.Parameters = append(op.Parameters, &huma.Param{Name: p.name, In: "query", Description: p.does, Schema: p.schema()})
	}
	if rt.body != nil {
		op.RequestBody = &huma.RequestBody{Required: true, Content: content(reg, api.ContentJSON, rt.body)}
	}
	switch {
	case rt.events:
		op.Responses["200"] = &huma.Response{Description: "server-sent events: id is the number, event the kind, data one value", Content: content(reg, api.ContentEvents, rt.answer)}
	case rt.stream:
		op.Responses["200"] = &huma.Response{Description: "one value per line", Content: content(reg, api.ContentStream, rt.answer)}
	case rt.answer != nil:
		op.Responses["200"] = &huma.Response{Description: "done", Content: content(reg, api.ContentJSON, rt.answer)}
	default:
		op.Responses["101"] = &huma.Response{Description: "speaking " + api.ExecProtocol}
	}
	return op
}

// operationID makes post-services-name-start of POST /v1/services/{name}/start.
func operationID(method, path string) string {
	path = strings.NewReplacer("/", "-", "{", "", "}", "", ".json", "").Replace(strings.TrimPrefix(path, "/v1"))
	return strings.ToLower(method) + path
}

// content is the schema of a body; a string names its kind instead.
func content(reg huma.Registry, kind string, body any) map[string]*huma.MediaType {
	if k, ok := body.(string); ok {
		return map[string]*huma.MediaType{k: {Schema: &huma.Schema{}}}
	}
	return map[string]*huma.MediaType{kind: {Schema: reg.Schema(reflect.TypeOf(body), true, "")}}
}

func (p param) schema() *huma.Schema {
	if p.kind == "strings" {
		return &huma.Schema{Type: "array", Items: &huma.Schema{Type: "string"}}
	}
	return &huma.Schema{Type: p.kind}
}
