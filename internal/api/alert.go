package api

import "time"

// Alerts is what is wrong by the rules, and what is not told.
type Alerts struct {
	Alerts   []Alert   `json:"alerts"`
	Silences []Silence `json:"silences"`
	Channels []string  `json:"channels" doc:"by which people are told"`
	Waiting  int       `json:"waiting" doc:"notices that were not taken yet"`
}

// Alert is something that is wrong.
type Alert struct {
	Name   string    `json:"name" doc:"rule/about"`
	Rule   string    `json:"rule"`
	About  string    `json:"about" doc:"a service in full, a host, a path"`
	Says   string    `json:"says"`
	Since  time.Time `json:"since"`
	State  string    `json:"state" enum:"pending,unwell,silenced" doc:"pending: it did not last long enough yet"`
	ToldAt time.Time `json:"toldAt,omitzero"`
}

// Silence keeps alerts from being told.
type Silence struct {
	Name  string    `json:"name" doc:"of an alert, a rule, a service, a project; * is everything"`
	Until time.Time `json:"until"`
}

// Tested is what became of a test.
type Tested struct {
	Channel string `json:"channel"`
	OK      bool   `json:"ok"`
	Says    string `json:"says,omitempty" doc:"why it was not taken"`
}
