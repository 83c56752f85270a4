package compose

import (
	"strings"

	"havre/internal/spec"
)

// dataFields say what is mounted.
var dataFields = []Field{
	{Path: "services.*.volumes", Verdict: Honoured, Says: "named and anonymous volumes; a relative directory, which is kept as a volume of the project named by its path; a relative file, or a directory with :ro, which is uploaded; tmpfs; other paths of the machine are refused"},
	{Path: "services.*.volumes[].type", Verdict: Honoured, Says: "volume, bind (relative) or tmpfs; npipe, cluster and image are refused"},
	{Path: "services.*.volumes[].source", Verdict: Honoured, Says: "a volume of the file or a relative path"},
	{Path: "services.*.volumes[].target", Verdict: Honoured, Says: "an absolute path in the container"},
	{Path: "services.*.volumes[].read_only", Verdict: Honoured, Says: "a directory that is only read is uploaded; an uploaded file is always read-only, with a warning where it is not said"},
	{Path: "services.*.volumes[].consistency", Verdict: Warned, Says: "without effect on Linux", Remedy: leaveOut},
	{Path: "services.*.volumes[].bind", Verdict: Honoured, Says: "options of a bind"},
	{Path: "services.*.volumes[].bind.propagation", Verdict: Refused, Says: "uploaded files are no mounts of the machine", Remedy: leaveOut, Fine: []string{"rprivate", "private"}},
	{Path: "services.*.volumes[].bind.create_host_path", Verdict: Warned, Says: "a path that is not there is an empty directory", Remedy: leaveOut, Fine: []string{"true"}},
	{Path: "services.*.volumes[].bind.recursive", Verdict: Refused, Says: "uploaded files are no mounts of the machine", Remedy: leaveOut, Fine: []string{"enabled"}},
	{Path: "services.*.volumes[].bind.selinux", Verdict: Warned, Says: "uploaded files need no label", Remedy: leaveOut},
	{Path: "services.*.volumes[].volume", Verdict: Honoured, Says: "options of a volume"},
	{Path: "services.*.volumes[].volume.nocopy", Verdict: Refused, Says: "a new volume begins with what the image has there", Remedy: leaveOut, Fine: []string{"false"}},
	{Path: "services.*.volumes[].volume.labels", Verdict: Warned, Says: "volumes get no labels", Remedy: leaveOut},
	{Path: "services.*.volumes[].volume.subpath", Verdict: Refused, Says: "a volume is mounted whole", Remedy: "use a volume for each directory"},
	{Path: "services.*.volumes[].tmpfs", Verdict: Honoured, Says: "options of a tmpfs"},
	{Path: "services.*.volumes[].tmpfs.size", Verdict: Honoured, Says: "absent: the engine's default"},
	{Path: "services.*.volumes[].tmpfs.mode", Verdict: Warned, Says: "a tmpfs has mode 1777", Remedy: leaveOut, Fine: []string{"1777", "01777", "0o1777", "1023"}},
	{Path: "services.*.volumes[].image", Verdict: Refused, Says: "images are not mounted", Remedy: "copy the files in the Dockerfile"},
	{Path: "services.*.tmpfs", Verdict: Honoured, Says: "a path, or path:size=64m; other options than the engine's own are refused"},
	{Path: "services.*.shm_size", Verdict: Honoured, Says: "a tmpfs of that size at /dev/shm"},
	{Path: "services.*.configs", Verdict: Honoured, Says: "mounted as read-only files"},
	{Path: "services.*.configs[].source", Verdict: Honoured, Says: "one of configs:"},
	{Path: "services.*.configs[].target", Verdict: Honoured, Says: "absent: / and the source's name"},
	{Path: "services.*.configs[].mode", Verdict: Honoured, Says: "absent: 0444"},
	{Path: "services.*.configs[].uid", Verdict: Honoured, Says: "whose the file is, as a number; absent: 0"},
	{Path: "services.*.configs[].gid", Verdict: Honoured, Says: "its group, as a number; absent: 0"},
	{Path: "services.*.secrets", Verdict: Honoured, Says: "mounted as files in memory; a change of one is an update"},
	{Path: "services.*.secrets[].source", Verdict: Honoured, Says: "one of secrets:"},
	{Path: "services.*.secrets[].target", Verdict: Honoured, Says: "below /run/secrets, or an absolute path; absent: the source's name"},
	{Path: "services.*.secrets[].uid", Verdict: Honoured, Says: "a number; absent: 0"},
	{Path: "services.*.secrets[].gid", Verdict: Honoured, Says: "a number; absent: 0"},
	{Path: "services.*.secrets[].mode", Verdict: Honoured, Says: "absent: 0444"},
	{Path: "services.*.volumes_from", Verdict: Refused, Says: "volumes of another container cannot be taken", Remedy: "mount the same named volume in both services"},
	{Path: "services.*.volume_driver", Verdict: Refused, Says: "volumes are directories of this machine", Remedy: leaveOut, Fine: []string{"local"}},
	{Path: "services.*.storage_opt", Verdict: Refused, Says: "the engine's storage takes no options", Remedy: leaveOut},
}

