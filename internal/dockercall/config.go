package dockercall

// The kinds about configs: small files that travel with a service.
const (
	ConfigCreateKind Kind = "ConfigCreate"
	ConfigListKind   Kind = "ConfigList"
	ConfigRemoveKind Kind = "ConfigRemove"
)

// ConfigCreate keeps a small file in the swarm.
type ConfigCreate struct {
	Spec ConfigSpec `body:"json"`
}

// ConfigSpec is a config. Docker API 1.41, ConfigSpec.
type ConfigSpec struct {
	Name       ObjectName
	Labels     Labels `json:",omitzero"`
	Data       []byte `json:",omitzero"`
	Templating Zero   `json:",omitzero"` // templates read other configs
}

// ConfigList lists Havre's configs.
type ConfigList struct {
	Filters Filters `query:"filters"`
}

// ConfigRemove removes one config of Havre's.
type ConfigRemove struct {
	ID SwarmID `path:"ID"`
}

// Kind is the call's kind.
func (ConfigCreate) Kind() Kind { return ConfigCreateKind }
func (ConfigList) Kind() Kind   { return ConfigListKind }
func (ConfigRemove) Kind() Kind { return ConfigRemoveKind }
