package api

import "time"

// Volume is kept data of a project.
type Volume struct {
	Name        string     `json:"name"`
	Project     string     `json:"project"`
	Environment string     `json:"environment"`
	Kind        string     `json:"kind" enum:"data,read-only,cache,log,all" doc:"by where services have it; all is /vol with its parts"`
	Path        string     `json:"path,omitempty" doc:"its directory on the machine"`
	Bytes       int64      `json:"bytes" doc:"that it takes on the disk"`
	Files       int64      `json:"files"`
	Partial     bool       `json:"partial,omitempty" doc:"there is more than was counted"`
	Modified    *time.Time `json:"modified,omitempty" doc:"the newest change of a file"`
	UsedBy      []string   `json:"usedBy,omitempty" doc:"services that have it, in full"`
	Orphaned    bool       `json:"orphaned" doc:"no service has it, nor could one that is rolled back"`
}

// Cleaned is what emptying a volume freed.
type Cleaned struct {
	Volume string `json:"volume"`
	Bytes  int64  `json:"bytes"`
	Files  int64  `json:"files"`
}
