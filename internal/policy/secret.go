package policy

import (
	"maps"

	"havre/internal/dockercall"
)

// mostSecret is the most bytes of a secret (SwarmKit, ValidateSecretPayload).
const mostSecret = 500*1024 - 1

func secretCreate(q question, c *dockercall.SecretCreate) (dockercall.Call, error) {
	labels, err := stamped(q, c.Spec.Labels, SecretKind)
	if err != nil {
		return nil, err
	}
	if err := agree(labels, secretName, c.Spec.Name, dockercall.ProjectLabel); err != nil {
		return nil, err
	}
	if n := len(c.Spec.Data); n < 1 || n > mostSecret {
		return nil, refuse(Amount, "a secret has 1 to %d bytes, not %d", mostSecret, n)
	}
	spec := c.Spec
	spec.Labels = maps.Clone(labels)
	return &dockercall.SecretCreate{Spec: spec}, nil
}

// judgeSecrets wants secrets of the same project and environment, as files
// with plain permissions.
func judgeSecrets(q question, p place, refs []dockercall.SecretRef) error {
	for _, r := range refs {
		if r.File == nil || r.File.Mode > 0o777 {
			return refuse(MountTarget, "a secret is mounted as a file with plain permissions")
		}
		if err := judgeTarget(r.File.Name, false); err != nil {
			return err
		}
		o := q.facts.Secrets[r.SecretID]
		if err := mustBeOurs(q, o, "secret"); err != nil {
			return err
		}
		if placeOf(o.Labels) != p || o.Name != string(r.SecretName) {
			return refuse(OtherProject, "the secret %s is not of this project", r.SecretName)
		}
	}
	return nil
}
