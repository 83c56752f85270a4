package compose

import (
	"cmp"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"havre/internal/dialect/source"
	"havre/internal/problem"
	"havre/internal/spec"
)

// unnamed stands for the image of a service whose mistake was told already.
const unnamed = "unnamed"

// service turns one service into ours.
func (r *reader) service(name string, s types.ServiceConfig) spec.Service {
	at := "services." + name
	r.Origins[at] = r.at(name)
	for path, field := range map[string]string{
		"image": "image", "environment": "environment", "user": "user", "stopSignal": "stop_signal", "hostname": "hostname",
		"labels": "labels", "health": "healthcheck", "stopGrace": "stop_grace_period", "needs": "depends_on", "aliases": "networks",
		"pull": "pull_policy", "access": extension, "domains": extension, "links": "links", "limits": "deploy", "reserve": "deploy", "replicas": "deploy", "restart": "restart",
	} {
		r.Origins[at+"."+path] = r.at(name, field)
	}
	result := spec.Service{
		Name:        name,
		Image:       r.image(name, s),
		Pull:        r.pull(name, s),
		Entrypoint:  r.words(name, "entrypoint", s.Entrypoint, s.Command),
		Command:     r.words(name, "command", s.Command, s.Entrypoint),
		Environment: r.variables(name, s),
		Ports:       r.ports(name, s),
		Expose:      r.expose(name, s),
		Mounts:      r.mounts(name, s),
		Needs:       r.needs(name, s),
		Health:      r.health(s.HealthCheck),
		Replicas:    r.replicas(name, s),
		Restart:     r.restart(name, s),
		User:        s.User,
		WorkingDir:  s.WorkingDir,
		Hostname:    hostname(name, s),
		ReadOnly:    s.ReadOnly,
		Init:        s.Init != nil && *s.Init,
		StopSignal:  s.StopSignal,
		StopGrace:   duration(s.StopGracePeriod),
	}
	result.Labels = r.labels(name, s)
	r.confine(&result, s)
	result.Limits, result.Reserve = r.limits(name, s)
	r.aliases(&result, s)
	r.links(&result, s)
	r.extension(&result)
	r.order(&result, s)
	return result
}

func (r *reader) image(name string, s types.ServiceConfig) string {
	if s.Image == "" {
		for _, service := range r.chain(name) {
			for _, field := range []string{".image", ".build"} {
				if _, wrong := r.gone["services."+service+field]; wrong {
					return unnamed
				}
			}
		}
	}
	if s.Build != nil {
		return r.build(name, s)
	}
	return s.Image
}

// build reads how a service's image is made, and gives the image's name: what
// docker compose calls it when the file does not say.
func (r *reader) build(name string, s types.ServiceConfig) (image string) {
	b := s.Build
	if image = s.Image; image == "" {
		image = strings.ToLower(r.Project.Name + "-" + name)
	}
	at := r.at(name, "build")
	if n, where := r.look(name, "build", "context"); n != nil {
		at = where
	}
	repository, dir, ok := r.context(at, b.Context)
	if !ok {
		return image
	}
	made := source.Build{
		Service: name, Image: image, Dir: dir, Repository: repository, Dockerfile: b.Dockerfile, Target: b.Target,
		NoCache: b.NoCache, Always: s.PullPolicy == types.PullPolicyBuild, Where: at,
	}
	for arg, value := range b.Args {
		given, known := r.vars[arg]
		switch {
		case value != nil:
			made.Args = append(made.Args, arg+"="+*value)
		case known:
			made.Args = append(made.Args, arg+"="+given)
		}
	}
	slices.Sort(made.Args)
	r.Builds = append(r.Builds, made)
	return image
}

// remote tells whether a context is a repository or an archive elsewhere.
func remote(context string) bool {
	return strings.Contains(context, "://") || strings.HasPrefix(context, "git@") || strings.HasPrefix(context, "github.com/")
}