// relationFields say what it has to do with others.
var relationFields = []Field{
	{Path: "services.*.depends_on", Verdict: Honoured, Says: "short and long form"},
	{Path: "services.*.depends_on.*", Verdict: Honoured, Says: "a service of the project"},
	{Path: "services.*.depends_on.*.condition", Verdict: Honoured, Says: "service_started, service_healthy, service_completed_successfully"},
	{Path: "services.*.depends_on.*.required", Verdict: Honoured, Says: "false: the service may be missing"},
	{Path: "services.*.depends_on.*.restart", Verdict: Warned, Says: "a service is not restarted because another one was", Remedy: "let the app connect again", Fine: []string{"false"}},
	{Path: "services.*.links", Verdict: Honoured, Says: "depends_on, and variables with the other's address"},
	{Path: "services.*.external_links", Verdict: Refused, Says: "containers are not reached by their names", Remedy: "link to the service: x-havre: {links: [\"project/service:alias\"]}"},
	{Path: "services.*.pre_start", Verdict: Refused, Says: nextRelease, Remedy: "let a service of its own do it, and wait with condition: service_completed_successfully"},
	{Path: "services.*.post_start", Verdict: Refused, Says: nextRelease, Remedy: "do it in the image's start script"},
	{Path: "services.*.pre_stop", Verdict: Refused, Says: nextRelease, Remedy: "let the app do it on its stop signal"},
}

// amountFields say how much of the machine it gets.
var amountFields = []Field{
	{Path: "services.*.scale", Verdict: Honoured, Says: "how many containers; absent: 1"},
	{Path: "services.*.mem_limit", Verdict: Honoured, Says: "the most memory"},
	{Path: "services.*.mem_reservation", Verdict: Honoured, Says: "memory that must be free"},
	{Path: "services.*.cpus", Verdict: Honoured, Says: "the most processor time, in cores"},
	{Path: "services.*.pids_limit", Verdict: Honoured, Says: "the most processes; -1 is no limit"},
	{Path: "services.*.memswap_limit", Verdict: Warned, Says: "swap has no limit of its own", Remedy: "use mem_limit"},
	{Path: "services.*.mem_swappiness", Verdict: Warned, Says: "the machine's setting counts", Remedy: leaveOut},
	{Path: "services.*.cpu_shares", Verdict: Warned, Says: "services have equal weight", Remedy: "use cpus"},
	{Path: "services.*.oom_score_adj", Verdict: Warned, Says: "the kernel chooses", Remedy: "use mem_limit"},
	{Path: "services.*.oom_kill_disable", Verdict: Refused, Says: "it could bring the machine to a standstill", Remedy: "use a higher mem_limit", Fine: []string{"false"}},
	{Path: "services.*.cpu_count", Verdict: Refused, Says: "only for Windows", Remedy: "use cpus"},
	{Path: "services.*.cpu_percent", Verdict: Refused, Says: "only for Windows", Remedy: "use cpus"},
	{Path: "services.*.cpu_period", Verdict: Honoured, Says: "in microseconds; absent: 100000"},
	{Path: "services.*.cpu_quota", Verdict: Honoured, Says: "in microseconds of a period: as cpus of quota divided by period; -1 is no limit"},
	{Path: "services.*.cpu_rt_period", Verdict: Refused, Says: "no realtime scheduling", Remedy: leaveOut},
	{Path: "services.*.cpu_rt_runtime", Verdict: Refused, Says: "no realtime scheduling", Remedy: leaveOut},
	{Path: "services.*.cpuset", Verdict: Refused, Says: "services are not bound to processors", Remedy: "use cpus"},
	{Path: "services.*.blkio_config", Verdict: Refused, Says: "disks are not shared out", Remedy: leaveOut},
	{Path: "services.*.ulimits", Verdict: Honoured, Says: "core, cpu, data, fsize, locks, memlock, nofile, nproc, rss and stack; others are refused"},
	{Path: "services.*.ulimits.*", Verdict: Honoured, Says: "a number for both, -1 is no limit"},
	{Path: "services.*.ulimits.*.soft", Verdict: Honoured, Says: "what counts"},
	{Path: "services.*.ulimits.*.hard", Verdict: Honoured, Says: "how far a process may raise it"},
	{Path: "services.*.gpus", Verdict: Refused, Says: "devices are not given to services", Remedy: leaveOut},
}

