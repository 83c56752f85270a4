package policy

import (
	"strings"

	"havre/internal/dockercall"
)

// only refuses whoever is not root: what others made is not Havre's to touch
// but for root, who could do it without Havre.
func only(q question) error {
	if q.caller.Role != Root {
		return refuse(RootOnly, "only root takes over what others made")
	}
	return nil
}

// theirs refuses an object of Havre's own: its calls have other rules.
func theirs(q question, ids ...string) error {
	if err := only(q); err != nil {
		return err
	}
	set := 0
	for _, id := range ids {
		if id != "" {
			set++
		}
	}
	if set != 1 {
		return refuse(SomebodysObject, "exactly one object is meant")
	}
	return nil
}

func notOurs(q question) error {
	switch {
	case !q.facts.Target.Exists:
		return missing("container or service")
	case q.facts.Target.Labels[dockercall.InstanceLabel] != "":
		return refuse(SomebodysObject, "this is a Havre's already")
	}
	return nil
}

func foreignList(q question, c *dockercall.ForeignList) (dockercall.Call, error) {
	return c, theirs(q, strings.Join(words(c.Containers), " "), string(c.Compose), string(c.Stack))
}

func words(list []dockercall.Word) []string {
	var all []string
	for _, w := range list {
		all = append(all, string(w))
	}
	return all
}

func foreignTag(q question, c *dockercall.ForeignTag) (dockercall.Call, error) {
	if err := only(q); err != nil {
		return nil, err
	}
	if c.As == "" || c.Image == "" || !q.facts.Image.Exists {
		return nil, missing("image")
	}
	return c, fit(q.facts.Image, q.facts.Portal)
}

func foreignSwitch(q question, c *dockercall.ForeignSwitch) (dockercall.Call, error) {
	if err := theirs(q, string(c.Container), string(c.Service)); err != nil {
		return nil, err
	}
	return c, notOurs(q)
}

func foreignRemove(q question, c *dockercall.ForeignRemove) (dockercall.Call, error) {
	if err := theirs(q, string(c.Container), string(c.Service), string(c.Volume)); err != nil || c.Volume != "" {
		return c, err
	}
	return c, notOurs(q)
}

// system are directories that are no service's data, whoever asks.
var system = []string{"/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/usr", "/var/lib/docker", "/var/run"}

func foreignData(q question, c *dockercall.ForeignData) (dockercall.Call, error) {
	if err := theirs(q, string(c.From), string(c.Path)); err != nil {
		return nil, err
	}
	if c.Environment == "" || c.Project == "" || c.Name == "" {
		return nil, refuse(MountSource, "a volume has an environment, a project and a name")
	}
	if len(q.facts.MountedAt) > 0 {
		return nil, refuse(VolumeInUse, "a container mounts the volume %s", c.Name)
	}
	p := string(c.Path)
	if p == "" {
		return c, nil
	}
	data := strings.TrimSuffix(q.bounds.Volumes, "/volume")
	for _, s := range append([]string{data}, system...) {
		if p == s || strings.HasPrefix(p, s+"/") || strings.HasPrefix(s, p+"/") {
			return nil, refuse(MountSource, "%s belongs to the machine", p)
		}
	}
	if strings.Count(p, "/") < 2 {
		return nil, refuse(MountSource, "%s is too near the root to be one service's data", p)
	}
	return c, nil
}
