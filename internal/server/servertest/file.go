package servertest

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"havre/internal/api"
	"havre/internal/problem"
)

// files keeps files of services and volumes in memory: by name, then by path;
// a directory ends with a slash.
type files struct{ f *Fake }

func (x files) of(t api.Target) (map[string]string, error) {
	name := t.Name
	if strings.Contains(name, "/") {
		if _, err := x.f.volume(name); err != nil {
			return nil, err
		}
	} else {
		k, err := x.f.one(t)
		if err != nil {
			return nil, err
		}
		name = k.full()
	}
	if x.f.files[name] == nil {
		x.f.files[name] = map[string]string{"/": "", "/etc/": "", "/etc/motd": "welcome\n", "/vol/": ""}
	}
	return x.f.files[name], nil
}

// Stat tells what stands at a path.
func (x files) Stat(_ context.Context, t api.Target, at string) (api.FileStat, error) {
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	tree, err := x.of(t)
	if err != nil {
		return api.FileStat{}, err
	}
	if text, ok := tree[at]; ok && at != "/" {
		return api.FileStat{Name: path.Base(at), Size: int64(len(text))}, nil
	}
	if _, ok := tree[strings.TrimSuffix(at, "/")+"/"]; ok {
		return api.FileStat{Name: path.Base(at), Dir: true}, nil
	}
	return api.FileStat{}, problem.New(problem.NotFound, "there is no %s in %s", at, t.Name)
}

// Get writes a file or directory as a tar.
func (x files) Get(ctx context.Context, t api.Target, at string, to io.Writer) error {
	st, err := x.Stat(ctx, t, at)
	if err != nil {
		return err
	}
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	tree, err := x.of(t)
	if err != nil {
		return err
	}
	var names []string
	for name := range tree {
		if name == at || st.Dir && strings.HasPrefix(name, strings.TrimSuffix(at, "/")+"/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	w := tar.NewWriter(to)
	for _, name := range names {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: path.Base(at) + strings.TrimPrefix(name, at), Mode: 0o644, Size: int64(len(tree[name]))}
		if strings.HasSuffix(name, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.WriteString(w, tree[name]); err != nil {
			return err
		}
	}
	return w.Close()
}

// Fill makes a volume of what a tar holds.
func (x files) Fill(ctx context.Context, t api.Target, from io.Reader) error {
	project, name, _ := strings.Cut(t.Name, "/")
	x.f.AddVolume(project, name, "data", "")
	return x.Put(ctx, t, "/", from)
}

// Put unpacks a tar in a directory.
func (x files) Put(ctx context.Context, t api.Target, at string, from io.Reader) error {
	st, err := x.Stat(ctx, t, at)
	if err != nil {
		return err
	}
	if !st.Dir {
		return problem.New(problem.Invalid, "%s is no directory", at)
	}
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	tree, err := x.of(t)
	if err != nil {
		return err
	}
	r := tar.NewReader(from)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return problem.New(problem.Invalid, "the archive is no plain tar").Because(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		name := path.Join(at, h.Name)
		if h.Typeflag == tar.TypeDir {
			name = strings.TrimSuffix(name, "/") + "/"
		}
		tree[name] = string(text)
	}
}
