package api

// Exec runs over a websocket with subprotocol ExecProtocol. The client sends
// one text message, ExecStart, then binary messages whose first byte says what
// follows; the server sends binary messages likewise and ends with ExecEnd.
const ExecProtocol = "havre-exec-1"

// What follows the first byte of a binary message.
const (
	ExecStdin  byte = 0 // bytes; none after it means end of input
	ExecStdout byte = 1 // bytes
	ExecStderr byte = 2 // bytes
	ExecResize byte = 3 // JSON of Size
	ExecEnded  byte = 4 // JSON of ExecEnd; the last message
)

// ExecStart says what to run.
type ExecStart struct {
	Command []string `json:"command"`
	Env     []string `json:"env,omitempty"`  // NAME=value
	User    string   `json:"user,omitempty"` // "" is the container's
	Dir     string   `json:"dir,omitempty"`  // "" is the container's
	TTY     bool     `json:"tty,omitempty"`
	Stdin   bool     `json:"stdin,omitempty"`
	Slot    int      `json:"slot,omitempty"` // which replica; 0 is any
	Size    Size     `json:"size,omitzero"`  // of the terminal
}

// Size is a terminal's, in characters.
type Size struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
}

// ExecEnd is how it ended.
type ExecEnd struct {
	Code    int    `json:"code"`
	Problem string `json:"problem,omitempty"` // when it could not be run at all
	Remedy  string `json:"remedy,omitempty"`
	Kind    string `json:"kind,omitempty"`
}
