package policy

import (
	"strings"

	"havre/internal/dockercall"
	"havre/internal/pattern"
)

var logForms = map[string]*pattern.Pattern{
	"max-size": pattern.New(`^[1-9][0-9]{0,3}[km]$`),
	"max-file": pattern.New(`^([1-9]|10)$`),
}

func judgeMounts(q question, p place, mounts []dockercall.Mount) error {
	seen := map[dockercall.Path]bool{}
	for _, m := range mounts {
		if seen[m.Target] {
			return refuse(MountTarget, "two mounts at %s", m.Target)
		}
		seen[m.Target] = true
		if err := judgeTarget(m.Target, m.Type == dockercall.TmpfsMount); err != nil {
			return err
		}
		if err := judgeSource(q, p, m); err != nil {
			return err
		}
	}
	return nil
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
		prefix := q.bounds.Volumes + "/" + p.environment + "/" + p.project + "/"
		name, below := strings.CutPrefix(m.Source, prefix)
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
	for _, own := range []string{"/proc", "/sys", "/dev"} {
		if string(t) == own || strings.HasPrefix(string(t), own+"/") {
			return refuse(MountTarget, "%s is the engine's to fill", own)
		}
	}
	return nil
}
