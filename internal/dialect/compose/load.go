package compose

import (
	"context"
	"fmt"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
)

// library is the reader of the specification's forms: short and long, merging,
// extends, units. It works on trees that were checked, so it sees neither
// variables nor fields that are not honoured, and reads no file.
type library struct {
	vars     variables
	name     string
	profiles []string
}

// load reads trees into the library's types.
func (l library) load(ctx context.Context, f forest) (p *types.Project, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the reader gave up: %v", r)
		}
	}()
	details := types.ConfigDetails{WorkingDir: "/", Environment: types.Mapping(l.vars.clone())}
	for _, t := range f {
		values, err := t.values()
		if err != nil {
			return nil, err
		}
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: t.file, Config: values})
	}
	return loader.LoadWithContext(ctx, details, func(o *loader.Options) {
		o.SetProjectName(l.name, true)
		o.ResolvePaths = false
		o.SkipNormalization = true
		o.SkipConsistencyCheck = true
		o.SkipInclude = true
		o.SkipResolveEnvironment = true
		o.SkipResolveLabels = true
		o.Profiles = l.profiles
		o.Interpolate.Substitute = func(s string, _ template.Mapping) (string, error) { return s, nil }
	})
}

// clone protects v: the library writes into the environment it is given.
func (v variables) clone() map[string]string {
	c := make(map[string]string, len(v)+1)
	for name, value := range v {
		c[name] = value
	}
	return c
}
