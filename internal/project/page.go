package project

import (
	"time"

	"havre/internal/spec"
)

// Page is what one container printed last, kept after it is gone.
type Page struct {
	Service   spec.ServiceID
	Rollout   int
	Slot      int
	Container string // full id
	Written   time.Time
}

// Reading says which lines of a container are wanted.
type Reading struct {
	Since  time.Time
	Tail   int // 0 is all
	Follow bool
}
