// Package api is the language between Havre and those who use it over HTTP:
// paths and messages. Streams are newline-delimited JSON (application/x-ndjson),
// errors are application/problem+json (RFC 9457).
package api

import (
	"time"

	"havre/internal/problem"
	"havre/internal/spec"
)

// Paths. {name} is a service ("mail", "shop.web", "prod.shop.web") or, under
// /v1/projects, a project ("shop", "prod.shop"): whatever is unique.
const (
	PathVersion   = "GET /v1/version"
	PathStatus    = "GET /v1/status"
	PathPlan      = "POST /v1/plan"                     // Apply → Plan
	PathApply     = "POST /v1/apply"                    // Apply → stream of Progress
	PathServices  = "GET /v1/services"                  // ?env= ?project= → []Service
	PathService   = "GET /v1/services/{name}"           // → Service
	PathWhy       = "GET /v1/services/{name}/why"       // → Why
	PathLogs      = "GET /v1/services/{name}/logs"      // ?follow= ?since= ?tail= ?rollout= → stream of Line
	PathAccess    = "GET /v1/services/{name}/access"    // ?since= ?tail= → []Access
	PathAccessOn  = "GET /v1/services/{name}/access/on" // ?since= ?tail=, or ?after= → AccessPage
	PathExec      = "GET /v1/services/{name}/exec"      // websocket, see exec.go
	PathHistory   = "GET /v1/services/{name}/rollouts"  // → []Rollout, newest first
	PathDiff      = "GET /v1/services/{name}/diff"      // ?from= ?to= ?secrets= → Diff
	PathRollback  = "POST /v1/services/{name}/rollback" // ?to= → stream of Progress
	PathScale     = "POST /v1/services/{name}/scale"    // ?replicas= → stream of Progress
	PathStart     = "POST /v1/services/{name}/start"    // → stream of Progress
	PathStop      = "POST /v1/services/{name}/stop"     // → stream of Progress
	PathRestart   = "POST /v1/services/{name}/restart"  // → stream of Progress
	PathRemove    = "DELETE /v1/services/{name}"        // ?volumes=true&force=true → Removed
	PathProject   = "GET /v1/projects/{name}"           // → Declared
	PathPStart    = "POST /v1/projects/{name}/start"    // the same for all services of a project
	PathPStop     = "POST /v1/projects/{name}/stop"     //
	PathPRestart  = "POST /v1/projects/{name}/restart"  //
	PathPRemove   = "DELETE /v1/projects/{name}"        // ?volumes=true&force=true → Removed
	PathPLogs     = "GET /v1/projects/{name}/logs"      // of all its services
	PathImages    = "GET /v1/images"                    // ?env= → []Image
	PathLoad      = "POST /v1/images/load"              // ?env= &name=; body: docker-archive → Image
	PathPull      = "POST /v1/images/pull"              // ?env= &name= → stream of Progress
	PathBuild     = "POST /v1/images/build"             // ?env= &name= &dockerfile= &target= &arg=K=V &nocache=; body: tar → stream of Progress
	PathImageRm   = "DELETE /v1/images"                 // ?env= &name= → Removed
	PathUsage     = "GET /v1/usage"                     // ?env= ?project= → []Usage
	PathAlerts    = "GET /v1/alerts"                    // → Alerts
	PathSilence   = "POST /v1/alerts/silence"           // ?name= &for= → Alerts
	PathAlertTest = "POST /v1/alerts/test"              // ?channel= → []Tested
	PathMetrics   = "GET /metrics"                      // Prometheus' text format
	PathEvents    = "GET /v1/events"                    // ?env= ?project= ?service= ?kind= ?after= ?since= ?follow= → server-sent events of Event
	PathSecrets   = "GET /v1/secrets"                   // ?env= → []Secret
	PathSecretNew = "POST /v1/secrets"                  // NewSecret → Secret
	PathSecretUse = "POST /v1/secrets/renew"            // ?env= &name= → stream of Progress
	PathSecretRm  = "DELETE /v1/secrets"                // ?env= &name= → Removed
	PathAuthority = "GET /v1/authority"                 // the root certificate, PEM
	PathOpenAPI   = "GET /v1/openapi.json"              // this API, OpenAPI 3.1
	PathDown      = "POST /v1/down"                     // stops all services of this Havre → stream of Progress
)

