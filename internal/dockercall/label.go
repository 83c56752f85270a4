package dockercall

import (
	"strconv"
	"strings"
)

// Labels are what an object is marked with. Only Havre's own may start with
// havre., none with com.docker. and its like.
type Labels map[string]string

// The labels of Havre's own.
const (
	InstanceLabel    = "havre.instance"
	EnvironmentLabel = "havre.env"
	ProjectLabel     = "havre.project"
	ServiceLabel     = "havre.service"
	RolloutLabel     = "havre.rollout"
	KindLabel        = "havre.kind"
	LinkLabel        = "havre.link" // of a link network: the project and the service that it leads to, with a dot between
)

// check holds labels to their forms; whether they belong together is judged.
func (l Labels) check() error {
	if len(l) > 256 {
		return refuse(TooBig, "more than 256 labels")
	}
	for k, v := range l {
		if len(k) > 256 || len(v) > 32<<10 || k == "" {
			return refuse(TooBig, "the label %.60q is too long or has no name", k)
		}
		if err := Word(k + v).check(); err != nil {
			return err
		}
		if err := checkOwnLabel(k, v); err != nil {
			return err
		}
	}
	return nil
}

func checkOwnLabel(k, v string) error {
	switch k {
	case InstanceLabel:
		return nil // must be the one of this Havre: judged
	case EnvironmentLabel:
		return Environment(v).check()
	case ProjectLabel:
		return ProjectID(v).check()
	case ServiceLabel:
		return ServiceID(v).check()
	case RolloutLabel:
		if n, err := strconv.ParseUint(v, 10, 31); err != nil || n == 0 || strconv.FormatUint(n, 10) != v {
			return refuse(BadValue, "%.20q is not the number of a rollout", v)
		}
		return nil
	case LinkLabel:
		project, service, ok := strings.Cut(v, ".")
		if !ok || ProjectID(project).check() != nil || ServiceID(service).check() != nil {
			return refuse(BadValue, "%.40q is not the target of a link", v)
		}
		return nil
	case KindLabel:
		return nil // one of a short list: judged
	}
	if Reserved(k) {
		return refuse(ReservedLabel, "the label %.60q is reserved", k)
	}
	return nil
}

// Reserved tells whether a label is for the guard or the engine alone. Letter
// case does not matter.
func Reserved(label string) bool {
	l := strings.ToLower(label)
	for _, prefix := range []string{"havre.", "com.docker.", "io.docker.", "org.dockerproject."} {
		if strings.HasPrefix(l, prefix) {
			return true
		}
	}
	return false
}
