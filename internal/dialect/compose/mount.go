package compose

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"havre/internal/problem"
	"havre/internal/spec"
)

// mounts are the volumes, files and memory of a service.
func (r *reader) mounts(name string, s types.ServiceConfig) []spec.Mount {
	var all []placedMount
	whole := ""
	add := func(at problem.Place, more ...spec.Mount) {
		for _, m := range more {
			m.Target = clean(m.Target)
			all = append(all, placedMount{m, at, cmp.Or(whole, m.Target)})
		}
	}
	r.options(name)
	places := r.items(name, "volumes", target)
	for _, v := range s.Volumes {
		at := places.at(clean(v.Target))
		whole = clean(v.Target)
		add(at, r.volume(at, name, v)...)
	}
	whole = ""
	places = r.items(name, "tmpfs", itself)
	for _, t := range s.Tmpfs {
		at := places.at(t)
		add(at, r.tmpfs(at, t)...)
	}
	if s.ShmSize > 0 {
		add(r.at(name, "shm_size"), spec.Mount{Kind: spec.Tmpfs, Target: "/dev/shm", Size: spec.Bytes(s.ShmSize)})
	}
	places = r.items(name, "configs", itselfOr("source"))
	for _, c := range s.Configs {
		at := places.at(c.Source)
		add(at, r.config(at, c)...)
	}
	places = r.items(name, "secrets", itselfOr("source"))
	for _, s := range s.Secrets {
		at := places.at(s.Source)
		add(at, r.secret(at, s)...)
	}
	var mounts []spec.Mount
	for _, m := range all {
		if !slices.ContainsFunc(all, m.under) {
			r.Origins[fmt.Sprintf("services.%s.mounts[%d]", name, len(mounts))] = m.at
			mounts = append(mounts, m.Mount)
		}
	}
	return mounts
}

// placedMount is a mount, where it is written, and what is mounted whole
// there: a directory is uploaded as its files.
type placedMount struct {
	spec.Mount
	at    problem.Place
	whole string
}

// under tells whether another mount lies above a file of a directory: what
// stands deeper in it was mounted later.
func (m placedMount) under(other placedMount) bool {
	return m.whole != other.whole && below(other.whole, m.whole) && (m.Target == other.whole || below(m.Target, other.whole))
}

func below(target, dir string) bool {
	return strings.HasPrefix(target, strings.TrimSuffix(dir, "/")+"/")
}

// clean drops the slash that people like to end a directory with.
func clean(target string) string {
	if target == "" {
		return ""
	}
	return path.Clean(target)
}

// target is where an item mounts something.
func target(n *yaml.Node) []string {
	if n.Kind == yaml.ScalarNode {
		v, err := format.ParseVolume(n.Value)
		if err != nil {
			return nil
		}
		return []string{clean(v.Target)}
	}
	if _, t := child(n, "target"); t != nil {
		return []string{clean(t.Value)}
	}
	return nil
}

// options judges the third part of short mounts: the library ignores options
// that it does not know.
func (r *reader) options(name string) {
	for _, service := range r.chain(name) {
		for _, t := range r.forest.all("services", service, "volumes") {
			for _, n := range t.root.Content {
				parts := strings.Split(n.Value, ":")
				if n.Kind != yaml.ScalarNode || len(parts) < 3 {
					continue
				}
				at := problem.Place{File: t.file, Line: n.Line, Column: n.Column}
				for _, o := range strings.Split(parts[2], ",") {
					r.option(at, o)
				}
			}
		}
	}
}

func (r *reader) option(at problem.Place, option string) {
	switch option {
	case "ro", "rw", "private", "rprivate":
	case "z", "Z", "cached", "delegated", "consistent":
		r.Warn(at, "option "+option+" has no effect on a mount", leaveOut)
	case "nocopy":
		r.Refuse(at, "option nocopy is refused: a new volume begins with what the image has there", leaveOut)
	default:
		r.Refuse(at, fmt.Sprintf("mount option %q is refused", option), "use ro, rw or nothing")
	}
}

