package compose

import "strings"

// Verdict is what becomes of a field.
type Verdict string

// The verdicts. Warned is only for fields without which the app behaves as it
// does under docker compose; everything else that is not honoured is Refused.
const (
	Honoured Verdict = "honoured"
	Warned   Verdict = "warned"
	Refused  Verdict = "refused"
)

// Field is a field of the Compose Specification and what becomes of it.
type Field struct {
	Path    string // services.*.ports[].target; * is a name the person chose, [] an item of a list
	Verdict Verdict
	Says    string   // honoured: how it is read; otherwise why it is not
	Remedy  string   // what to do instead
	Fine    []string // values that ask for what happens anyway
	Mild    []string // values without which the app runs all the same, with a warning
	own     bool     // the code that reads it says what there is to say
}

// label is the field's path as the person sees it, below its section.
func (f Field) label() string {
	p := strings.TrimPrefix(f.Path, "services.*.")
	return strings.NewReplacer(".*", "", "[]", "").Replace(p)
}

// table finds fields by their path and by what they are below.
type table struct {
	fields   map[string]Field
	children map[string][]string // names below a path; "*" for any
}

func newTable() table {
	t := table{map[string]Field{}, map[string][]string{}}
	for _, f := range Fields() {
		t.fields[f.Path] = f
		parent, name := "", f.Path
		if i := strings.LastIndex(f.Path, "."); i >= 0 {
			parent, name = f.Path[:i], f.Path[i+1:]
		}
		t.children[parent] = append(t.children[parent], name)
	}
	return t
}

// below gives the field called name below path.
func (t table) below(path, name string) (Field, bool) {
	if path != "" {
		path += "."
	}
	f, ok := t.fields[path+name]
	if !ok {
		f, ok = t.fields[path+"*"]
	}
	return f, ok
}

// Fields is every field of the specification, in its order of subjects. What
// is below a field that is warned of or refused shares its lot.
func Fields() []Field {
	var all []Field
	for _, part := range [][]Field{topFields, runFields, buildFields, reachFields, dataFields, relationFields, amountFields, deployFields, updateFields, hostFields, toolFields} {
		all = append(all, part...)
	}
	return all
}

const (
	nextRelease = "comes in a later release"
	leaveOut    = "take it out"
	bounds      = "take it out; what needs the machine itself is run with docker beside Havre, which leaves alone what is not its own"
	ownNetwork  = "take it out; services of a project reach each other by name"
	ownVolume   = "take it out; a volume belongs to its project and is kept by name"
)

