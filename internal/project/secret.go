package project

import (
	"time"

	"havre/internal/service"
	"havre/internal/spec"
)

// Secret says where a kept secret belongs and which of its values is meant.
type Secret struct {
	Environment string
	Project     spec.ProjectID // "" is the environment's own
	Name        string
	Version     string // fingerprint of the value in this place
	Created     time.Time
}

// Placed says where a secret that a rollout mounts is kept.
func Placed(environment string, p spec.ProjectID, s service.Secret) Secret {
	if s.External != "" {
		return Secret{Environment: environment, Name: s.External, Version: s.Version}
	}
	return Secret{Environment: environment, Project: p, Name: s.Name, Version: s.Version}
}