// Paths of volumes and what is in them. {name} of a volume is PROJECT/VOLUME or
// ENV.PROJECT/VOLUME, its slash escaped.
const (
	PathVolumes     = "GET /v1/volumes"               // ?env= ?project= ?whole= → []Volume
	PathVolumeRm    = "DELETE /v1/volumes/{name}"     // → Removed
	PathVolumeClean = "POST /v1/volumes/{name}/clean" // → Cleaned
	PathFileStat    = "GET /v1/files/{name}/stat"     // of a service or a volume; ?env= &path= → FileStat
	PathFileGet     = "GET /v1/files/{name}"          // ?env= &path= → tar
	PathFilePut     = "POST /v1/files/{name}"         // ?env= &path= &fill=; body: tar → Copied
)

// Version answers who is there.
type Version struct {
	Version string `json:"version" doc:"of Havre"`
	Engine  string `json:"engine,omitempty" doc:"of Docker Engine"`
	API     string `json:"api,omitempty" doc:"Docker API version spoken with the engine"`
}

// Status is how Havre itself is.
type Status struct {
	Version  Version    `json:"version"`
	Node     string     `json:"node,omitempty" doc:"this machine's id in the swarm"`
	Healthy  bool       `json:"healthy" doc:"every part below is well"`
	Parts    []Part     `json:"parts"`
	Projects int        `json:"projects"`
	Services int        `json:"services"`
	LastPass *time.Time `json:"lastPass,omitempty" doc:"when the loop last compared what should run with what runs"`
}

// Part is a piece of Havre: engine, guard, ingress, loop.
type Part struct {
	Name string `json:"name"`
	Well bool   `json:"well"`
	Says string `json:"says,omitempty" doc:"what is wrong with it"`
}

// Apply asks for a project to be as declared.
type Apply struct {
	Environment string        `json:"environment"`
	Project     spec.Project  `json:"project"`
	Secrets     []SecretValue `json:"secrets,omitempty" doc:"what the project's own secrets hold"`
	Fills       []Fill        `json:"fills,omitempty" doc:"directories of the caller's that new volumes begin with; it sends those that the plan names"`
	Building    []string      `json:"building,omitempty" doc:"names of images that the caller is about to build; a plan needs them not to be there"`
}

// Declared is a project as it was applied last.
type Declared struct {
	Environment string         `json:"environment"`
	ID          spec.ProjectID `json:"id" doc:"its volumes lie below this name"`
	Project     spec.Project   `json:"project"`
}

// Plan is what an apply would do.
type Plan struct {
	Environment string            `json:"environment"`
	Project     string            `json:"project"`
	Changes     []Change          `json:"changes" doc:"in the order in which they are carried out"`
	Notes       []problem.Problem `json:"notes,omitempty" doc:"warnings"`
	Fills       []Fill            `json:"fills,omitempty" doc:"new volumes that wait for what the caller has to send"`
	Unbuilt     []string          `json:"unbuilt,omitempty" doc:"those of building that the environment lacks"`
}

// Nothing tells whether the plan changes anything.
func (p Plan) Nothing() bool {
	for _, c := range p.Changes {
		if c.Verb != "keep" {
			return false
		}
	}
	return true
}

// Change is one line of a plan.
type Change struct {
	Verb    string   `json:"verb" enum:"create,update,route,scale,keep,remove" doc:"route: only ports, domains, access or the order of updates change; no container is touched"`
	Service string   `json:"service"`
	Rollout int      `json:"rollout,omitempty" doc:"the rollout this makes"`
	Why     []string `json:"why,omitempty" doc:"what differs"`
	Ports   []string `json:"ports,omitempty" doc:"as 25->25/tcp public"`
	Volumes []string `json:"volumes,omitempty" doc:"volumes it makes"`
	Stops   bool     `json:"stops,omitempty" doc:"the old container is stopped before the new one starts"`
	Because string   `json:"because,omitempty" doc:"why it stops first"`
}

// Progress is a line of a long answer. Exactly one of its parts is set; the
// last line has Done.
type Progress struct {
	Plan    *Plan  `json:"plan,omitempty"`
	Service *Step  `json:"service,omitempty"`
	Line    string `json:"line,omitempty" doc:"output of a build or pull"`
	Done    *Done  `json:"done,omitempty"`
}

// Step says where a service is on its way.
type Step struct {
	Name  string `json:"name"`
	State string `json:"state" enum:"waiting,starting,healthy,stopped,removed,failed,kept,completed"`
	Says  string `json:"says,omitempty"`
}

