package dockercall

// The kinds about commands run in containers.
const (
	ExecCreateKind  Kind = "ExecCreate"
	ExecStartKind   Kind = "ExecStart"
	ExecResizeKind  Kind = "ExecResize"
	ExecInspectKind Kind = "ExecInspect"
)

// ExecCreate prepares a command in a container of a service.
type ExecCreate struct {
	ID   ContainerID `path:"ID"`
	Spec ExecSpec    `body:"json"`
}

// ExecSpec is a command. Docker API 1.41, ContainerExec.
type ExecSpec struct {
	Cmd          []Word
	Env          []ExecVar `json:",omitzero"`
	User         User      `json:",omitzero"`
	WorkingDir   Path      `json:",omitzero"`
	Tty          bool      `json:",omitzero"`
	AttachStdin  bool      `json:",omitzero"`
	AttachStdout bool      `json:",omitzero"`
	AttachStderr bool      `json:",omitzero"`

	// Never set. A size is given by ExecResize.
	Privileged, Detach, DetachKeys, ConsoleSize Zero `json:",omitzero"`
}

// ExecVar is NAME=value; unlike a service's, it is no template to anyone.
type ExecVar string

func (v ExecVar) check() error {
	if err := Word(v).check(); err != nil {
		return err
	}
	return EnvVar(firstPart(string(v))).check()
}

func firstPart(s string) string {
	for i, c := range s {
		if c == '=' {
			return s[:i]
		}
	}
	return s
}

// ExecStart runs a prepared command: on an upgraded connection, or detached.
type ExecStart struct {
	ID   ExecID    `path:"ID"`
	Spec ExecBegin `body:"json"`
}

// ExecBegin is how to run it. Docker API 1.41, ExecStart.
type ExecBegin struct {
	Detach      bool `json:",omitzero"`
	Tty         bool `json:",omitzero"`
	ConsoleSize Zero `json:",omitzero"`
}

// ExecResize changes the size of a command's terminal.
type ExecResize struct {
	ID     ExecID `path:"ID"`
	Height uint32 `query:"h"`
	Width  uint32 `query:"w"`
}

// ExecInspect shows how a command is.
type ExecInspect struct {
	ID ExecID `path:"ID"`
}

// Kind is the call's kind.
func (ExecCreate) Kind() Kind  { return ExecCreateKind }
func (ExecStart) Kind() Kind   { return ExecStartKind }
func (ExecResize) Kind() Kind  { return ExecResizeKind }
func (ExecInspect) Kind() Kind { return ExecInspectKind }
