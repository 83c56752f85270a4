package dockercall

// The kinds about the engine as a whole.
const (
	PingKind    Kind = "Ping"
	VersionKind Kind = "Version"
	InfoKind    Kind = "Info"
	EventsKind  Kind = "Events"
)

// Ping asks whether the engine answers. The answer's Api-Version makes
// clients speak the only version that is spoken.
type Ping struct{ Head bool }

// Version asks what the engine is.
type Version struct{}

// Info asks how the engine is; the answer is cut to a short list.
type Info struct{}

// Events follows what happens to Havre's containers.
type Events struct {
	Since   Moment  `query:"since"`
	Until   Moment  `query:"until"`
	Filters Filters `query:"filters"`
}

// Kind is the call's kind.
func (Ping) Kind() Kind    { return PingKind }
func (Version) Kind() Kind { return VersionKind }
func (Info) Kind() Kind    { return InfoKind }
func (Events) Kind() Kind  { return EventsKind }
