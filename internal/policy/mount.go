package policy

import (
	"path"
	"slices"
	"strings"

	"havre/internal/dockercall"
	"havre/internal/pattern"
)

var logForms = map[string]*pattern.Pattern{
	"max-size": pattern.New(`^[1-9][0-9]{0,3}[km]$`),
	"max-file": pattern.New(`^([1-9]|10)$`),
}

// judgeMounts gives the mounts as they are made. What is only read comes from a
// mount that is read-only itself: where the runtime remounts one for that, it
// forgets nosuid and nodev (runc 1.1, remount).
func judgeMounts(q question, p place, mounts []dockercall.Mount) ([]dockercall.Mount, error) {
	made := slices.Clone(mounts)
	for i, m := range made {
		if err := judgeTarget(m.Target, m.Type == dockercall.TmpfsMount); err != nil {
			return nil, err
		}
		if err := judgeSource(q, p, m); err != nil {
			return nil, err
		}
		if below, ok := strings.CutPrefix(m.Source, q.bounds.Volumes+"/"); ok && m.ReadOnly && m.Type == dockercall.BindMount && q.bounds.ReadOnly != "" {
			made[i].Source, made[i].ReadOnly = q.bounds.ReadOnly+"/"+below, false
		}
	}
	return made, nil
}

// engineFiles are what the engine mounts by itself, besides /proc, /sys and
// /dev. They are no place for a link of a volume either.
var engineFiles = []dockercall.Path{"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}

// judgePlaces looks at all that is mounted into a container, files too. The
// engine finds the place of a mount by following the links that it meets in
// the image and in what is mounted already: a link could lead it over /dev,
// and what the runtime opens there by name, with root's rights, would be the
// link's to choose.
func judgePlaces(q question, mounts []dockercall.Mount, files []dockercall.Path) error {
	targets, volumes := slices.Clone(files), []dockercall.Path{}
	for _, m := range mounts {
		targets = append(targets, m.Target)
		if m.Type != dockercall.TmpfsMount { // memory is empty at the start: it has no links
			volumes = append(volumes, m.Target)
		}
	}
	if len(targets) > MaxMounts {
		return refuse(Amount, "a container has at most %d mounts", MaxMounts)
	}
	seen := map[dockercall.Path]bool{}
	for _, t := range targets {
		if seen[t] {
			return refuse(MountTarget, "two mounts at %s", t)
		}
		seen[t] = true
		if err := judgeResolved(q, t); err != nil {
			return err
		}
	}
	for _, t := range slices.Concat(targets, engineFiles) {
		if v := above(volumes, t); v != "" {
			return refuse(MountBelow, "%s lies below %s, which is a mount of its own: a link in there could lead it anywhere. Mount it beside, or only the one above", t, v)
		}
	}
	return judgeImageVolumes(q, seen)
}

// MaxMounts is how much is mounted into a container, files too.
const MaxMounts = 256

// judgeResolved wants no link of the image on the way to a target.
func judgeResolved(q question, t dockercall.Path) error {
	leads, known := q.facts.Resolved[t]
	switch {
	case !known:
		return refuse(MountLink, "where %s leads in the image is not known", t)
	case leads != t:
		return refuse(MountLink, "%s leads over a link of the image to %s: mount it there", t, leads)
	}
	return nil
}

// above gives the one of places that t lies below; "" when there is none.
func above(places []dockercall.Path, t dockercall.Path) dockercall.Path {
	for _, p := range places {
		if strings.HasPrefix(string(t), string(p)+"/") {
			return p
		}
	}
	return ""
}

// judgeImageVolumes wants something mounted wherever the image declares a
// volume. Else the engine makes one that the guard does not know: filled by
// the image, and neither nosuid nor nodev.
func judgeImageVolumes(q question, mounted map[dockercall.Path]bool) error {
	for _, v := range q.facts.Image.Volumes {
		if at := dockercall.Path(path.Clean(v)); !mounted[at] {
			return refuse(ImageVolume, "the image declares a volume at %.200q, and nothing is mounted there", v)
		}
	}
	return nil
}

// judgeDir refuses to start a process where the kernel shows itself: what the
// runtime has open could be reached from there.
func judgeDir(q question, dir dockercall.Path) error {
	if dir == "" {
		dir = dockercall.Path(q.facts.Image.Dir)
	}
	if dir == "" || dir == "/" {
		return nil
	}
	leads, known := q.facts.Resolved[dir]
	if !known {
		return refuse(WorkingDir, "where the working directory %.200q leads in the image is not known", dir)
	}
	for _, d := range []dockercall.Path{dir, leads} {
		if ofKernel(d) {
			return refuse(WorkingDir, "no process starts in %.200s", d)
		}
	}
	return nil
}

// ofKernel tells whether a path is one that the kernel or the engine fills.
func ofKernel(p dockercall.Path) bool {
	kernel := []dockercall.Path{"/proc", "/sys", "/dev"}
	clean := dockercall.Path(path.Clean("/" + string(p)))
	return slices.Contains(kernel, clean) || above(kernel, clean) != ""
}

// judgeSource allows a volume's top directory and nothing below it: the
// engine resolves a path once more at the start, and inside a volume its
// owner could have put a link meanwhile.
func judgeSource(q question, p place, m dockercall.Mount) error {
	switch m.Type {
	case dockercall.TmpfsMount:
		if m.Source != "" || m.TmpfsOptions != nil && (m.TmpfsOptions.SizeBytes < 0 || m.TmpfsOptions.Mode > 0o1777) {
			return refuse(MountSource, "a tmpfs has a size and plain permissions, and no source")
		}
		return nil
	case dockercall.BindMount:
		own := "/" + p.environment + "/" + p.project + "/"
		name, below := strings.CutPrefix(m.Source, q.bounds.Volumes+own)
		if !below && q.bounds.ReadOnly != "" { // as it was made before
			name, below = strings.CutPrefix(m.Source, q.bounds.ReadOnly+own)
		}
		if q.bounds.Volumes == "" || p.environment == "" || p.project == "" || !below || !dockercall.IsVolumeName(name) || m.TmpfsOptions != nil {
			return refuse(MountSource, "%.200q is not a volume of this project", m.Source)
		}
		return nil
	}
	return refuse(MountSource, "a mount is a volume or memory")
}

func judgeTarget(t dockercall.Path, memory bool) error {
	if t == "" || t == "/" {
		return refuse(MountTarget, "a mount needs a place below /")
	}
	if memory && (t == "/dev/shm" || strings.HasPrefix(string(t), "/dev/shm/")) {
		return nil
	}
	if ofKernel(t) {
		return refuse(MountTarget, "%s is the engine's to fill", t)
	}
	return nil
}