// context reads a directory of this machine, or REPOSITORY#REF:DIR.
func (r *reader) context(at problem.Place, context string) (repository source.Repository, dir string, ok bool) {
	if !remote(context) {
		return repository, r.path(context), true
	}
	url, rest, _ := strings.Cut(context, "#")
	ref, dir, _ := strings.Cut(rest, ":")
	scheme, _, _ := strings.Cut(url, "://")
	switch {
	case strings.HasPrefix(url, "github.com/"):
		url = "https://" + url
	case strings.HasPrefix(url, "git@"), slices.Contains([]string{"git", "ssh"}, scheme):
	case !slices.Contains([]string{"http", "https"}, scheme) || !strings.HasSuffix(url, ".git"):
		r.Refuse(at, fmt.Sprintf("build: %s is no directory of this machine and no repository of git", shorten(context)), "fetch it, and name the directory; a repository's address ends with .git")
		return repository, "", false
	}
	if dir = strings.Trim(dir, "/"); strings.HasPrefix(ref, "-") || dir != "" && !filepath.IsLocal(dir) {
		r.Refuse(at, fmt.Sprintf("build: %q is no branch, tag or commit with a directory of the repository behind a colon", shorten(rest)), "write it like https://git.example.org/app.git#v1:docker")
		return repository, "", false
	}
	return source.Repository{URL: url, Ref: ref}, dir, true
}

// path is where a path of the files is on this machine.
func (r *reader) path(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(r.dir, name)
}

// pull is when the image comes from its registry. One that is built has a name
// of the person's own; who knows what a registry has under it.
func (r *reader) pull(name string, s types.ServiceConfig) spec.Pull {
	switch policy := s.PullPolicy; {
	case policy == types.PullPolicyAlways, policy == types.PullPolicyRefresh, policy == "daily", policy == "weekly", strings.HasPrefix(policy, "every_"):
		return spec.PullAlways
	case policy == types.PullPolicyNever, policy == types.PullPolicyBuild:
		return spec.PullNever
	case policy == types.PullPolicyMissing, policy == types.PullPolicyIfNotPresent:
		return ""
	case policy != "":
		return spec.Pull(policy) // spec.Validate says what is wrong with it
	}
	if s.Build != nil {
		return spec.PullNever
	}
	return ""
}

func duration(d *types.Duration) spec.Duration {
	if d == nil {
		return 0
	}
	return spec.Duration(time.Duration(*d))
}

func (r *reader) health(h *types.HealthCheckConfig) *spec.Health {
	if h == nil {
		return nil
	}
	if h.Disable {
		return &spec.Health{Test: []string{"NONE"}}
	}
	result := &spec.Health{Test: h.Test, Interval: duration(h.Interval), Timeout: duration(h.Timeout), Start: duration(h.StartPeriod)}
	if h.Retries != nil {
		result.Retries = int(min(*h.Retries, 1<<30))
	}
	if reflect.ValueOf(*result).IsZero() {
		return nil
	}
	return result
}

func (r *reader) replicas(name string, s types.ServiceConfig) int {
	inDeploy := s.Deploy != nil && s.Deploy.Replicas != nil
	if s.Scale == nil {
		if inDeploy {
			r.Origins["services."+name+".replicas"] = r.at(name, "deploy", "replicas")
			return *s.Deploy.Replicas
		}
		return 1
	}
	at := r.at(name, "scale")
	r.Origins["services."+name+".replicas"] = at
	if inDeploy && *s.Deploy.Replicas != *s.Scale {
		r.Refuse(at, fmt.Sprintf("scale says %d and deploy.replicas %d", *s.Scale, *s.Deploy.Replicas), "keep one of them")
	}
	return *s.Scale
}

// cores makes 0.1 of a float32 that is near it.
func cores(f float32) float64 {
	v, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64)
	if err != nil {
		return float64(f)
	}
	return v
}

// hostname is the container's full name. A swarm has no domain name beside it.
func hostname(name string, s types.ServiceConfig) string {
	if s.DomainName == "" {
		return s.Hostname
	}
	return strings.ToLower(cmp.Or(s.Hostname, name)) + "." + s.DomainName
}