// deployFields are below deploy.
var deployFields = []Field{
	{Path: "services.*.deploy", Verdict: Honoured, Says: "see below"},
	{Path: "services.*.deploy.mode", Verdict: Refused, Says: "services run always: replicated, or global, which is one container on each machine, and there is one", Remedy: leaveOut, Fine: []string{"replicated", "global"}},
	{Path: "services.*.deploy.replicas", Verdict: Honoured, Says: "how many containers; absent: 1"},
	{Path: "services.*.deploy.endpoint_mode", Verdict: Warned, Says: "names lead to the containers themselves (dnsrr)", Remedy: leaveOut, Fine: []string{"dnsrr"}},
	{Path: "services.*.deploy.labels", Verdict: Warned, Says: "labels of swarm services are Havre's", Remedy: "use labels:"},
	{Path: "services.*.deploy.placement", Verdict: Warned, Says: "Havre chooses the node", Remedy: leaveOut},
	{Path: "services.*.deploy.restart_policy", Verdict: Honoured, Says: "before restart:"},
	{Path: "services.*.deploy.restart_policy.condition", Verdict: Honoured, Says: "any, on-failure or none; the words of restart: are taken, too"},
	{Path: "services.*.deploy.restart_policy.max_attempts", Verdict: Honoured, Says: "under on-failure"},
	{Path: "services.*.deploy.restart_policy.delay", Verdict: Warned, Says: "Havre waits longer after each crash", Remedy: leaveOut},
	{Path: "services.*.deploy.restart_policy.window", Verdict: Warned, Says: "Havre waits longer after each crash", Remedy: leaveOut},
	{Path: "services.*.deploy.resources", Verdict: Honoured, Says: "see below"},
	{Path: "services.*.deploy.resources.limits", Verdict: Honoured, Says: "the most it may use"},
	{Path: "services.*.deploy.resources.limits.cpus", Verdict: Honoured, Says: "in cores"},
	{Path: "services.*.deploy.resources.limits.memory", Verdict: Honoured, Says: "at least 6 MiB"},
	{Path: "services.*.deploy.resources.limits.pids", Verdict: Honoured, Says: "processes"},
	{Path: "services.*.deploy.resources.reservations", Verdict: Honoured, Says: "what must be free on the node"},
	{Path: "services.*.deploy.resources.reservations.cpus", Verdict: Honoured, Says: "in cores"},
	{Path: "services.*.deploy.resources.reservations.memory", Verdict: Honoured, Says: "memory"},
	{Path: "services.*.deploy.resources.reservations.generic_resources", Verdict: Refused, Says: "nodes offer none", Remedy: leaveOut},
	{Path: "services.*.deploy.resources.reservations.devices", Verdict: Refused, Says: "devices are not given to services", Remedy: leaveOut},
}

