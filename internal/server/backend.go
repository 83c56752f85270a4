package server

import (
	"context"
	"io"
	"time"

	"havre/internal/api"
)

// Backend is what stands behind the API, piece by piece. A piece that is nil
// is answered with Unavailable.
type Backend struct {
	Deployer  Deployer
	Services  Services
	Rollouts  Rollouts
	Scaler    Scaler
	Switcher  Switcher
	Remover   Remover
	Logs      Logs
	Executor  Executor
	Volumes   Volumes
	Files     Files
	Images    Images
	Builder   Builder
	Secrets   Secrets
	Health    Health
	Authority Authority
	Downer    Downer
	Events    Events
	Meter     Meter
	Metrics   Metrics
	Alerts    Alerts
	Access    Access
}

// Report takes one step of a long piece of work. It never blocks for long and
// may be called after whoever asked has gone.
type Report = func(api.Progress)

// Deployer makes projects as declared.
type Deployer interface {
	// Plan says what Apply would do.
	Plan(ctx context.Context, want api.Apply) (api.Plan, error)
	// Apply reports its plan first, then a step for each change of a service.
	// The error is the outcome; nobody reports Done but the server. ctx
	// outlives the request and ends with the server.
	Apply(ctx context.Context, want api.Apply, report Report) error
}

// Services looks at what runs.
type Services interface {
	// List gives the services sorted by environment, project and name; an empty
	// argument does not narrow.
	// Errors: NotFound when there is no such environment or project.
	List(ctx context.Context, environment, project string) ([]api.Service, error)
	// Find gives the one service that t names.
	// Errors: NotFound; Invalid when several match, naming them.
	Find(ctx context.Context, t api.Target) (api.Service, error)
	// Why explains the state of a service, also of a healthy one.
	Why(ctx context.Context, t api.Target) (api.Why, error)
	// Declared gives a project as it was applied last.
	// Errors: as Find.
	Declared(ctx context.Context, t api.Target) (api.Declared, error)
}

// Rollouts tells of a service's former rollouts and goes back to them.
type Rollouts interface {
	// History gives those that are remembered, newest first.
	// Errors: NotFound; Conflict when several services match, naming them.
	History(ctx context.Context, t api.Target) ([]api.Rollout, error)
	// Errors: as History; NotFound when there is no such rollout, Conflict when
	// there is nothing to compare with.
	Diff(ctx context.Context, t api.Target, o api.DiffOptions) (api.Diff, error)
	// Rollback reports its plan first. to is 0 for what served before. ctx is
	// as in Deployer.Apply.
	// Errors: as Diff; Failed when it does not get healthy.
	Rollback(ctx context.Context, t api.Target, to int, report Report) error
}

// Scaler changes how many containers a service has. It reports its plan first;
// ctx is as in Deployer.Apply.
type Scaler interface {
	// Errors: NotFound; Invalid or Denied for a number that cannot be, or that
	// would have several write to one volume.
	Scale(ctx context.Context, t api.Target, to api.Scale, report Report) error
}

// Switcher starts and stops what was applied. ctx is as in Deployer.Apply.
type Switcher interface {
	Start(ctx context.Context, t api.Target, report Report) error
	Stop(ctx context.Context, t api.Target, report Report) error
	Restart(ctx context.Context, t api.Target, report Report) error
}

// Downer stops all services of this Havre, as a prelude to its own end.
type Downer interface {
	Down(ctx context.Context, report Report) error
}

// Remover takes a service or a project away, its volumes only when asked.
// ctx is as in Deployer.Apply.
type Remover interface {
	Remove(ctx context.Context, t api.Target, how api.Removal) (api.Removed, error)
}

// Logs gives what a service, or each service of a project, printed: in order
// of time as far as it is already there. It stops at the first error of yield.
type Logs interface {
	Logs(ctx context.Context, t api.Target, o api.LogOptions, yield func(api.Line) error) error
}

// Executor runs commands in containers of services. A command that ran and
// failed is a code, not an error. When ctx ends the command is left or ended,
// but Exec returns.
type Executor interface {
	Exec(ctx context.Context, t api.Target, start api.ExecStart, s api.ExecStreams) (code int, err error)
}

// Volumes are kept data. A name is PROJECT/VOLUME or ENV.PROJECT/VOLUME.
type Volumes interface {
	// VolumeList gives them sorted; empty arguments do not narrow, and only
	// whole counts big ones to their end.
	// Errors: NotFound when there is no such project.
	VolumeList(ctx context.Context, environment, project string, whole bool) ([]api.Volume, error)
	// Errors: NotFound; Invalid for one that holds data.
	VolumeClean(ctx context.Context, environment, name string) (api.Cleaned, error)
	// Errors: NotFound; Conflict while a service has it.
	VolumeRemove(ctx context.Context, environment, name string) (api.Removed, error)
}

