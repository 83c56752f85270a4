// Package deploytest holds what stands in for the outside of package deploy in
// tests.
package deploytest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/secret"
)

// Vault keeps secrets until it is dropped, and hides nothing. The zero Vault is
// empty. It may be used by several goroutines at once.
type Vault struct {
	mu     sync.Mutex // guards what follows
	values map[string]string
	names  map[[2]string]project.Secret // by environment and name
}

// Version is a digest of the value and its place.
func (v *Vault) Version(at project.Secret, value secret.Text) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s/%s/%s/%s", at.Environment, at.Project, at.Name, value.Reveal())))
	return hex.EncodeToString(sum[:16])
}

// Keep remembers a value.
func (v *Vault) Keep(_ context.Context, at project.Secret, value secret.Text) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.values == nil {
		v.values, v.names = map[string]string{}, map[[2]string]project.Secret{}
	}
	v.values[at.Version] = value.Reveal()
	if at.Project == "" {
		v.names[[2]string{at.Environment, at.Name}] = at
	}
	return nil
}

// Value gives what was kept.
// Errors: NotFound.
func (v *Vault) Value(_ context.Context, at project.Secret) (secret.Text, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	value, there := v.values[at.Version]
	if !there {
		return secret.Text{}, problem.New(problem.NotFound, "the value is not kept any more")
	}
	return secret.New(value), nil
}

// Secrets gives what names mean.
func (v *Vault) Secrets(_ context.Context, environment string) ([]project.Secret, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := slices.DeleteFunc(slices.Collect(maps.Values(v.names)), func(s project.Secret) bool { return environment != "" && s.Environment != environment })
	slices.SortFunc(all, func(a, b project.Secret) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Forget lets a name mean nothing.
func (v *Vault) Forget(_ context.Context, environment, name string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.names, [2]string{environment, name})
	return nil
}

// Lose drops all values, as a lost key does.
func (v *Vault) Lose() {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.values)
}