// updateFields say how an update goes. Docker Compose without a swarm looks at
// none of them: it stops a container, and starts the next.
var updateFields = []Field{
	{Path: "services.*.deploy.update_config", Verdict: Honoured, Says: "see below"},
	{Path: "services.*.deploy.update_config.order", Verdict: Honoured, Says: "stop-first: all old containers have ended before a new one starts, and connections are held meanwhile, at most 30 s; start-first: the old ones serve until the new ones are healthy. Absent: start-first, on purpose other than Compose's own default, as nobody waits then. What writes to volumes is stopped first in any case; a warning where start-first is asked for"},
	{Path: "services.*.deploy.update_config.parallelism", Verdict: Warned, Says: oneSwitch, Remedy: "take it out; without order: stop-first all the old ones serve until the new ones are healthy", Fine: []string{"0"}},
	{Path: "services.*.deploy.update_config.delay", Verdict: Warned, Says: oneSwitch, Remedy: leaveOut, Fine: []string{"0", "0s"}},
	{Path: "services.*.deploy.update_config.failure_action", Verdict: Warned, Says: "an update that fails is given up as a whole: the old containers serve on, or come back", Remedy: "take it out; where the new ones should serve all the same, ask less of their healthcheck", Fine: []string{"rollback"}},
	{Path: "services.*.deploy.update_config.monitor", Verdict: Warned, Says: watched, Remedy: healthTells, Fine: []string{"0", "0s"}},
	{Path: "services.*.deploy.update_config.max_failure_ratio", Verdict: Warned, Says: "one new container that does not get healthy fails the update", Remedy: leaveOut, Fine: []string{"0"}},
	{Path: "services.*.deploy.rollback_config", Verdict: Honoured, Says: "see below"},
	{Path: "services.*.deploy.rollback_config.order", Verdict: Refused, Says: "a rollback is an update, and goes in the order of those; the same order here is fine", Remedy: orderOnce, own: true},
	{Path: "services.*.deploy.rollback_config.parallelism", Verdict: Warned, Says: oneSwitch, Remedy: leaveOut, Fine: []string{"0"}},
	{Path: "services.*.deploy.rollback_config.delay", Verdict: Warned, Says: oneSwitch, Remedy: leaveOut, Fine: []string{"0", "0s"}},
	{Path: "services.*.deploy.rollback_config.failure_action", Verdict: Warned, Says: "a rollback that fails is given up as any update: what served before it serves on, or comes back", Remedy: "take it out; havre why says what was wrong"},
	{Path: "services.*.deploy.rollback_config.monitor", Verdict: Warned, Says: watched, Remedy: healthTells, Fine: []string{"0", "0s"}},
	{Path: "services.*.deploy.rollback_config.max_failure_ratio", Verdict: Warned, Says: "one container that does not get healthy fails the rollback", Remedy: leaveOut, Fine: []string{"0"}},
}

const (
	oneSwitch   = "all containers change in one switch, not one after the other"
	watched     = "a new container is watched until it is healthy, and without a healthcheck for 5 s; one that crashes later does not bring the old one back"
	healthTells = "give it a healthcheck that only passes when all is well; havre rollback brings the old one back"
	orderOnce   = "write it below update_config, or take it out"
)