// buildFields say how an image is made, by the engine's classic builder.
var buildFields = []Field{
	{Path: "services.*.build.context", Verdict: Honoured, Says: "a directory of this machine; absent: the file's; or a repository, https://….git#REF:DIR, that git fetches where havre apply runs"},
	{Path: "services.*.build.dockerfile", Verdict: Honoured, Says: "a file in the context; absent: Dockerfile"},
	{Path: "services.*.build.args", Verdict: Honoured, Says: "what ARG stands for; without a value: the variable of this name of whoever applies"},
	{Path: "services.*.build.target", Verdict: Honoured, Says: "the stage to stop at"},
	{Path: "services.*.build.no_cache", Verdict: Honoured, Says: "every step runs again"},
	{Path: "services.*.build.dockerfile_inline", Verdict: Refused, Says: "a Dockerfile is a file of the context", Remedy: "write it to a file, and name that: dockerfile: FILE"},
	{Path: "services.*.build.additional_contexts", Verdict: Refused, Says: "a build sees its context and images of its environment", Remedy: "copy what it needs into the context"},
	{Path: "services.*.build.ssh", Verdict: Refused, Says: "a build gets no keys", Remedy: "fetch what it needs into the context before"},
	{Path: "services.*.build.secrets", Verdict: Refused, Says: "a build gets no secrets: they would stay in its layers", Remedy: "give them to the service, below secrets:"},
	{Path: "services.*.build.entitlements", Verdict: Refused, Says: "a build has no rights of its own", Remedy: leaveOut},
	{Path: "services.*.build.privileged", Verdict: Refused, Says: "it would make the build root on the machine", Remedy: leaveOut, Fine: []string{"false"}},
	{Path: "services.*.build.network", Verdict: Refused, Says: "builds run on the engine's own network", Remedy: leaveOut, Fine: []string{"default", "bridge"}},
	{Path: "services.*.build.extra_hosts", Verdict: Refused, Says: "builds get no names of their own", Remedy: leaveOut},
	{Path: "services.*.build.isolation", Verdict: Refused, Says: "there is one way to isolate containers here", Remedy: leaveOut, Fine: []string{"default"}},
	{Path: "services.*.build.ulimits", Verdict: Refused, Says: "the limits of builds are the guard's", Remedy: leaveOut},
	{Path: "services.*.build.shm_size", Verdict: Refused, Says: "the limits of builds are the guard's", Remedy: leaveOut},
	{Path: "services.*.build.platforms", Verdict: Warned, Says: "images are built for this machine", Remedy: leaveOut},
	{Path: "services.*.build.tags", Verdict: Warned, Says: "the image has one name, that of image:", Remedy: leaveOut},
	{Path: "services.*.build.labels", Verdict: Warned, Says: "nothing looks at labels of images", Remedy: "write LABEL into the Dockerfile"},
	{Path: "services.*.build.pull", Verdict: Warned, Says: "FROM means an image that the environment has", Remedy: "havre image pull NAME"},
	{Path: "services.*.build.cache_from", Verdict: Warned, Says: "layers that are here are used again", Remedy: leaveOut},
	{Path: "services.*.build.cache_to", Verdict: Warned, Says: "layers stay here and are used again", Remedy: leaveOut},
	{Path: "services.*.build.no_cache_filter", Verdict: Warned, Says: "stages are not told apart", Remedy: "no_cache: true"},
	{Path: "services.*.build.provenance", Verdict: Warned, Says: "images get no attestations", Remedy: leaveOut},
	{Path: "services.*.build.sbom", Verdict: Warned, Says: "images get no attestations", Remedy: leaveOut},
}

