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
	"regexp"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"havre/internal/dialect/source"
	"havre/internal/problem"
	"havre/internal/spec"
)

// Bounds on what is uploaded with one project.
const (
	maxUploads    = 500
	maxInOne      = 200 // files of one directory: each is a mount, and a container has spec.MaxMounts
	maxUploadSize = 16 << 20
)

// uploads reads what services mount of the directory that the files are in:
// files, and directories that are only read, travel with the project; what a
// service writes is a volume.
type uploads struct {
	*source.Reading
	dir     string
	files   []spec.File
	size    int
	full    bool              // the bounds were passed, and that was said
	written map[string]bool   // directories that some service mounts to write
	taken   map[string]string // names of volumes, and what they stand for: a directory, or "" for one that is declared
}

func newUploads(r *source.Reading, dir string) *uploads {
	return &uploads{Reading: r, dir: dir, written: map[string]bool{}, taken: map[string]string{}}
}

// look finds the names of volumes, and which directories are written: where
// one service only reads what another one writes, both have the volume.
func (u *uploads) look(p *types.Project) {
	for name := range p.Volumes {
		u.taken[name] = ""
	}
	for _, s := range p.Services {
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind && !v.ReadOnly && v.Source != "" && !filepath.IsAbs(v.Source) {
				u.written[beside(v.Source)] = true
			}
		}
	}
}

// beside is a path from the directory that the files are in.
func beside(source string) string { return filepath.ToSlash(filepath.Clean(source)) }

// mount takes a file or a directory. One that is not there is an empty
// directory, as docker makes it.
func (u *uploads) mount(at problem.Place, v types.ServiceVolumeConfig) []spec.Mount {
	where := filepath.Join(u.dir, beside(v.Source))
	info, err := os.Stat(where)
	if _, there := os.Lstat(where); err != nil && !errors.Is(there, fs.ErrNotExist) {
		u.Refuse(at, fmt.Sprintf("%s cannot be read: %s", v.Source, reason(err)), "create it; for data that is kept use a named volume")
		return nil
	}
	if err == nil && !u.inside(at, v.Source, where) {
		return nil
	}
	if err == nil && !info.IsDir() {
		return u.file(at, v)
	}
	if real, err := filepath.EvalSymlinks(where); err == nil {
		where = real // what a link is counts as what it leads to
	}
	n, size, fits, err := u.measure(where)
	switch {
	case u.written[beside(v.Source)] || !fits:
		f := source.Fill{Dir: where, Files: n, Bytes: size, Where: at}
		if err != nil {
			f.Broken = reason(err)
		}
		return u.volume(at, v, f)
	case err != nil:
		u.Refuse(at, fmt.Sprintf("%s cannot be read: %s", v.Source, reason(err)), "name a readable directory")
		return nil
	}
	return u.directory(at, v, where)
}

func (u *uploads) file(at problem.Place, v types.ServiceVolumeConfig) []spec.Mount {
	if !v.ReadOnly {
		u.Warn(at, fmt.Sprintf("%s is uploaded and read-only in the container: changes made inside are not kept", v.Source), "write :ro behind it; for data mount a directory, or a named volume")
	}
	content, mode, ok := u.read(at, v.Source)
	if !ok {
		return nil
	}
	kept := u.keep(spec.File{Name: beside(v.Source), Content: content, Mode: mode})
	return []spec.Mount{{Kind: spec.Config, Source: kept, Target: v.Target, ReadOnly: true}}
}

// mostCounted bounds how many files of a directory are looked at.
const mostCounted = 1_000_000

// measure counts what a directory has, and tells whether that fits beside what
// is uploaded already. One that is not there has nothing.
func (u *uploads) measure(where string) (n int, size int64, fits bool, err error) {
	fits = true
	err = filepath.WalkDir(where, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case name == where && errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil || entry.IsDir():
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if n++; n > mostCounted {
			return fs.SkipAll
		}
		if info.Mode().IsRegular() {
			size += info.Size()
			fits = fits && info.Size() <= spec.MaxFile
		}
		return nil
	})
	return n, size, fits && n <= maxInOne && len(u.files)+n <= maxUploads && int64(u.size)+size <= maxUploadSize, err
}

