package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"havre/internal/pattern"
	"havre/internal/problem"
)

// Mistake is a problem at a path in the project, "services.web.ports[0]".
// Dialects turn the path into a line of the person's file.
type Mistake struct {
	Path    string
	Problem *problem.Problem
}

var (
	nameForm     = pattern.New(`^[a-zA-Z0-9]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?$`)
	aliasForm    = pattern.New(`^[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?)*$`)
	environForm  = pattern.New(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)
	volumeForm   = pattern.New(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)
	variableForm = pattern.New(`^[^=\x00\s]+$`)
	hostForm     = pattern.New(`^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	imageForm    = pattern.New(`^[a-z0-9]+([._-]+[a-z0-9]+)*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[a-f0-9]{64})?$`)
	idLike       = pattern.New(`^[0-9a-f]{12,64}$`)
	userForm     = pattern.New(`^[a-zA-Z0-9_][a-zA-Z0-9_.-]*(:[a-zA-Z0-9_][a-zA-Z0-9_.-]*)?$`)
	signalForm   = pattern.New(`^([1-9]|[1-5][0-9]|6[0-4]|(SIG)?(ABRT|ALRM|BUS|CHLD|CLD|CONT|FPE|HUP|ILL|INT|IO|IOT|KILL|PIPE|POLL|PROF|PWR|QUIT|SEGV|STKFLT|STOP|SYS|TERM|TRAP|TSTP|TTIN|TTOU|URG|USR[12]|VTALRM|WINCH|XCPU|XFSZ|RTMIN([+]([1-9]|1[0-5]))?|RTMAX(-([1-9]|1[0-4]))?))$`) // signal(7)
)

// LooksLikeID tells whether a name could be taken for a container's id. Such
// names are refused: the engine's DNS would mix them up (design/guard.md).
func LooksLikeID(name string) bool { return idLike.MatchString(name) }

// ValidName tells whether name can name a project or a service.
func ValidName(name string) bool { return nameForm.MatchString(name) && !LooksLikeID(name) }

// ValidAlias tells whether name can be one more name of a service on a network.
// The engine's DNS answers names with dots, too.
func ValidAlias(name string) bool {
	like := func(label string) bool { return LooksLikeID(strings.ToLower(label)) }
	return len(name) <= 253 && aliasForm.MatchString(name) && !slices.ContainsFunc(strings.Split(name, "."), like)
}

// ValidEnvironment tells whether name can name an environment.
func ValidEnvironment(name string) bool { return environForm.MatchString(name) && !LooksLikeID(name) }

// ValidImage tells whether name is an image's name as Docker writes them.
func ValidImage(name string) bool { return len(name) <= 255 && imageForm.MatchString(name) }

// ValidVolume tells whether name can name a volume.
func ValidVolume(name string) bool {
	return volumeForm.MatchString(name) && !strings.Contains(name, "..")
}

// finder collects mistakes below one path.
type finder struct{ found []Mistake }

func (f *finder) add(where string, p *problem.Problem) {
	f.found = append(f.found, Mistake{where, p})
}

func (f *finder) invalid(where, remedy, format string, args ...any) {
	f.add(where, problem.New(problem.Invalid, format, args...).With("%s", remedy))
}

const aliasRemedy = "use letters, digits, - and _, at most 63 characters between two dots, and not the form of a container id (12 or more hexadecimal digits)"

const nameRemedy = "use letters, digits, - and _, at most 63 characters, and not the form of a container id (12 or more hexadecimal digits)"

// Validate finds everything that is wrong with p, in the order of the services.
func Validate(p Project) []Mistake {
	f := &finder{}
	if !ValidName(p.Name) {
		f.invalid("name", nameRemedy, "%q cannot name a project", p.Name)
	}
	seen := map[string]string{}
	for _, s := range p.Services {
		at := "services." + s.Name
		if !ValidName(s.Name) {
			f.invalid(at, nameRemedy, "%q cannot name a service", s.Name)
		}
		if other, twice := seen[strings.ToLower(s.Name)]; twice {
			f.invalid(at, "give each service a name of its own, also without regard to case", "service %s is declared twice (%s)", s.Name, other)
		}
		seen[strings.ToLower(s.Name)] = s.Name
		f.service(at, p, s)
	}
	for _, file := range p.Files {
		if len(file.Content) > MaxFile {
			f.invalid("files."+file.Name, "put it into a volume or into the image", "file %s is %d bytes, more than %d", file.Name, len(file.Content), MaxFile)
		}
	}
	f.secrets(p)
	f.externals(p)
	f.aliases(p)
	f.cycles(p)
	return f.found
}

func (f *finder) service(at string, p Project, s Service) {
	if s.Image == "" {
		f.invalid(at, "name the image to run", "service %s has no image", s.Name)
	} else if !ValidImage(s.Image) {
		f.invalid(at+".image", "write it like debian:bookworm, in lower case", "%q is not an image name", s.Image)
	}
	if s.Pull != "" && s.Pull != PullAlways && s.Pull != PullNever {
		f.invalid(at+".pull", "use always or never, or leave it out", "%q is no time to pull", s.Pull)
	}
	if s.Order != "" && s.Order != StopFirst && s.Order != StartFirst {
		f.invalid(at+".order", "use stop-first or start-first, or leave it out", "%q is no order of an update", s.Order)
	}
	if s.Replicas < 0 || s.Replicas > 1000 {
		f.invalid(at+".replicas", "use 0 to 1000", "%d replicas", s.Replicas)
	}
	for name := range s.Environment {
		if !variableForm.MatchString(name) {
			f.invalid(at+".environment", "a variable's name has no blanks and no =", "%q cannot name a variable", name)
		}
	}
	if s.User != "" && !userForm.MatchString(s.User) {
		f.invalid(at+".user", "write a name or uid, and a group after a colon", "%q is not a user", s.User)
	}
	if s.StopSignal != "" && !signalForm.MatchString(s.StopSignal) {
		f.invalid(at+".stopSignal", "write it like SIGTERM", "%q is not a signal", s.StopSignal)
	}
	f.names(at, s)
	f.ports(at, s)
	f.mounts(at, p, s)
	f.relations(at, p, s)
	f.domains(at, s)
	f.amounts(at, s)
	f.confinement(at, s)
}

func (f *finder) names(at string, s Service) {
	for i, a := range s.Aliases {
		if !ValidAlias(a) {
			f.invalid(fmt.Sprintf("%s.aliases[%d]", at, i), aliasRemedy, "%q cannot be an alias", a)
		}
	}
	if s.Hostname != "" && !ValidName(s.Hostname) && (!hostForm.MatchString(s.Hostname) || LooksLikeID(s.Hostname)) {
		f.invalid(at+".hostname", nameRemedy, "%q cannot be a host name", s.Hostname)
	}
	for l := range s.Labels {
		if l == "" || Reserved(l) {
			f.invalid(at+".labels", "choose another prefix; Havre and Docker write these themselves", "label %q is reserved", l)
		}
	}
}

// Reserved tells whether a label is not for people or images to set.
func Reserved(label string) bool {
	l := strings.ToLower(label)
	return strings.HasPrefix(l, "havre.") || strings.HasPrefix(l, "com.docker.")
}

// EnginePort tells whether a port is one by which the engines of a swarm speak
// (VXLAN and gossip), and which no service can have.
func EnginePort(port uint16, protocol Protocol) bool {
	return protocol == UDP && (port == 4789 || port == 7946)
}

const accessRemedy = "use public, private, localhost, or networks like 192.168.1.0/24"

func (f *finder) ports(at string, s Service) {
	for i, p := range s.Ports {
		here := fmt.Sprintf("%s.ports[%d]", at, i)
		if p.Internal == 0 {
			f.invalid(here, "name a port from 1 to 65535", "a port inside the container is missing")
		}
		switch p.Protocol {
		case TCP:
		case UDP:
			if EnginePort(p.External, UDP) {
				f.invalid(here, "choose another outside port", "port %d/udp is the engine's own", p.External)
			}
		default:
			f.invalid(here, "use tcp or udp", "protocol %q is unknown", p.Protocol)
		}
		if !p.Access.Known() {
			f.invalid(here, accessRemedy, "access %q is unknown", p.Access)
		}
	}
	if s.Access != "" && !s.Access.Known() {
		f.invalid(at+".access", accessRemedy, "access %q is unknown", s.Access)
	}
}

// MaxMounts is how much a service mounts, files too. The guard says the same
// (policy.MaxMounts), and has the last word.
const MaxMounts = 256

func (f *finder) mounts(at string, p Project, s Service) {
	if len(s.Mounts) > MaxMounts {
		f.invalid(at+".mounts", "mount a directory that is a volume in place of many files", "%s mounts %d things, files of directories among them, and may mount %d", s.Name, len(s.Mounts), MaxMounts)
	}
	targets := map[string]bool{}
	for i, m := range s.Mounts {
		here := fmt.Sprintf("%s.mounts[%d]", at, i)
		if !path.IsAbs(m.Target) || path.Clean(m.Target) != m.Target || m.Target == "/" || strings.ContainsAny(m.Target, "\x00,") {
			f.invalid(here, "use an absolute path inside the container, not / itself", "cannot mount at %q", m.Target)
		}
		if under(m.Target, "/proc") || under(m.Target, "/sys") {
			f.invalid(here, "choose another place", "%s belongs to the kernel", m.Target)
		}
		if shm := m.Kind == Tmpfs && under(m.Target, "/dev/shm"); under(m.Target, "/dev") && !shm {
			f.invalid(here, "choose another place; memory may be mounted at /dev/shm", "%s is the engine's to fill", m.Target)
		}
		f.nested(here, s, m)
		if targets[m.Target] {
			f.invalid(here, "mount one thing at each place", "%s is mounted twice", m.Target)
		}
		targets[m.Target] = true
		f.source(here, p, m)
		f.asWhose(here, m)
	}
}

// nested refuses a mount where links of another one could lead it astray.
func (f *finder) nested(here string, s Service, m Mount) {
	if above := MountAbove(s.Mounts, m.Target); above != "" {
		f.invalid(here, "mount it beside, or only the one above: a link in there could lead a mount anywhere", "%s lies below %s, which is a mount of its own", m.Target, above)
	}
	for _, file := range engineFiles {
		if m.Kind == Volume && m.Target != file && under(file, m.Target) {
			f.invalid(here, "mount the directories or files below it that you need", "%s holds %s, which the engine writes for each container", m.Target, file)
			return
		}
	}
}

// engineFiles are what the engine mounts into each container by itself.
var engineFiles = []string{"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}

// MountAbove is the volume among mounts that target lies below; "" when there
// is none. The engine would follow links that the volume holds. Memory is empty
// when a container starts, and has none.
func MountAbove(mounts []Mount, target string) string {
	for _, m := range mounts {
		if m.Kind != Tmpfs && m.Target != target && under(target, m.Target) {
			return m.Target
		}
	}
	return ""
}

func (f *finder) source(here string, p Project, m Mount) {
	switch m.Kind {
	case Volume:
		if !ValidVolume(m.Source) {
			f.invalid(here, "use letters, digits, . - and _", "%q cannot name a volume", m.Source)
		}
		if len(m.From) > 1000 || strings.ContainsFunc(m.From, unicode.IsControl) {
			f.invalid(here, "rename it", "%.100q cannot be a directory that a volume stands for", m.From)
		}
	case Config:
		if _, ok := p.File(m.Source); !ok {
			f.invalid(here, "declare the file", "no file %q came with the project", m.Source)
		}
	case SecretFile:
		if _, ok := p.Secret(m.Source); !ok {
			f.invalid(here, "declare it", "no secret %q is declared", m.Source)
		}
	case Tmpfs:
		if m.Source != "" {
			f.invalid(here, "leave the source out", "a tmpfs has no source")
		}
	default:
		f.invalid(here, "use volume, file, secret or tmpfs", "cannot mount a %q", m.Kind)
	}
}

func under(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

func (f *finder) domains(at string, s Service) {
	for i, d := range s.Domains {
		here := fmt.Sprintf("%s.domains[%d]", at, i)
		if d.Host != "" && (len(d.Host) > 253 || !hostForm.MatchString(d.Host)) {
			f.invalid(here, "write a host name in lower case, without scheme; *. stands for one label", "%q is not a domain", d.Host)
		}
		if d.Path != "" && !ValidPath(d.Path) {
			f.invalid(here, "write it like /webmail: letters, digits, - . _ ~, and no slash at the end", "%q is not a path to serve at", d.Path)
		}
		if d.TLS != "" && d.TLS != Passthrough {
			f.invalid(here, "write passthrough, or leave it out and Havre does TLS", "tls %q is unknown", d.TLS)
		}
		if d.TLS == Passthrough && (d.Path != "" || d.Host == "") {
			f.invalid(here, "name a host and no path", "what is passed through as it is has no path, and no default domain")
		}
	}
	says, remedies := s.Front.Mistakes()
	for i := range says {
		f.invalid(at+".front", remedies[i], "%s", says[i])
	}
	f.effects(at+".front.", s)
}

// effects finds what the ingress is asked to do and never has occasion to: it
// reads nothing of what goes by a port or is passed through as it is.
func (f *finder) effects(at string, s Service) {
	answers := slices.ContainsFunc(s.Domains, func(d Domain) bool { return d.TLS != Passthrough })
	located := slices.ContainsFunc(s.Domains, func(d Domain) bool { return d.Path != "" })
	onlyUDP := len(s.Domains) == 0 && len(s.Ports) > 0 && !slices.ContainsFunc(s.Ports, func(p Port) bool { return p.Protocol == TCP })
	why, remedy := "the service has no domain", "give it a domain, or take %s out"
	if len(s.Domains) > 0 {
		why, remedy = "what is passed through to the service's own TLS stays as it is", "leave tls: passthrough out, so that Havre does TLS, or take %s out"
	}
	x := s.Front
	for _, c := range []struct {
		key         string
		vain        bool
		why, remedy string
	}{
		{"users", len(x.Users) > 0 && !answers, "a password is asked for over HTTP, and " + why, remedy},
		{"redirect", x.Redirect && !answers, "plain HTTP is sent to HTTPS at a domain, and " + why, remedy},
		{"body", x.Body > 0 && !answers, "bodies are those of HTTP requests, and " + why, remedy},
		{"check", x.Check != (Check{}) && !answers, "replicas are asked for the sake of HTTP requests, and " + why, remedy},
		{"scheme", x.Scheme != "" && !answers, "the scheme is that of HTTP at a domain, and " + why, remedy},
		{"compress", x.Plain && !answers, "answers are compressed or not at a domain, and " + why, remedy},
		{"sticky", x.Sticky == ByCookie && !answers, "cookies are HTTP's, and " + why, "write sticky: address, or take %s out"},
		{"strip", x.Strip && !located, "no domain of the service has a path", "name the path, or take %s out"},
		{"proxy", x.Proxy != "" && onlyUDP, "the PROXY protocol begins TCP connections, and the service has UDP ports alone", "take %s out"},
	} {
		if c.vain {
			f.invalid(at+c.key, fmt.Sprintf(c.remedy, c.key), "%s would do nothing: %s", c.key, c.why)
		}
	}
}

func (f *finder) amounts(at string, s Service) {
	for what, l := range map[string]Limits{"limits": s.Limits, "reserve": s.Reserve} {
		if l.Memory < 0 || l.CPUs < 0 || l.Pids < 0 {
			f.invalid(at+"."+what, "leave it out for no limit", "a limit below zero")
		}
		if what == "limits" && l.Memory > 0 && l.Memory < 6<<20 { // Docker API 1.41: minimum of a memory limit
			f.invalid(at+"."+what, "give it 6 MiB or more", "a memory limit of %d bytes is below what the engine takes", l.Memory)
		}
	}
	if p := s.Crowds(); p != nil {
		f.add(at+".replicas", p)
	}
	if h := s.Health; h != nil {
		if len(h.Test) > 0 && h.Test[0] != "NONE" && h.Test[0] != "CMD" && h.Test[0] != "CMD-SHELL" {
			f.invalid(at+".health", `begin the test with CMD, CMD-SHELL or NONE`, "the health check has no test the engine understands")
		} else if len(h.Test) == 1 && h.Test[0] != "NONE" {
			f.invalid(at+".health", "say what to run", "the health check runs nothing")
		}
		if h.Retries < 0 || h.Interval < 0 || h.Timeout < 0 || h.Start < 0 {
			f.invalid(at+".health", "leave it out for the default", "a time or count below zero")
		}
	}
	if s.StopGrace < 0 {
		f.invalid(at+".stopGrace", "leave it out for 10s", "a time below zero")
	}
	if s.InitTimeout < 0 {
		f.invalid(at+".initTimeout", "leave it out for an hour", "a time below zero")
	}
	if s.UpgradeTimeout < 0 {
		f.invalid(at+".upgradeTimeout", "leave it out for an hour", "a time below zero")
	}
	switch s.Restart.Policy {
	case "", Always, OnFailure, Never:
	default:
		f.invalid(at+".restart", "use always, on-failure or no", "restart policy %q is unknown", s.Restart.Policy)
	}
}