// period is the kernel's own when a file says only the quota; in microseconds.
const period = 100_000

// share is what cpu_quota and cpu_period allow, in cores; 0 is all.
func (r *reader) share(name string, s types.ServiceConfig) float64 {
	_, at := r.look(name, "cpu_quota")
	switch {
	case s.CPUQuota <= 0:
		return 0
	case s.CPUQuota < 1000 || s.CPUPeriod != 0 && (s.CPUPeriod < 1000 || s.CPUPeriod > 1_000_000):
		r.Refuse(at, "a quota is at least 1000 microseconds, a period from 1000 to 1000000", "use cpus: quota divided by period")
		return 0
	}
	return cores(float32(s.CPUQuota) / float32(cmp.Or(s.CPUPeriod, period)))
}

// limits reads both places where Compose lets one write them.
func (r *reader) limits(name string, s types.ServiceConfig) (most, reserve spec.Limits) {
	most = spec.Limits{Memory: spec.Bytes(s.MemLimit), CPUs: cores(s.CPUS), Pids: max(s.PidsLimit, 0)}
	if c := r.share(name, s); c != 0 {
		if most.CPUs != 0 && most.CPUs != c {
			r.Refuse(r.at(name, "cpu_quota"), "cpu_quota says something else than cpus", "keep one of them")
		}
		most.CPUs = c
	}
	reserve = spec.Limits{Memory: spec.Bytes(s.MemReservation)}
	for _, field := range []string{"mem_limit", "cpus", "cpu_quota", "pids_limit"} {
		if n, at := r.look(name, field); n != nil {
			r.Origins["services."+name+".limits"] = at
		}
	}
	if s.Deploy == nil {
		return most, reserve
	}
	if l := s.Deploy.Resources.Limits; l != nil {
		r.Origins["services."+name+".limits"] = r.at(name, "deploy", "resources", "limits")
		most.Memory = spec.Bytes(r.either(name, "mem_limit", int64(most.Memory), int64(l.MemoryBytes)))
		most.Pids = r.either(name, "pids_limit", most.Pids, max(l.Pids, 0))
		if c := cores(l.NanoCPUs.Value()); most.CPUs != 0 && c != 0 && most.CPUs != c {
			r.twice(name, "cpus")
		} else {
			most.CPUs = max(c, most.CPUs)
		}
	}
	if l := s.Deploy.Resources.Reservations; l != nil {
		r.Origins["services."+name+".reserve"] = r.at(name, "deploy", "resources", "reservations")
		reserve.Memory = spec.Bytes(r.either(name, "mem_reservation", int64(reserve.Memory), int64(l.MemoryBytes)))
		reserve.CPUs = cores(l.NanoCPUs.Value())
	}
	return most, reserve
}

func (r *reader) either(name, field string, a, b int64) int64 {
	if a != 0 && b != 0 && a != b {
		r.twice(name, field)
	}
	if a != 0 {
		return a
	}
	return b
}

func (r *reader) twice(name, field string) {
	r.Refuse(r.at(name, field), field+" says something else than deploy.resources", "keep one of them")
}

// meant begins a remedy with the name of a section that was probably meant.
func (r *reader) meant(section, name, remedy string, but ...string) string {
	var declared []string
	for _, t := range r.forest.all(section) {
		for _, p := range pairs(t.root) {
			if !slices.Contains(but, p[0].Value) {
				declared = append(declared, p[0].Value)
			}
		}
	}
	return source.Meant(name, declared, remedy)
}