// volume keeps a directory as a volume of the project that is named by its
// path.
func (u *uploads) volume(at problem.Place, v types.ServiceVolumeConfig, f source.Fill) []spec.Mount {
	from := beside(v.Source)
	for other := range u.written {
		if within, err := filepath.Rel(other, from); err == nil && within != "." && within != ".." && !strings.HasPrefix(within, "../") {
			u.Warn(at, fmt.Sprintf("%s lies in %s, and each is a volume of its own: what changes in one does not show in the other", v.Source, other), "mount only one of them")
		}
	}
	f.Volume = directoryVolume(from)
	for stands, taken := u.taken[f.Volume]; taken && stands == ""; stands, taken = u.taken[f.Volume] {
		f.Volume += "_directory" // a volume that is declared has its own name
	}
	if stands := u.taken[f.Volume]; stands != "" && stands != from {
		u.Refuse(at, fmt.Sprintf("%s and %s would both be the volume %s", stands, from, f.Volume), "rename one of the directories, or use a named volume")
		return nil
	}
	_, known := u.taken[f.Volume]
	u.taken[f.Volume] = from
	if f.From = from; from != "." && !strings.HasPrefix(from, "../") && from != ".." {
		f.From = "./" + from
	}
	if f.Files > 0 && !known || f.Broken != "" && !known {
		u.Fills = append(u.Fills, f)
	}
	u.Warn(at, u.keeps(v, f), fmt.Sprintf("copy files in or out with: havre cp %s/. %s/%s:/", f.From, u.Project.Name, f.Volume))
	return []spec.Mount{{Kind: spec.Volume, Source: f.Volume, Target: v.Target, ReadOnly: v.ReadOnly, From: f.From}}
}

// keeps says what becomes of a directory that is a volume.
func (u *uploads) keeps(v types.ServiceVolumeConfig, f source.Fill) string {
	why := "is kept as"
	if !u.written[beside(v.Source)] {
		why = fmt.Sprintf("is larger than what travels with a project (%d files of %d KiB each, %d MiB in all), so it is kept as", maxInOne, spec.MaxFile/1024, maxUploadSize>>20)
	}
	if f.Files == 0 {
		return fmt.Sprintf("%s %s the volume %s of the project, which begins empty", v.Source, why, f.Volume)
	}
	return fmt.Sprintf("%s %s the volume %s of the project, which begins with what the directory has at the first apply; later changes here do not reach it", v.Source, why, f.Volume)
}

// notInVolumes are the characters that names of volumes do not have.
var notInVolumes = regexp.MustCompile(`[^a-zA-Z0-9._-]+`)

// directoryVolume names a volume by a path: ./data/db is data_db.
func directoryVolume(from string) string {
	var words []string
	for part := range strings.SplitSeq(from, "/") {
		switch part {
		case ".":
			part = "project"
		case "..":
			part = "up"
		}
		words = append(words, part)
	}
	name := notInVolumes.ReplaceAllString(strings.Join(words, "_"), "_")
	for strings.Contains(name, "..") {
		name = strings.ReplaceAll(name, "..", ".")
	}
	if name = strings.TrimLeft(name, "._-"); name == "" {
		name = "directory"
	}
	return name[:min(len(name), 100)]
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

// directory uploads the files below a directory that is only read. They lie in
// a memory that cannot be written, so that whatever else is written there is
// refused and not lost.
func (u *uploads) directory(at problem.Place, v types.ServiceVolumeConfig, where string) []spec.Mount {
	root, err := os.OpenRoot(where)
	if errors.Is(err, fs.ErrNotExist) {
		u.Warn(at, v.Source+" is not there: it is an empty directory, which nothing can be written to", "create it, or take the mount out")
		return []spec.Mount{{Kind: spec.Tmpfs, Target: v.Target, ReadOnly: true}}
	}
	if err != nil {
		u.Refuse(at, fmt.Sprintf("%s cannot be read: %s", v.Source, reason(err)), "name a readable directory")
		return nil
	}
	defer root.Close()
	mounts := []spec.Mount{{Kind: spec.Tmpfs, Target: v.Target, ReadOnly: true}}
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