// hostFields would reach out of the container.
var hostFields = []Field{
	{Path: "services.*.privileged", Verdict: Refused, Says: "it would make the container root on the machine", Remedy: bounds, Fine: []string{"false"}},
	{Path: "services.*.cap_add", Verdict: Honoured, Says: "gives back what cap_drop takes of what every container has; others root has to grant first, in guard/bounds.json"},
	{Path: "services.*.cap_drop", Verdict: Honoured, Says: "capabilities, or ALL; NET_RAW and MKNOD are dropped anyway"},
	{Path: "services.*.security_opt", Verdict: Refused, Says: "fences are not free to choose, and no-new-privileges, which only narrows, has no field in the swarm of Engine 20.10", Remedy: "take it out; cap_drop: [ALL] leaves a setuid program no capability to gain, and \"no-new-privileges\": true in the engine's daemon.json is for all containers", Fine: []string{"no-new-privileges:false", "no-new-privileges=false"}, Mild: []string{"no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"}},
	{Path: "services.*.devices", Verdict: Refused, Says: "devices of the machine are not given to services", Remedy: bounds},
	{Path: "services.*.device_cgroup_rules", Verdict: Refused, Says: "devices of the machine are not given to services", Remedy: bounds},
	{Path: "services.*.pid", Verdict: Refused, Says: "it would show the machine's or another container's processes", Remedy: leaveOut},
	{Path: "services.*.ipc", Verdict: Refused, Says: "it would share the memory of the machine or of another container", Remedy: leaveOut, Fine: []string{"private"}},
	{Path: "services.*.uts", Verdict: Refused, Says: "it would share the machine's name", Remedy: leaveOut},
	{Path: "services.*.userns_mode", Verdict: Refused, Says: "it would make the container's root the machine's", Remedy: leaveOut},
	{Path: "services.*.cgroup", Verdict: Refused, Says: "limits are kept by the engine", Remedy: leaveOut, Fine: []string{"private"}},
	{Path: "services.*.cgroup_parent", Verdict: Refused, Says: "limits are kept by the engine", Remedy: leaveOut},
	{Path: "services.*.runtime", Verdict: Refused, Says: "the engine's own runtime is used", Remedy: leaveOut, Fine: []string{"runc"}},
	{Path: "services.*.isolation", Verdict: Refused, Says: "only for Windows", Remedy: leaveOut, Fine: []string{"default"}},
	{Path: "services.*.credential_spec", Verdict: Refused, Says: "only for Windows", Remedy: leaveOut},
	{Path: "services.*.sysctls", Verdict: Honoured, Says: "settings of the container's own network: " + strings.Join(spec.SysctlNames(), ", ") + "; others are refused"},
	{Path: "services.*.group_add", Verdict: Honoured, Says: "gids, or names in the image"},
	{Path: "services.*.umask", Verdict: Refused, Says: nextRelease, Remedy: "set it in the image's start script"},
	{Path: "services.*.use_api_socket", Verdict: Refused, Says: "the engine's socket is the guard's alone", Remedy: bounds, Fine: []string{"false"}},
	{Path: "services.*.models", Verdict: Refused, Says: "Havre runs no models", Remedy: leaveOut},
	{Path: "services.*.provider", Verdict: Refused, Says: "no other programs are started", Remedy: leaveOut},
}

// toolFields steer docker compose itself.
var toolFields = []Field{
	{Path: "services.*.attach", Verdict: Warned, Says: "see logs with havre logs", Remedy: leaveOut},
	{Path: "services.*.develop", Verdict: Warned, Says: "for docker compose watch only", Remedy: leaveOut},
	{Path: "services.*.annotations", Verdict: Warned, Says: "containers get no annotations", Remedy: "use labels:"},
	{Path: "services.*.label_file", Verdict: Honoured, Says: "files with labels, read when applied"},
	{Path: "services.*.logging", Verdict: Honoured, Says: "how much of the output is kept on the node"},
	{Path: "services.*.logging.driver", Verdict: Honoured, Says: "local; any other is a warning"},
	{Path: "services.*.logging.options", Verdict: Honoured, Says: "max-size (1 KiB to 1 GiB) and max-file (1 to 10); others are a warning"},
	{Path: "services.*.log_driver", Verdict: Refused, Says: "this old form of logging is gone from Compose too", Remedy: leaveOut},
	{Path: "services.*.log_opt", Verdict: Refused, Says: "this old form of logging is gone from Compose too", Remedy: leaveOut},
	{Path: "services.*.dockerfile", Verdict: Refused, Says: "this old form of build is gone from Compose too", Remedy: "havre image build -t NAME -f FILE DIR"},
}