// topFields are those outside services.
var topFields = []Field{
	{Path: "version", Verdict: Warned, Says: "it is obsolete, and docker compose ignores it too", Remedy: leaveOut},
	{Path: "name", Verdict: Honoured, Says: "the project's name; absent: the name of the directory, in lower case"},
	{Path: "services", Verdict: Honoured, Says: "the services"},
	{Path: "services.*", Verdict: Honoured, Says: "a service; its name is how others reach it"},
	{Path: "include", Verdict: Honoured, Says: "files of this machine; what the file itself says goes before what it includes"},
	{Path: "include[].path", Verdict: Honoured, Says: "a file, or several that are merged"},
	{Path: "include[].project_directory", Verdict: Honoured, Says: "where its relative paths start; absent: beside the file"},
	{Path: "include[].env_file", Verdict: Honoured, Says: "variables for it; absent: .env in its directory"},
	{Path: "models", Verdict: Refused, Says: "Havre runs no models", Remedy: leaveOut},
	{Path: "jobs", Verdict: Refused, Says: nextRelease, Remedy: leaveOut},

	{Path: "networks", Verdict: Honoured, Says: "all networks of a file become the project's one network"},
	{Path: "networks.*", Verdict: Honoured, Says: "a warning where services are on different ones"},
	{Path: "networks.*.name", Verdict: Warned, Says: "Havre names networks itself", Remedy: leaveOut},
	{Path: "networks.*.driver", Verdict: Refused, Says: "the project's network is an overlay", Remedy: ownNetwork, Fine: []string{"bridge", "overlay", "default"}},
	{Path: "networks.*.driver_opts", Verdict: Refused, Says: "the network's options are not free to choose", Remedy: ownNetwork},
	{Path: "networks.*.ipam", Verdict: Warned, Says: "Havre chooses the addresses itself", Remedy: "take it out, and use names in place of addresses"},
	{Path: "networks.*.external", Verdict: Refused, Says: "a network that several projects share would let all of them meet", Remedy: "link to the services that are needed: x-havre: {links: [project/service]}", Fine: []string{"false"}},
	{Path: "networks.*.internal", Verdict: Warned, Says: "the project's network has a way out; one without comes in a later release", Remedy: leaveOut, Fine: []string{"false"}},
	{Path: "networks.*.attachable", Verdict: Warned, Says: "nothing else is attached to a project's network", Remedy: leaveOut},
	{Path: "networks.*.labels", Verdict: Warned, Says: "networks get no labels", Remedy: leaveOut},
	{Path: "networks.*.enable_ipv4", Verdict: Refused, Says: "the project's network has IPv4", Remedy: ownNetwork, Fine: []string{"true"}},
	{Path: "networks.*.enable_ipv6", Verdict: Refused, Says: "the project's network has no IPv6 inside", Remedy: "take it out; ports are reachable over IPv6 from outside all the same", Fine: []string{"false"}},

	{Path: "volumes", Verdict: Honoured, Says: "kept data of the project"},
	{Path: "volumes.*", Verdict: Honoured, Says: "a volume"},
	{Path: "volumes.*.name", Verdict: Warned, Says: "a volume is known by its project and its key here", Remedy: ownVolume},
	{Path: "volumes.*.driver", Verdict: Refused, Says: "volumes are directories of this machine", Remedy: ownVolume, Fine: []string{"local", "default"}},
	{Path: "volumes.*.driver_opts", Verdict: Refused, Says: "options could lead to files of the machine", Remedy: ownVolume},
	{Path: "volumes.*.external", Verdict: Refused, Says: "volumes of others cannot be used", Remedy: ownVolume, Fine: []string{"false"}},
	{Path: "volumes.*.labels", Verdict: Warned, Says: "volumes get no labels", Remedy: leaveOut},

	{Path: "secrets", Verdict: Honoured, Says: "what is only ever seen in memory; kept encrypted, and shown by no command"},
	{Path: "secrets.*", Verdict: Honoured, Says: "1 byte to 500 KiB; one of file, environment and external"},
	{Path: "secrets.*.file", Verdict: Honoured, Says: "read when applied, byte for byte"},
	{Path: "secrets.*.environment", Verdict: Honoured, Says: "the value of a variable of whoever applies"},
	{Path: "secrets.*.external", Verdict: Honoured, Says: "one of the environment's, made with havre secret create"},
	{Path: "secrets.*.external.name", Verdict: Refused, Says: "it is Compose's old form", Remedy: "write external: true, and name: beside it"},
	{Path: "secrets.*.name", Verdict: Honoured, Says: "of an external one; absent: its key. A warning where it is not external"},
	{Path: "secrets.*.labels", Verdict: Warned, Says: "secrets get no labels", Remedy: leaveOut},
	{Path: "secrets.*.driver", Verdict: Refused, Says: "secrets come from no plugin", Remedy: "give it file: or environment:"},
	{Path: "secrets.*.driver_opts", Verdict: Refused, Says: "secrets come from no plugin", Remedy: leaveOut},
	{Path: "secrets.*.template_driver", Verdict: Refused, Says: "secrets are not templates", Remedy: "write the value as it is meant"},

	{Path: "configs", Verdict: Honoured, Says: "small files that travel with the project"},
	{Path: "configs.*", Verdict: Honoured, Says: "at most 1000 KiB"},
	{Path: "configs.*.file", Verdict: Honoured, Says: "read when applied"},
	{Path: "configs.*.content", Verdict: Honoured, Says: "the text itself"},
	{Path: "configs.*.environment", Verdict: Honoured, Says: "the value of a variable"},
	{Path: "configs.*.x-havre", Verdict: Honoured, Says: "what Compose has no words for"},
	{Path: "configs.*.x-havre.name", Verdict: Honoured, Says: "the file's own name; absent: the config's"},
	{Path: "configs.*.x-havre.base64", Verdict: Honoured, Says: "the bytes of a file that is no text, beside an empty content"},
	{Path: "configs.*.name", Verdict: Warned, Says: "Havre names configs itself", Remedy: leaveOut},
	{Path: "configs.*.labels", Verdict: Warned, Says: "configs get no labels", Remedy: leaveOut},
	{Path: "configs.*.external", Verdict: Refused, Says: "configs of others cannot be used", Remedy: "give it file: or content:", Fine: []string{"false"}},
	{Path: "configs.*.template_driver", Verdict: Refused, Says: "configs are not templates", Remedy: "write ${VARIABLES} into content:"},
}

