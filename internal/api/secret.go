package api

import (
	"time"

	"havre/internal/secret"
)

// SecretValue is what one of a project's own secrets holds, on its way to the
// server. No answer has one.
type SecretValue struct {
	Name  string      `json:"name"`
	Value secret.Sent `json:"value" doc:"base64"`
}

// NewSecret is a secret of an environment on its way to the server.
type NewSecret struct {
	Environment string      `json:"environment"`
	Name        string      `json:"name"`
	Value       secret.Sent `json:"value" doc:"base64"`
}

// Secret is a secret of an environment, without what it holds.
type Secret struct {
	Name        string    `json:"name"`
	Environment string    `json:"environment"`
	Version     string    `json:"version" doc:"tells its values apart; it cannot be read back from this"`
	Created     time.Time `json:"created,omitzero" doc:"when it was given this value"`
	UsedBy      []string  `json:"usedBy,omitempty" doc:"services"`
	Behind      []string  `json:"behind,omitempty" doc:"those of them that have a former value until their next apply"`
}
