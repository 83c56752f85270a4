package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"havre/internal/client"
	"havre/internal/problem"
	"havre/internal/role"
	"havre/internal/secret"
)

// place is where the server is and how to get in; it is what the context file
// holds.
type place struct {
	URL       string `json:"url,omitempty"`
	Token     string `json:"token,omitempty"`
	TokenFile string `json:"tokenFile,omitempty"`
	Env       string `json:"env,omitempty"`
}

// defaultURL is where a server is found that nobody named and whose socket is
// not ours to use.
const defaultURL = "http://127.0.0.1:7080"

// context is the saved place with what the variables say over it. A saved
// token is never shown to another address than the one it was saved with.
func (c *console) context() (place, error) {
	p, err := savedPlace(contextFile(c.getenv))
	if err != nil {
		return place{}, err
	}
	if url := c.getenv("HAVRE_URL"); url != "" && url != p.URL {
		p.URL, p.Token, p.TokenFile = url, "", ""
	}
	if token := c.getenv("HAVRE_TOKEN"); token != "" {
		p.Token, p.TokenFile = token, ""
	}
	if p.URL == "" {
		p.URL = defaultURL
		socket := role.Layout{Data: role.DefaultData}.ServerSocket()
		if unix.Access(socket, unix.R_OK|unix.W_OK) == nil {
			p.URL = "unix://" + socket
		}
	}
	return p, nil
}

// config reads the token, if it is in a file.
func (p place) config() (client.Config, error) {
	config := client.Config{URL: p.URL, Token: secret.New(p.Token)}
	if p.TokenFile == "" {
		return config, nil
	}
	token, err := secret.Read(p.TokenFile)
	if err != nil {
		return config, problem.New(problem.Invalid, "read the token").Because(err).
			With("name a readable file as tokenFile in the saved context, or set HAVRE_TOKEN")
	}
	config.Token = token
	return config, nil
}

// contextFile is "" where people have no home.
func contextFile(getenv func(string) string) string {
	if dir := getenv("XDG_CONFIG_HOME"); dir != "" {
		return filepath.Join(dir, "havre", "context.json")
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".config", "havre", "context.json")
	}
	return ""
}

// savedPlace reads the context file; without one it is the zero place.
func savedPlace(file string) (p place, err error) {
	if file == "" {
		return p, nil
	}
	f, err := os.Open(filepath.Clean(file))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	var info fs.FileInfo
	var text []byte
	if err == nil {
		defer f.Close()
		info, err = f.Stat()
	}
	if err == nil {
		text, err = io.ReadAll(f)
	}
	if err != nil {
		return p, problem.New(problem.Invalid, "read the saved context").Because(err).With("make it readable, or remove it")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return place{}, problem.New(problem.Invalid, "the saved context %s is not understood", file).Because(err).
			With("it holds url, token or tokenFile, and env; mend it or remove it")
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); p.TokenFile != "" && os.Geteuid() == 0 && (!ok || owner.Uid != 0) {
		return place{}, problem.New(problem.Denied, "the saved context %s is another user's, and names a file that root would read for that user", file).
			With("set HAVRE_TOKEN, or write a context of root's own")
	}
	if p.Token != "" && info.Mode().Perm()&0o077 != 0 {
		return place{}, problem.New(problem.Invalid, "others may read the token in %s", file).With("chmod 600 %s", file)
	}
	return p, nil
}