// runFields say what runs.
var runFields = []Field{
	{Path: "services.*.image", Verdict: Honoured, Says: "a name in the environment"},
	{Path: "services.*.entrypoint", Verdict: Honoured, Says: "in place of the image's; [] takes the image's away and needs a command"},
	{Path: "services.*.command", Verdict: Honoured, Says: "in place of the image's; [] takes the image's away where an entrypoint is given"},
	{Path: "services.*.environment", Verdict: Honoured, Says: "variables; one without a value takes it from the caller"},
	{Path: "services.*.env_file", Verdict: Honoured, Says: "files with variables, read when applied"},
	{Path: "services.*.env_file[].path", Verdict: Honoured, Says: "the file"},
	{Path: "services.*.env_file[].required", Verdict: Honoured, Says: "false: the file may be missing"},
	{Path: "services.*.env_file[].format", Verdict: Refused, Says: "only Compose's own format is read", Remedy: leaveOut},
	{Path: "services.*.user", Verdict: Honoured, Says: "in place of the image's"},
	{Path: "services.*.working_dir", Verdict: Honoured, Says: "in place of the image's"},
	{Path: "services.*.hostname", Verdict: Honoured, Says: "the container's own idea of its name"},
	{Path: "services.*.labels", Verdict: Honoured, Says: "for the person's own tools; havre.* and com.docker.* are refused"},
	{Path: "services.*.stop_signal", Verdict: Honoured, Says: "in place of the image's"},
	{Path: "services.*.stop_grace_period", Verdict: Honoured, Says: "absent: 10 s"},
	{Path: "services.*.read_only", Verdict: Honoured, Says: "the root file system cannot be written"},
	{Path: "services.*.init", Verdict: Honoured, Says: "a small init process reaps children"},
	{Path: "services.*.restart", Verdict: Honoured, Says: "absent: always, except for a service that others wait for to complete; unless-stopped is always"},
	{Path: "services.*.profiles", Verdict: Honoured, Says: "left out with a warning unless COMPOSE_PROFILES names one of them"},
	{Path: "services.*.extends", Verdict: Honoured, Says: "another service of this file, of one that it includes, or of another one of this machine"},
	{Path: "services.*.extends.service", Verdict: Honoured, Says: "its name"},
	{Path: "services.*.extends.file", Verdict: Honoured, Says: "a file; its relative paths start beside it"},
	{Path: "services.*.container_name", Verdict: Warned, Says: "honoured as one more name on the network; containers get other names in the engine", Remedy: "use networks: {default: {aliases: […]}}", own: true},
	{Path: "services.*.build", Verdict: Honoured, Says: "havre apply builds the image when the environment lacks it, at each apply with pull_policy: build, and all with --build; without image: it is PROJECT-SERVICE"},
	{Path: "services.*.pull_policy", Verdict: Honoured, Says: "at an apply, before anything stops: always, never, missing, if_not_present; daily, weekly, refresh and every_… are always, build is never; absent: missing, with build: never"},
	{Path: "services.*.pull_refresh_after", Verdict: Warned, Says: "registries are asked at an apply, not after a time", Remedy: "write pull_policy: always"},
	{Path: "services.*.platform", Verdict: Warned, Says: "the image runs as it was made or loaded", Remedy: "build the image for this machine"},
	{Path: "services.*.healthcheck", Verdict: Honoured, Says: "in place of the image's"},
	{Path: "services.*.healthcheck.test", Verdict: Honoured, Says: "all forms; absent: the image's, with the times given here"},
	{Path: "services.*.healthcheck.interval", Verdict: Honoured, Says: "absent: 30 s"},
	{Path: "services.*.healthcheck.timeout", Verdict: Honoured, Says: "absent: 30 s"},
	{Path: "services.*.healthcheck.retries", Verdict: Honoured, Says: "absent: 3"},
	{Path: "services.*.healthcheck.start_period", Verdict: Honoured, Says: "failures do not count in this first time; absent: the image's own, else 90s, as long as a start may take"},
	{Path: "services.*.healthcheck.start_interval", Verdict: Warned, Says: "checks come at the interval from the start on", Remedy: "use a shorter interval"},
	{Path: "services.*.healthcheck.disable", Verdict: Honoured, Says: "true: no check, not even the image's"},
	{Path: "services.*.tty", Verdict: Honoured, Says: "its output is a terminal"},
	{Path: "services.*.stdin_open", Verdict: Honoured, Says: "its standard input stays open, and nothing comes"},
}

