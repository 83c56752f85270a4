package spec

import (
	"strings"

	"havre/internal/pattern"
)

// Secret is a secret that services mount. Its value is no part of a
// declaration: it travels beside it and is kept apart.
type Secret struct {
	Name     string `json:"name"`               // as the project's services call it
	External string `json:"external,omitempty"` // the environment's secret of this name; "" is the project's own
}

// MaxSecret is the most bytes that a swarm keeps in one secret; at least one
// is needed (SwarmKit, ValidateSecretPayload).
const MaxSecret = 500*1024 - 1

var secretForm = pattern.New(`^[a-zA-Z0-9_]([a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9_])?$`)

// ValidSecret tells whether name can name a secret.
func ValidSecret(name string) bool { return secretForm.MatchString(name) }

// certificatePrefix begins the names of an environment's secrets that Havre
// fills itself: a host's certificate, its chain and its key.
const certificatePrefix = "certificate."

// CertificateSecret names the environment's secret that holds a host's certificate.
func CertificateSecret(host string) string { return certificatePrefix + host }

// CertificateHost is the host whose certificate an environment's secret holds;
// ok is false when it is any other secret.
func CertificateHost(external string) (host string, ok bool) {
	return strings.CutPrefix(external, certificatePrefix)
}

// Secret finds a secret by name.
func (p Project) Secret(name string) (Secret, bool) {
	for _, s := range p.Secrets {
		if s.Name == name {
			return s, true
		}
	}
	return Secret{}, false
}

// SecretRemedy says how secrets are named.
const SecretRemedy = "use letters, digits, . - and _, at most 64 characters"

func (f *finder) secrets(p Project) {
	seen := map[string]bool{}
	for _, s := range p.Secrets {
		at := "secrets." + s.Name
		if !ValidSecret(s.Name) {
			f.invalid(at, SecretRemedy, "%q cannot name a secret", s.Name)
		}
		if s.External != "" && !ValidSecret(s.External) {
			f.invalid(at, SecretRemedy, "%q cannot name a secret of the environment", s.External)
		}
		if seen[s.Name] {
			f.invalid(at, "give each secret a name of its own", "secret %s is declared twice", s.Name)
		}
		seen[s.Name] = true
	}
}

// asWhose looks at whose a mounted file is.
func (f *finder) asWhose(here string, m Mount) {
	const most = 1<<31 - 1 // Linux takes more, the engine's tools do not
	switch {
	case m.Kind != SecretFile && m.Kind != Config && (m.UID != 0 || m.GID != 0):
		f.invalid(here, "leave uid and gid out", "only a secret or a config belongs to somebody else than root")
	case m.Kind != SecretFile && m.Mode != 0:
		f.invalid(here, "leave mode out", "only a secret has a mode of its own")
	case m.UID > most || m.GID > most:
		f.invalid(here, "use a number up to 2147483647", "a file's owner is out of range")
	case m.Mode > 0o777:
		f.invalid(here, "write the permissions as 0440", "a secret's mode has more than permissions")
	}
}
