package role

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"havre/internal/disk"
	"havre/internal/problem"
)

// Config is the configuration of a role. Every field works when it is absent.
type Config interface {
	// Validate reports all mistakes at once.
	Validate() problem.List
}

// Load reads a role's configuration file over its defaults. A file that is
// missing is an empty one; an unknown key is a mistake.
// Errors: Invalid, all mistakes at once.
func Load[C Config](l Layout, name string, c C) (C, error) {
	file := l.Config(name)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, c.Validate().AsError()
	}
	if errors.Is(err, fs.ErrPermission) {
		return c, problem.New(problem.Denied, "only root and the %s may read %s", name, file).Because(err).With("run it with sudo")
	}
	if err != nil {
		return c, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return c, problem.New(problem.Invalid, "%s is not a configuration of %s", file, name).Because(err).With("see the keys with: havre config show %s", name)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return c, problem.New(problem.Invalid, "%s: something follows the configuration", file).With("leave one JSON object in it")
	}
	wrong := c.Validate()
	for _, p := range wrong {
		p.Where.File = file
	}
	return c, wrong.AsError()
}

// Override changes some keys of a role's configuration file and checks the whole.
// Errors: Invalid; then the file is as it was.
func Override(l Layout, r Role, keys map[string]any) error {
	if len(keys) == 0 {
		return nil
	}
	file := l.Config(r.Name)
	now := map[string]any{}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &now)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("change %s: %w", file, err)
	}
	if now == nil { // the file says null
		now = map[string]any{}
	}
	for k, v := range keys {
		now[k] = v
	}
	text, err = json.MarshalIndent(now, "", "\t")
	if err != nil {
		return err
	}
	c := r.New()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return problem.New(problem.Invalid, "the configuration of %s would be wrong", r.Name).Because(err)
	}
	if wrong := c.Validate(); len(wrong) > 0 {
		return wrong
	}
	dir, err := disk.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close()
	group := 0
	if r.As != "" {
		group = lookUp(r.As).gid
	}
	return dir.Write(filepath.Base(file), append(text, '\n'), disk.Owner{UID: -1, GID: group}, configMode)
}

// configMode lets a role read its configuration, and nobody else but root: the
// address of a webhook is a key.
const configMode = 0o640

// configs are the roles' configurations, each with who may read it.
func configs(server, ingress account) []part {
	return []part{
		{"config/guard.json", account{}, configMode},
		{"config/server.json", account{0, server.gid}, configMode},
		{"config/ingress.json", account{0, ingress.gid}, configMode},
	}
}

// closeConfigs takes the configurations from the eyes of others. Their
// directory is root's, and so are links in it.
func (l Layout) closeConfigs(server, ingress account) error {
	for _, c := range configs(server, ingress) {
		file := filepath.Join(l.Data, c.path)
		err := errors.Join(os.Chown(file, 0, c.who.gid), os.Chmod(file, configMode))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return problem.New(problem.Failed, "take %s from the eyes of others", file).Because(err).With("chown 0:%d %s && chmod 0640 %s", c.who.gid, file, file)
		}
	}
	return nil
}

// Show gives a role's configuration as it is in force. Secrets are paths, so
// there is nothing to hide.
func Show(l Layout, r Role) ([]byte, error) {
	c, err := Load(l, r.Name, r.New())
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(c, "", "\t")
}

// ports that a configuration may name.
func goodPort(p *problem.List, name string, n int) {
	if n < 1 || n > 65535 {
		*p = append(*p, problem.New(problem.Invalid, "%s: %d is not a port", name, n).With("use 1 to 65535"))
	}
}
