package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"havre/internal/dialect/source"
	"havre/internal/problem"
	"havre/internal/spec"
)

// Bounds on what is uploaded with one project.
const (
	maxUploads    = 500
	maxUploadSize = 16 << 20
)

// uploads reads small files that services mount.
type uploads struct {
	*source.Reading
	dir   string
	files []spec.File
	size  int
	full  bool // the bounds were passed, and that was said
}

func newUploads(r *source.Reading, dir string) *uploads { return &uploads{Reading: r, dir: dir} }

// mount uploads a file, or each file of a directory.
func (u *uploads) mount(at problem.Place, v types.ServiceVolumeConfig) []spec.Mount {
	name := filepath.Clean(v.Source)
	where := filepath.Join(u.dir, name)
	info, err := os.Stat(where)
	if err != nil {
		u.Refuse(at, fmt.Sprintf("%s cannot be read: %s", v.Source, reason(err)), "create it; for data that is kept use a named volume")
		return nil
	}
	if !u.inside(at, v.Source, where) {
		return nil
	}
	if !v.ReadOnly {
		u.Warn(at, fmt.Sprintf("%s is uploaded and read-only in the container: changes made inside are not kept", v.Source), "write :ro behind it, or use a named volume for data")
	}
	if !info.IsDir() {
		content, mode, ok := u.read(at, v.Source)
		if !ok {
			return nil
		}
		kept := u.keep(spec.File{Name: filepath.ToSlash(name), Content: content, Mode: mode})
		return []spec.Mount{{Kind: spec.Config, Source: kept, Target: v.Target, ReadOnly: true}}
	}
	return u.directory(at, v, where)
}

// inside refuses links that lead out of the project's directory from a path
// that seems to be in it.
func (u *uploads) inside(at problem.Place, source, where string) bool {
	name := filepath.Clean(source)
	if filepath.IsAbs(name) || name == ".." || strings.HasPrefix(name, "../") {
		return true // named as being elsewhere
	}
	dir, err := filepath.EvalSymlinks(u.dir)
	if err == nil {
		where, err = filepath.EvalSymlinks(where)
	}
	if err == nil {
		name, err = filepath.Rel(dir, where)
	}
	if err != nil || name == ".." || strings.HasPrefix(name, "../") {
		u.Refuse(at, fmt.Sprintf("%s is a link that leads out of the project's directory", source), "copy the file")
		return false
	}
	return true
}

// read reads one file and its mode.
func (u *uploads) read(at problem.Place, source string) ([]byte, uint32, bool) {
	f, ok := u.open(at, source)
	if !ok {
		return nil, 0, false
	}
	defer f.Close()
	return u.take(at, source, f)
}

// open opens a file that the person named. The caller closes it.
func (u *uploads) open(at problem.Place, source string) (*os.File, bool) {
	where := source
	if !filepath.IsAbs(where) {
		where = filepath.Join(u.dir, where)
	}
	if !u.inside(at, source, where) {
		return nil, false
	}
	info, err := os.Stat(where)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a file")
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(where)
	}
	if err != nil {
		u.Refuse(at, fmt.Sprintf("%s cannot be read: %s", source, reason(err)), "name a readable file")
		return nil, false
	}
	return f, true
}

// take reads an open file within the bounds.
func (u *uploads) take(at problem.Place, name string, f fs.File) ([]byte, uint32, bool) {
	info, err := f.Stat()
	var content []byte
	if err == nil {
		content, err = io.ReadAll(io.LimitReader(f, spec.MaxFile+1))
	}
	if err != nil {
		u.Refuse(at, fmt.Sprintf("%s cannot be read: %s", name, reason(err)), "name a readable file")
		return nil, 0, false
	}
	if len(content) > spec.MaxFile {
		u.Refuse(at, fmt.Sprintf("%s is larger than %d KiB", name, spec.MaxFile/1024), "put it into a volume or into the image")
		return nil, 0, false
	}
	if u.passed(at, 0, len(content)) {
		return nil, 0, false
	}
	mode := uint32(info.Mode().Perm())
	if mode&0o004 == 0 {
		u.Warn(at, fmt.Sprintf("%s has mode %04o and belongs to root in the container: only root can read it there", name, mode), "chmod a+r, if the app runs as another user")
	}
	return content, mode, true
}

// keep adds a file, or finds the same one from before, and gives its name.
func (u *uploads) keep(f spec.File) string {
	if f.Mode == 0 {
		f.Mode = 0o444
	}
	for i := 0; i < len(u.files); i++ {
		old := u.files[i]
		if old.Name != f.Name {
			continue
		}
		if old.Mode == f.Mode && bytes.Equal(old.Content, f.Content) {
			return f.Name
		}
		f.Name += "~"
		i = -1
	}
	u.files = append(u.files, f)
	u.size += len(f.Content)
	u.Origins["files."+f.Name] = u.Origins[""]
	return f.Name
}

// directory uploads the files below a directory.
func (u *uploads) directory(at problem.Place, v types.ServiceVolumeConfig, where string) []spec.Mount {
	root, err := os.OpenRoot(where)
	if err != nil {
		u.Refuse(at, fmt.Sprintf("%s cannot be read: %s", v.Source, reason(err)), "name a readable directory")
		return nil
	}
	defer root.Close()
	var mounts []spec.Mount
	seen := 0
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if seen++; u.passed(at, seen, 0) {
			return fs.SkipAll
		}
		file, ok := u.entry(at, v.Source, root, name)
		if ok {
			mounts = append(mounts, spec.Mount{Kind: spec.Config, Source: u.keep(file), Target: path.Join(v.Target, name), ReadOnly: true})
		}
		return nil
	})
	if err != nil {
		u.Refuse(at, fmt.Sprintf("%s cannot be read: %s", v.Source, reason(err)), "name a readable directory")
	}
	if seen == 0 && err == nil {
		u.Refuse(at, v.Source+" is empty: there is nothing to upload", "for data that is kept use a named volume")
	}
	return mounts
}

// entry reads one file of a directory. The root lets no link lead out of it.
func (u *uploads) entry(at problem.Place, source string, root *os.Root, name string) (spec.File, bool) {
	shown := path.Join(filepath.ToSlash(filepath.Clean(source)), name)
	info, err := root.Stat(name)
	switch {
	case err != nil:
		u.Refuse(at, fmt.Sprintf("%s is a link that leads out of %s, or nowhere", shown, source), "copy the file in its place")
		return spec.File{}, false
	case !info.Mode().IsRegular():
		u.Refuse(at, shown+" is not a file", "upload files only")
		return spec.File{}, false
	}
	f, err := root.Open(name)
	if err != nil {
		u.Refuse(at, fmt.Sprintf("%s cannot be read: %s", shown, reason(err)), "make it readable")
		return spec.File{}, false
	}
	defer f.Close()
	content, mode, ok := u.take(at, shown, f)
	return spec.File{Name: shown, Content: content, Mode: mode}, ok
}

// passed tells whether more may be uploaded with the project: files seen in
// one directory, and bytes.
func (u *uploads) passed(at problem.Place, seen, size int) bool {
	if len(u.files) < maxUploads && seen <= maxUploads && u.size+size <= maxUploadSize {
		return false
	}
	if !u.full {
		u.Refuse(at, fmt.Sprintf("more than %d files or %d MiB would be uploaded", maxUploads, maxUploadSize>>20), "put them into the image or into a volume")
	}
	u.full = true
	return true
}