func (r *reader) volume(at problem.Place, service string, v types.ServiceVolumeConfig) []spec.Mount {
	switch v.Type {
	case types.VolumeTypeVolume:
		source := v.Source
		if source == "" {
			source = r.anonymous(service, v.Target)
		} else if declared, _ := r.forest.find("volumes", source); declared == nil {
			r.Refuse(at, fmt.Sprintf("volume %s is not declared", source), r.meant("volumes", source, fmt.Sprintf("add it at the top of the file: volumes: {%s: {}}", source)))
		}
		return []spec.Mount{{Kind: spec.Volume, Source: source, Target: v.Target, ReadOnly: v.ReadOnly}}
	case types.VolumeTypeTmpfs:
		m := spec.Mount{Kind: spec.Tmpfs, Target: v.Target, ReadOnly: v.ReadOnly}
		if v.Tmpfs != nil {
			m.Size = spec.Bytes(v.Tmpfs.Size)
		}
		return []spec.Mount{m}
	case types.VolumeTypeBind:
		return r.bind(at, v)
	}
	r.Refuse(at, fmt.Sprintf("a mount of type %q is refused", v.Type), "use volume, bind with a relative path, or tmpfs")
	return nil
}

// anonymous names a volume after its service and target, beside the declared ones.
func (r *reader) anonymous(service, target string) string {
	name := service + strings.ReplaceAll(clean(target), "/", "_")
	for {
		if declared, _ := r.forest.find("volumes", name); declared == nil {
			return name
		}
		name += "_anonymous"
	}
}

// sockets are the files by which engines are spoken to.
var sockets = []string{"docker.sock", "podman.sock", "containerd.sock", "crio.sock"}

const socketRemedy = "take it out: in place of a proxy that finds containers (Traefik, nginx-proxy) give each service x-havre: {domains: [NAME]}; of an updater (Watchtower) write pull_policy: always, and let cron run havre apply --yes; of a dashboard look at the status page, havre ps and havre logs"

// zones is where the machine keeps its time zones.
const zones = "/usr/share/zoneinfo/"