// Done ends a stream.
type Done struct {
	OK       bool              `json:"ok"`
	Problems []problem.Problem `json:"problems,omitempty"`
	Image    *Image            `json:"image,omitempty" doc:"of a build"`
}

// Service is a service as it stands.
type Service struct {
	Name        string    `json:"name"`
	Project     string    `json:"project"`
	Environment string    `json:"environment"`
	State       string    `json:"state" enum:"healthy,starting,failing,stopped,idle,completed" doc:"idle: declared with no replicas"`
	Says        string    `json:"says,omitempty" doc:"why it is not healthy"`
	Image       string    `json:"image"`
	Rollout     int       `json:"rollout" doc:"the one that serves, or that is on its way when none serves"`
	Replicas    int       `json:"replicas" doc:"as declared"`
	Healthy     int       `json:"healthy" doc:"containers that are well"`
	LastEnd     *End      `json:"lastEnd,omitempty" doc:"how a container ended badly last, as far as is remembered"`
	Restarts    int       `json:"restarts" doc:"containers that ended badly, as far as is remembered"`
	Ports       []string  `json:"ports,omitempty" doc:"as 25->25/tcp public"`
	URLs        []string  `json:"urls,omitempty"`
	Since       time.Time `json:"since,omitzero" doc:"of the newest container"`
	Tasks       []Task    `json:"tasks,omitempty"`
	Trouble     *Trouble  `json:"trouble,omitempty" doc:"its containers end badly, or did until a moment ago"`
}

// Trouble is what is remembered of containers that ended badly.
type Trouble struct {
	Since   time.Time `json:"since" doc:"the first bad end"`
	Crashes int       `json:"crashes" doc:"bad ends since then"`
	Last    time.Time `json:"last" doc:"the newest of them"`
	Reason  string    `json:"reason" doc:"how that was"`
	Rests   int       `json:"rests,omitempty" doc:"how often it was left without containers for a while"`
	Until   time.Time `json:"until,omitzero" doc:"it rests, without containers, and is tried again then; absent: it does not rest"`
}

// End is how a container ended.
type End struct {
	At   time.Time `json:"at"`
	Says string    `json:"says" doc:"a clause: it exited with code 3"`
}

// Task is one container of a service.
type Task struct {
	Container string    `json:"container" doc:"its id"`
	Slot      int       `json:"slot"`
	State     string    `json:"state"`
	Health    string    `json:"health,omitempty"`
	Since     time.Time `json:"since,omitzero"`
	ExitCode  int       `json:"exitCode,omitempty"`
	Says      string    `json:"says,omitempty"`
}

// Why explains a service in a sentence.
type Why struct {
	Service string   `json:"service" doc:"environment.project.service"`
	State   string   `json:"state"`
	Says    string   `json:"says"`
	Remedy  string   `json:"remedy,omitempty"`
	Lines   []string `json:"lines,omitempty" doc:"the last lines it printed, or the last output of its health check"`
	Trouble *Trouble `json:"trouble,omitempty" doc:"its containers end badly, or did until a moment ago"`
}

// Line is a line that a service printed.
type Line struct {
	Time    time.Time `json:"time"`
	Service string    `json:"service"`
	Slot    int       `json:"slot"`
	Stream  string    `json:"stream" enum:"stdout,stderr"`
	Text    string    `json:"text"`

	Problem *problem.Problem `json:"problem,omitempty" doc:"why the stream broke; nothing else is set and it is the last line"`
}

// Removed is what a removal took away and what it left.
type Removed struct {
	Gone []string `json:"gone"`
	Kept []string `json:"kept,omitempty" doc:"volumes that still hold data"`
	Cut  []string `json:"cut,omitempty" doc:"services of other projects whose link leads nowhere now"`
}

// Removal says how much is removed. The zero Removal spares data and whoever
// links to what goes.
type Removal struct {
	Volumes bool // the data too
	Force   bool // also what services of other projects link to
}

// Image is an image of an environment.
type Image struct {
	Name        string    `json:"name"`
	Environment string    `json:"environment"`
	ID          string    `json:"id"`
	Size        int64     `json:"size" doc:"in bytes"`
	Created     time.Time `json:"created,omitzero"`
	UsedBy      []string  `json:"usedBy,omitempty" doc:"services"`
}