// reachFields say who reaches it.
var reachFields = []Field{
	{Path: "services.*.ports", Verdict: Honoured, Says: "short and long form, ranges; public as in Docker"},
	{Path: "services.*.ports[].target", Verdict: Honoured, Says: "the port in the container"},
	{Path: "services.*.ports[].published", Verdict: Honoured, Says: "the port on the machine; absent: a free one of 4000-59999 that stays with the service"},
	{Path: "services.*.ports[].protocol", Verdict: Honoured, Says: "tcp or udp"},
	{Path: "services.*.ports[].host_ip", Verdict: Honoured, Says: "127.0.0.1 or ::1: only from this machine; 0.0.0.0 or ::: public; another address is refused"},
	{Path: "services.*.ports[].mode", Verdict: Refused, Says: "ports are published on every node by the ingress", Remedy: leaveOut, Fine: []string{"ingress", "host"}},
	{Path: "services.*.ports[].name", Verdict: Warned, Says: "a name for people; nothing uses it", Remedy: "write a comment"},
	{Path: "services.*.ports[].app_protocol", Verdict: Warned, Says: "a hint; nothing uses it", Remedy: "serve HTTP by x-havre: {domains: […]}"},
	{Path: "services.*.expose", Verdict: Honoured, Says: "TCP ports that links and health look at; a warning for UDP"},
	{Path: "services.*.networks", Verdict: Honoured, Says: "all are the project's one network"},
	{Path: "services.*.networks.*", Verdict: Honoured, Says: "default, or one of networks:"},
	{Path: "services.*.networks.*.aliases", Verdict: Honoured, Says: "more names"},
	{Path: "services.*.networks.*.ipv4_address", Verdict: Refused, Says: "addresses are given by the engine and change", Remedy: ownNetwork},
	{Path: "services.*.networks.*.ipv6_address", Verdict: Refused, Says: "addresses are given by the engine and change", Remedy: ownNetwork},
	{Path: "services.*.networks.*.link_local_ips", Verdict: Refused, Says: "addresses are given by the engine and change", Remedy: ownNetwork},
	{Path: "services.*.networks.*.mac_address", Verdict: Refused, Says: "addresses are given by the engine and change", Remedy: ownNetwork},
	{Path: "services.*.networks.*.driver_opts", Verdict: Refused, Says: "the network's options are not free to choose", Remedy: ownNetwork},
	{Path: "services.*.networks.*.interface_name", Verdict: Refused, Says: "interfaces are named by the engine", Remedy: leaveOut},
	{Path: "services.*.networks.*.gw_priority", Verdict: Warned, Says: "there is one network", Remedy: leaveOut},
	{Path: "services.*.networks.*.priority", Verdict: Warned, Says: "there is one network", Remedy: leaveOut},
	{Path: "services.*.networks.*.use_service_name_alias", Verdict: Refused, Says: "a service is always reached by its name", Remedy: leaveOut, Fine: []string{"true"}},
	{Path: "services.*.network_mode", Verdict: Refused, Says: "a service is on its project's network and nowhere else", Remedy: "take it out, and publish ports with ports:", Mild: []string{"bridge", "default", "none"}},
	{Path: "services.*.net", Verdict: Refused, Says: "this old form of network_mode is gone from Compose too", Remedy: leaveOut},
	{Path: "services.*.mac_address", Verdict: Refused, Says: "addresses are given by the engine and change", Remedy: leaveOut},
	{Path: "services.*.dns", Verdict: Honoured, Says: "servers for names from outside the project; not those on loopback"},
	{Path: "services.*.dns_opt", Verdict: Honoured, Says: "ndots, timeout, attempts, rotate, use-vc, edns0 and their like; others are refused"},
	{Path: "services.*.dns_search", Verdict: Honoured, Says: "domains to try behind short names"},
	{Path: "services.*.domainname", Verdict: Honoured, Says: "added to hostname: with a dot; absent there: to the service's name"},
	{Path: "services.*.extra_hosts", Verdict: Honoured, Says: "names in its /etc/hosts: IPv4, IPv6 or host-gateway"},
	{Path: "services.*.x-havre", Verdict: Honoured, Says: "what Compose has no word for; see below"},
	{Path: "services.*.x-havre.domains", Verdict: Honoured, Says: "where it is served over HTTP and HTTPS: name, name:port, name/path, *.name, or {host, port, path, tls}; without a name the default domain alone"},
	{Path: "services.*.x-havre.domains[].host", Verdict: Honoured, Says: "the host name; *.example.org is each name below"},
	{Path: "services.*.x-havre.domains[].port", Verdict: Honoured, Says: "the container's port; absent: its only one, else 80"},
	{Path: "services.*.x-havre.domains[].path", Verdict: Honoured, Says: "only what is at this path or below; the longest path of a host goes first"},
	{Path: "services.*.x-havre.domains[].tls", Verdict: Honoured, Says: "passthrough: the service does its own TLS; absent: the ingress does"},
	{Path: "services.*.x-havre.access", Verdict: Honoured, Says: "of the domains, and of ports that are bound to no address: public (default), private, localhost, or a list of networks"},
	{Path: "services.*.x-havre.links", Verdict: Honoured, Says: "services whose address is told by variables, in any direction: name, name:alias, project/name, project/name:alias, or {to, alias, ports}"},
	{Path: "services.*.x-havre.links[].to", Verdict: Honoured, Says: "a service of the project, or project/name for one of another project of the environment"},
	{Path: "services.*.x-havre.links[].alias", Verdict: Honoured, Says: "the name to use in the variables and on the network; absent: the target's own"},
	{Path: "services.*.x-havre.links[].ports", Verdict: Honoured, Says: "which ports; absent: all"},
	{Path: "services.*.x-havre.keys", Verdict: Honoured, Says: "public SSH keys, kept with the service; nothing is opened by them before a later release"},
	{Path: "services.*.x-havre.priority", Verdict: Honoured, Says: "order of starting where depends_on and links say nothing; low first"},
	{Path: "services.*.x-havre.path", Verdict: Honoured, Says: "the path of domains that have none of their own; without domains it is served there on the environment's default domain"},
	{Path: "services.*.x-havre.strip", Verdict: Honoured, Says: "true: the path is taken away before the app sees it, and told as X-Forwarded-Prefix"},
	{Path: "services.*.x-havre.redirect", Verdict: Honoured, Says: "true: plain HTTP is sent to HTTPS (308)"},
	{Path: "services.*.x-havre.scheme", Verdict: Honoured, Says: "what the app speaks: http (HTTP/1.1, default) or h2c (HTTP/2 without TLS, for gRPC)"},
	{Path: "services.*.x-havre.compress", Verdict: Honoured, Says: "false: answers pass as the app made them; absent: texts are compressed where the app did not"},
	{Path: "services.*.x-havre.sticky", Verdict: Honoured, Says: "a client comes back to the same replica: by cookie, or by address"},
	{Path: "services.*.x-havre.check", Verdict: Honoured, Says: "a path that the ingress asks of each replica; two bad answers take it out, one good brings it back"},
	{Path: "services.*.x-havre.check.path", Verdict: Honoured, Says: "the path; a status below 400 is good"},
	{Path: "services.*.x-havre.check.every", Verdict: Honoured, Says: "absent: 10s"},
	{Path: "services.*.x-havre.check.timeout", Verdict: Honoured, Says: "absent: 2s"},
	{Path: "services.*.x-havre.body", Verdict: Honoured, Says: "the most of a request's body, like 100m; absent: no limit"},
	{Path: "services.*.x-havre.users", Verdict: Honoured, Says: "who may come in over HTTP with a password: NAME:HASH with a bcrypt or argon2id hash, each $ doubled"},
	{Path: "services.*.x-havre.rate", Verdict: Honoured, Says: "how often one client address may ask or connect: 10/s, 100/m, 1000/h"},
	{Path: "services.*.x-havre.rate.limit", Verdict: Honoured, Says: "the rate"},
	{Path: "services.*.x-havre.rate.burst", Verdict: Honoured, Says: "so many at once; absent: as many as the rate says"},
	{Path: "services.*.x-havre.schedule", Verdict: Refused, Says: nextRelease, Remedy: leaveOut},
	{Path: "services.*.x-havre.status", Verdict: Honoured, Says: "enabled (default), or disabled: declared, but it does not run"},
	{Path: "services.*.x-havre.volumes", Verdict: Honoured, Says: "shared: several containers of the service may write to its volumes at once; absent: a service that writes to a volume has one container at most"},
	{Path: "services.*.x-havre.init", Verdict: Honoured, Says: "a command that fills the service's volumes while they are new, as a list of words; false: none; absent: the image's /dk/container_init, if it has one; or {command, timeout}"},
	{Path: "services.*.x-havre.init.command", Verdict: Honoured, Says: "the command, in the same forms"},
	{Path: "services.*.x-havre.init.timeout", Verdict: Honoured, Says: "how long it may take, as 90s or 2h; when it takes longer the deploy has failed, and what it printed so far is shown; absent: 1h"},
	{Path: "services.*.x-havre.upgrade", Verdict: Honoured, Says: "a command that brings the service's data to a new image, as a list of words: it runs once in each update to another image, before that starts; false or absent: none; or {command, timeout}"},
	{Path: "services.*.x-havre.upgrade.command", Verdict: Honoured, Says: "the command, in the same forms"},
	{Path: "services.*.x-havre.upgrade.timeout", Verdict: Honoured, Says: "how long it may take, as 90s or 2h; when it takes longer the deploy has failed with what it printed so far, and the old one serves on; absent: 1h"},
	{Path: "services.*.x-havre.proxy", Verdict: Honoured, Says: "v2: each HTTP and TCP connection to the app begins with the PROXY protocol's version 2"},
	{Path: "services.*.x-havre.certificate", Verdict: Honoured, Says: "a domain of the project whose certificate is mounted at /run/havre/certificate.pem, the chain and then the key; a new one is a switch"},
}