// restart reads deploy.restart_policy, which goes before restart. Where none is
// given a service runs always, unless others wait for it to complete.
func (r *reader) restart(name string, s types.ServiceConfig) spec.Restart {
	if s.Deploy != nil && s.Deploy.RestartPolicy != nil && s.Deploy.RestartPolicy.Condition != "" {
		p := s.Deploy.RestartPolicy
		r.Origins["services."+name+".restart"] = r.at(name, "deploy", "restart_policy")
		attempts := 0
		if p.MaxAttempts != nil {
			attempts = int(min(*p.MaxAttempts, 1<<30))
		}
		switch p.Condition {
		case "none", "no":
			return spec.Restart{Policy: spec.Never}
		case "any", "always", "unless-stopped": // docker compose takes the words of restart:, too
			return spec.Restart{Policy: spec.Always}
		case "on-failure":
			return spec.Restart{Policy: spec.OnFailure, Attempts: attempts}
		}
		r.Refuse(r.at(name, "deploy", "restart_policy", "condition"), fmt.Sprintf("restart condition %q is unknown", p.Condition), "use any, on-failure or none")
		return spec.Restart{}
	}
	return r.shortRestart(name, s.Restart)
}

func (r *reader) shortRestart(name, policy string) spec.Restart {
	switch policy {
	case "":
		if r.awaited[name] {
			return spec.Restart{Policy: spec.Never}
		}
		return spec.Restart{}
	case "always", "unless-stopped":
		return spec.Restart{Policy: spec.Always}
	case "no", "false":
		return spec.Restart{Policy: spec.Never}
	case "on-failure":
		return spec.Restart{Policy: spec.OnFailure}
	}
	var attempts int
	if _, err := fmt.Sscanf(policy, "on-failure:%d", &attempts); err == nil && attempts >= 0 && policy == fmt.Sprintf("on-failure:%d", attempts) {
		return spec.Restart{Policy: spec.OnFailure, Attempts: attempts}
	}
	r.Refuse(r.at(name, "restart"), fmt.Sprintf("restart policy %q is unknown", policy), source.Meant(policy, []string{"always", "unless-stopped", "on-failure"}, `use always, unless-stopped, on-failure, on-failure:N or "no"`))
	return spec.Restart{}
}

// order reads what updates and rollbacks stop or start first. It comes after
// the mounts: of what writes there is no choice.
func (r *reader) order(to *spec.Service, s types.ServiceConfig) {
	if s.Deploy != nil && s.Deploy.UpdateConfig != nil {
		to.Order = spec.Order(s.Deploy.UpdateConfig.Order)
	}
	at := r.at(to.Name, "deploy", "update_config", "order")
	r.Origins["services."+to.Name+".order"] = at
	done := cmp.Or(to.Order, spec.StartFirst)
	if to.WritesData() {
		done = spec.StopFirst
	}
	r.back(to.Name, done)
	if to.Order == spec.StartFirst && done == spec.StopFirst {
		r.Warn(at, fmt.Sprintf("deploy.update_config.order: start-first has no effect: %s writes to volume %s, so the old one stops before the new one starts; connections are held meanwhile", to.Name, written(to)),
			"mount the volume read-only where the service only reads, or take the order out")
		to.Order = ""
	}
}

// back compares the order of rollbacks with that of updates, which they go in.
func (r *reader) back(name string, done spec.Order) {
	for _, service := range r.chain(name) {
		asked, there := r.gone["services."+service+".deploy.rollback_config.order"]
		said := "deploy.rollback_config.order: " + asked.value
		switch {
		case !there:
			continue
		case asked.value == "" || spec.Order(asked.value) == done:
		case asked.value == string(spec.StartFirst): // it is gentler than what is done, and no more
			r.Warn(asked.at, said+" has no effect: a rollback is an update, and updates of "+name+" stop the old one first", orderOnce)
		case asked.value == string(spec.StopFirst):
			r.Refuse(asked.at, said+" is refused: a rollback is an update, and updates of "+name+" start the new one first", orderOnce)
		default:
			r.Refuse(asked.at, fmt.Sprintf("deploy.rollback_config.order: %q is unknown", shorten(asked.value)), "use stop-first or start-first, or take it out")
		}
		return
	}
}

// written is the first volume that a service writes to.
func written(s *spec.Service) string {
	i := slices.IndexFunc(s.Mounts, func(m spec.Mount) bool { return m.Kind == spec.Volume && !m.ReadOnly })
	return s.Mounts[i].Source
}