// Files are those in containers of services; in volumes, when the target's name
// is PROJECT/VOLUME. Paths are clean and absolute.
type Files interface {
	// Errors: NotFound.
	Stat(ctx context.Context, t api.Target, path string) (api.FileStat, error)
	// Get writes a tar whose entries begin with the last part of path.
	// Errors: NotFound, before anything is written.
	Get(ctx context.Context, t api.Target, path string, to io.Writer) error
	// Put unpacks a tar in a directory.
	// Errors: NotFound; Invalid or Denied for what may not be copied.
	Put(ctx context.Context, t api.Target, path string, from io.Reader) error
	// Fill makes a volume that waits to be filled, and lets its services start.
	// Errors: NotFound; Conflict when it does not wait for that.
	Fill(ctx context.Context, t api.Target, from io.Reader) error
}

// Images are those of an environment.
type Images interface {
	List(ctx context.Context, environment string) ([]api.Image, error)
	// Errors: NotFound; Conflict while a service uses it.
	Remove(ctx context.Context, environment, name string) (api.Removed, error)
}

// Builder brings images in.
type Builder interface {
	// Load takes a docker-archive; name is "" to keep the archive's own.
	Load(ctx context.Context, environment, name string, archive io.Reader) (api.Image, error)
	// Pull takes an image from its registry.
	// Errors: Failed with the reason; Denied where nothing is pulled.
	Pull(ctx context.Context, environment, name string, report Report) (api.Image, error)
	// Build takes a tar of the context and reports its output line by line.
	Build(ctx context.Context, o api.BuildOptions, context io.Reader, report Report) (api.Image, error)
}

// Secrets are those of environments. What they hold is never answered.
type Secrets interface {
	// ListSecrets is sorted; an empty environment does not narrow.
	ListSecrets(ctx context.Context, environment string) ([]api.Secret, error)
	// Errors: Invalid; NotFound when there is no such environment.
	CreateSecret(ctx context.Context, want api.NewSecret) (api.Secret, error)
	// RenewSecret reports a plan for each project that it changes. ctx is as in
	// Deployer.Apply.
	// Errors: NotFound; Failed when a service does not get healthy.
	RenewSecret(ctx context.Context, environment, name string, report Report) error
	// Errors: NotFound; Conflict while a service uses it.
	RemoveSecret(ctx context.Context, environment, name string) (api.Removed, error)
}

// Health tells how Havre itself is.
type Health interface {
	Version(ctx context.Context) (api.Version, error)
	Status(ctx context.Context) (api.Status, error)
}

// Meter reads what services use.
type Meter interface {
	// Usage gives the services sorted as Services.List does; an empty argument
	// does not narrow.
	// Errors: as Services.List.
	Usage(ctx context.Context, environment, project string) ([]api.Usage, error)
}

// Metrics measures all there is to measure.
type Metrics interface {
	// Metrics gives it in the text format of Prometheus, version 0.0.4.
	Metrics(ctx context.Context) ([]byte, error)
}

// Alerts tells what is wrong by the rules, and keeps it from being told.
type Alerts interface {
	Alerts(ctx context.Context) (api.Alerts, error)
	// Silence keeps what name matches from being told for a while; 0 ends it.
	Silence(ctx context.Context, name string, span time.Duration) (api.Alerts, error)
	// TestAlerts sends a test by a channel, or by each.
	// Errors: NotFound when there is no such channel, or none.
	TestAlerts(ctx context.Context, channel string) ([]api.Tested, error)
}

// Access tells who came to a service.
type Access interface {
	// Access gives the newest, oldest first; tail and Since narrow, Follow is
	// not looked at. With after, which is Next of a page, what came later.
	// Errors: NotFound; Conflict when the name could mean several; Invalid when
	// after is no position.
	Access(ctx context.Context, t api.Target, o api.LogOptions, after string) (api.AccessPage, error)
}

// Events tells what happened.
type Events interface {
	// Events gives those that q asks for, oldest first; following, until ctx is
	// done. It stops at the first error of yield.
	// Errors: Invalid when q.After was never given.
	Events(ctx context.Context, q api.EventQuery, yield func(api.Event) error) error
}

// Authority signs the certificates of domains.
type Authority interface {
	// Root gives its own certificate, PEM.
	Root(ctx context.Context) ([]byte, error)
}
