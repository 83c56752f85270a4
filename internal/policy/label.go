package policy

import (
	"maps"
	"strings"

	"havre/internal/dockercall"
	"havre/internal/pattern"
)

// The values of the label havre.kind.
const (
	ServiceKind = "service"
	PortalKind  = "portal"
	NetKind     = "network"
	LinkKind    = "link" // a network that leads from a project to one service of another
	ConfigKind  = "config"
	SecretKind  = "secret"
	CarrierKind = "carrier" // has a service's volumes and is never started
	HookKind    = "hook"    // runs once on a service's volumes before the service does
	SeedKind    = "seed"    // a container of the guard's own, which is never started
)

var (
	serviceName = pattern.New(`^h-([a-z2-7]{8})-([a-z2-7]{8})-r([1-9][0-9]{0,9})$`)
	hookName    = pattern.New(`^h-([a-z2-7]{8})-([a-z2-7]{8})-(?:init|upgrade)$`)
	networkName = pattern.New(`^h-([a-z2-7]{8})-[a-z0-9]{1,16}$`)
	configName  = pattern.New(`^h-([a-z2-7]{8})-[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$`)
	secretName  = configName
	carrierName = pattern.New(`^h-([a-z2-7]{8})-([a-z2-7]{8})-[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)
)

// place is where an object belongs.
type place struct {
	environment, project string
}

func placeOf(labels map[string]string) place {
	return place{labels[dockercall.EnvironmentLabel], labels[dockercall.ProjectLabel]}
}

// stamped checks a new object's labels and gives them as they are written:
// the caller says where the object belongs, the guard says whose it is.
func stamped(q question, given dockercall.Labels, kind string) (dockercall.Labels, error) {
	if v, ok := given[dockercall.InstanceLabel]; ok && v != q.facts.Instance {
		return nil, refuse(LabelInstance, "the label %s is the guard's to write", dockercall.InstanceLabel)
	}
	if given[dockercall.KindLabel] != kind {
		return nil, refuse(LabelMismatch, "the label %s must be %s", dockercall.KindLabel, kind)
	}
	if given[dockercall.EnvironmentLabel] == "" {
		return nil, refuse(LabelMismatch, "the label %s is missing", dockercall.EnvironmentLabel)
	}
	if _, leads := given[dockercall.LinkLabel]; leads != (kind == LinkKind) {
		return nil, refuse(LabelMismatch, "a link network, and nothing else, has the label %s", dockercall.LinkLabel)
	}
	written := maps.Clone(given)
	written[dockercall.InstanceLabel] = q.facts.Instance
	return written, nil
}

// agree checks that labels say what the parts of a name say.
func agree(labels dockercall.Labels, form *pattern.Pattern, name dockercall.ObjectName, keys ...string) error {
	parts := form.FindStringSubmatch(string(name))
	if parts == nil {
		return refuse(NameMismatch, "the name %q is not as names of this kind are", name)
	}
	for i, key := range keys {
		if labels[key] != parts[i+1] {
			return refuse(LabelMismatch, "the label %s is %q, the name says %q", key, labels[key], parts[i+1])
		}
	}
	return nil
}

// inner gives a container's labels: the person's own, and Havre's as the
// service has them.
func inner(given, outer dockercall.Labels) (dockercall.Labels, error) {
	written := dockercall.Labels{}
	for k, v := range given {
		if strings.HasPrefix(k, "havre.") && outer[k] != v {
			return nil, refuse(LabelMismatch, "the container's label %s is %q, the service's is %q", k, v, outer[k])
		}
		written[k] = v
	}
	for k, v := range outer {
		if strings.HasPrefix(k, "havre.") {
			written[k] = v
		}
	}
	return written, nil
}
