package dockercall

// The kinds about secrets: small files in memory. There is no call to look at
// one: an engine never gives back what is in it, and nobody needs the rest.
const (
	SecretCreateKind Kind = "SecretCreate"
	SecretListKind   Kind = "SecretList"
	SecretRemoveKind Kind = "SecretRemove"
)

// SecretCreate keeps a secret in the swarm.
type SecretCreate struct {
	Spec SecretSpec `body:"json"`
}

// SecretSpec is a secret. Docker API 1.41, SecretSpec.
type SecretSpec struct {
	Name   ObjectName
	Labels Labels `json:",omitzero"`
	Data   []byte `json:",omitzero"`

	// Never set: a driver is a plugin that says what is in it, a template
	// reads other secrets.
	Driver, Templating Zero `json:",omitzero"`
}

// SecretList lists Havre's secrets, without what is in them.
type SecretList struct {
	Filters Filters `query:"filters"`
}

// SecretRemove removes one secret of Havre's.
type SecretRemove struct {
	ID SwarmID `path:"ID"`
}

// SecretRef mounts a secret as a file in memory.
type SecretRef struct {
	File       *ConfigFile
	SecretID   SwarmID
	SecretName ObjectName
}

// Kind is the call's kind.
func (SecretCreate) Kind() Kind { return SecretCreateKind }
func (SecretList) Kind() Kind   { return SecretListKind }
func (SecretRemove) Kind() Kind { return SecretRemoveKind }