// bind takes what is beside the file; everything else on the machine is out of
// reach.
func (r *reader) bind(at problem.Place, v types.ServiceVolumeConfig) []spec.Mount {
	const kept = "use a named volume, or a path beside the file that begins with ./"
	switch {
	case slices.Contains(sockets, path.Base(v.Source)):
		r.Refuse(at, "the engine's socket is the guard's alone: whoever holds it is root on the machine", socketRemedy)
	case v.Source == "/etc/localtime" || v.Source == "/etc/timezone" || strings.HasPrefix(v.Source, zones):
		zone := strings.TrimPrefix(v.Source, zones)
		if strings.HasPrefix(zone, "/etc/") {
			zone = "Europe/Paris"
		}
		r.Warn(at, fmt.Sprintf("%s is not mounted: the machine's clock is the container's, its time zone is not", v.Source), "take it out, and where the zone matters set the variable TZ, like "+zone)
	case v.Source == "":
		r.Refuse(at, "a bind mount has no source", "write source: ./FILE")
	case strings.HasPrefix(v.Source, "~"):
		r.Refuse(at, fmt.Sprintf("%s cannot be mounted: home directories are out of reach", v.Source), kept)
	case strings.HasPrefix(v.Source, "/") || strings.Contains(v.Source, `\`) || strings.Contains(v.Source, ":"):
		r.Refuse(at, fmt.Sprintf("%s cannot be mounted: paths of the machine are out of reach", v.Source), kept)
	default:
		return r.uploads.mount(at, v)
	}
	return nil
}

// tmpfs reads "/run" and "/run:size=64m,mode=1777".
func (r *reader) tmpfs(at problem.Place, t string) []spec.Mount {
	target, options, _ := strings.Cut(t, ":")
	m := spec.Mount{Kind: spec.Tmpfs, Target: target}
	for _, o := range strings.Split(options, ",") {
		key, value, _ := strings.Cut(o, "=")
		switch {
		case key == "size":
			var size types.UnitBytes
			if err := size.DecodeMapstructure(value); err != nil || size < 0 {
				r.Refuse(at, fmt.Sprintf("%q is not a size", value), "write it like size=64m")
			}
			m.Size = spec.Bytes(max(size, 0))
		case key == "ro":
			m.ReadOnly = true
		case slices.Contains([]string{"", "rw", "noexec", "nosuid", "nodev"}, o), key == "mode" && strings.TrimLeft(value, "0") == "1777":
		case key == "mode", key == "uid", key == "gid":
			r.Warn(at, fmt.Sprintf("tmpfs option %q has no effect: a tmpfs is root's and has mode 1777, so that all may write", o), leaveOut)
		default:
			r.Refuse(at, fmt.Sprintf("tmpfs option %q is refused", o), "use size=, or nothing")
		}
	}
	return []spec.Mount{m}
}

// config mounts one of configs: as a file.
func (r *reader) config(at problem.Place, c types.ServiceConfigObjConfig) []spec.Mount {
	declared, _ := r.forest.find("configs", c.Source)
	if declared == nil {
		r.Refuse(at, fmt.Sprintf("config %s is not declared", c.Source), r.meant("configs", c.Source, "add it at the top of the file, below configs:"))
		return nil
	}
	target := c.Target
	if target == "" {
		target = "/" + c.Source
	}
	if !path.IsAbs(target) {
		target = "/" + target
	}
	mode := uint32(0o444)
	if c.Mode != nil {
		mode = uint32(*c.Mode) & 0o777
	}
	f, ok := r.content(c.Source, r.project.Configs[c.Source])
	if !ok {
		return nil
	}
	f.Mode = mode
	r.named(c.Source, &f)
	return []spec.Mount{{
		Kind: spec.Config, Source: r.uploads.keep(f), Target: target, ReadOnly: true,
		UID: r.number(at, "uid", c.UID), GID: r.number(at, "gid", c.GID),
	}}
}

// named reads x-havre of a config: the file's own name, and bytes that are no
// text. The normal form needs both.
func (r *reader) named(config string, f *spec.File) {
	e, ok := r.files[config]
	if !ok || empty(e.node) {
		return
	}
	if e.node.Kind != yaml.MappingNode {
		r.Refuse(placed(e.file, e.node), "x-havre must be a mapping", "write x-havre: {name: conf/app.conf}")
		return
	}
	if _, name := child(e.node, "name"); name != nil && name.Kind == yaml.ScalarNode && name.Value != "" {
		f.Name = name.Value
	}
	if _, bytes := child(e.node, "base64"); bytes != nil {
		content, err := base64.StdEncoding.DecodeString(bytes.Value)
		if err != nil || len(content) > spec.MaxFile {
			r.Refuse(placed(e.file, bytes), "x-havre.base64 is not base64, or of more than 1000 KiB", "write what base64 -w0 FILE prints, or use file:")
			return
		}
		f.Content = content
	}
}

// content is what a config of the file says.
func (r *reader) content(name string, c types.ConfigObjConfig) (spec.File, bool) {
	_, at := r.forest.find("configs", name)
	switch {
	case c.File != "":
		_, at = r.forest.find("configs", name, "file")
		content, _, ok := r.uploads.read(at, c.File)
		return spec.File{Name: name, Content: content}, ok
	case c.Environment != "":
		value, ok := r.vars[c.Environment]
		if !ok {
			r.Refuse(at, fmt.Sprintf("config %s takes variable %s, which is not set", name, c.Environment), "set it in the environment or in .env")
		}
		return spec.File{Name: name, Content: []byte(value)}, ok
	}
	if n, _ := r.forest.find("configs", name, "content"); n == nil {
		r.Refuse(at, fmt.Sprintf("config %s has no content", name), "give it file:, content: or environment:")
		return spec.File{}, false
	}
	return spec.File{Name: name, Content: []byte(c.Content)}, true
}
