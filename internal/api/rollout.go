package api

import "time"

// Scale is how many containers a service is to have.
type Scale struct {
	Replicas int
	Shared   bool // they may write to its volumes at once
}

// Rollout is the numbered record of a deploy of one service.
type Rollout struct {
	Number   int       `json:"number"`
	State    string    `json:"state" enum:"pending,active,failed,retired" doc:"active: it serves; retired: another one took its place"`
	Reason   string    `json:"reason,omitempty" doc:"why it failed, or never came to serve"`
	Lines    []string  `json:"lines,omitempty" doc:"the last lines it printed before it was given up"`
	Image    string    `json:"image" doc:"the name it was declared with"`
	ImageID  string    `json:"imageId,omitempty" doc:"what the name meant then"`
	Replicas int       `json:"replicas"`
	Changes  []string  `json:"changes,omitempty" doc:"what differs from the one that served before"`
	Back     int       `json:"back,omitempty" doc:"the rollout that a rollback made it like"`
	Created  time.Time `json:"created,omitzero"`
	Started  time.Time `json:"started,omitzero" doc:"when its first container was asked for"`
}

// DiffOptions say which rollouts are compared.
type DiffOptions struct {
	From    int  // 0 is the one before To
	To      int  // 0 is the newest
	Secrets bool // show values of variables that are named like secrets
}

// Diff is what differs between two rollouts of a service.
type Diff struct {
	Service string       `json:"service" doc:"environment.project.service"`
	From    int          `json:"from"`
	To      int          `json:"to"`
	Fields  []Difference `json:"fields" doc:"in the order of the declaration"`
}

// Difference is one field; a side that says nothing about it is left out.
type Difference struct {
	Field  string  `json:"field" doc:"as environment.NAME"`
	Old    *string `json:"old,omitempty"`
	New    *string `json:"new,omitempty"`
	Hidden bool    `json:"hidden,omitempty" doc:"the values are not shown, for the variable is named like a secret"`
}
