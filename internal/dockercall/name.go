package dockercall

import (
	"strings"

	"havre/internal/pattern"
)

// The engine resolves names and prefixes wherever it takes an id, so a name
// that was judged could mean another object a moment later. Only whole ids
// have a type here.
type (
	ContainerID string // 64 hex digits
	ExecID      string // 64 hex digits
	SwarmID     string // 25 characters: a service, task, network, config or node of the swarm
	ImageID     string // sha256: and 64 hex digits
	Ref         string // havre.invalid/<environment>/<name>:<tag>, an image as the engine knows it
	ImageName   string // an ImageID or a Ref
	Environment string // an environment's name
	ProjectID   string // 8 lower-case base32 characters
	ServiceID   string // 8 lower-case base32 characters
	VolumeName  string // a volume's name in its project
	Alias       string // a name on a network
	ObjectName  string // the engine's name of something Havre made: h-…
	EnvVar      string // NAME=value
	Word        string // any text without NUL
	Path        string // a clean absolute path in a container
	User        string // uid or name, and perhaps :gid or :name
	Signal      string // SIGTERM, 15, RTMIN+3
	Constraint  string // node.id==<node>
	Capability  string // CAP_…, or ALL where something is dropped
)

var (
	hex64        = pattern.New(`^[0-9a-f]{64}$`)
	swarmForm    = pattern.New(`^[0-9a-z]{25}$`)
	imageIDForm  = pattern.New(`^sha256:[0-9a-f]{64}$`)
	refForm      = pattern.New(`^havre\.invalid/([a-z0-9-]+)/([a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*):([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})$`)
	environForm  = pattern.New(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)
	base32Form   = pattern.New(`^[a-z2-7]{8}$`)
	volumeForm   = pattern.New(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)
	aliasForm    = pattern.New(`^[a-zA-Z0-9_]([a-zA-Z0-9_.-]{0,251}[a-zA-Z0-9_])?$`)
	idLike       = pattern.New(`^([0-9a-f]{12,64}|[0-9a-z]{25})$`)
	objectForm   = pattern.New(`^h-[a-z0-9]+(-[a-z0-9]+)*(\.[0-9]+)?$`) // portals are numbered
	variableForm = pattern.New(`^[^=\x00\s]+$`)
	userForm     = pattern.New(`^[a-zA-Z0-9_][a-zA-Z0-9_.-]*(:[a-zA-Z0-9_][a-zA-Z0-9_.-]*)?$`)
	signalForm   = pattern.New(`^((SIG)?[A-Z0-9]+([+-][0-9]+)?)$`)
	nodeForm     = pattern.New(`^node\.id==[0-9a-z]{25}$`)
	capForm      = pattern.New(`^(ALL|CAP_[A-Z_]{3,30})$`)
)

// maxRef is what the engine's own reference parser takes for a name.
const maxRef = 255

func (v ContainerID) check() error { return whole(hex64, string(v), "a container's whole id") }
func (v ExecID) check() error      { return whole(hex64, string(v), "an exec's whole id") }
func (v SwarmID) check() error     { return whole(swarmForm, string(v), "a swarm object's whole id") }
func (v ImageID) check() error     { return whole(imageIDForm, string(v), "an image's whole id") }
func (v Constraint) check() error  { return form(nodeForm, string(v), "node.id==<node>") }
func (v Capability) check() error  { return form(capForm, string(v), "a capability") }
func (v Environment) check() error { return form(environForm, string(v), "an environment's name") }
func (v ProjectID) check() error   { return form(base32Form, string(v), "a project's id") }
func (v ServiceID) check() error   { return form(base32Form, string(v), "a service's id") }
func (v VolumeName) check() error  { return form(volumeForm, string(v), "a volume's name") }
func (v User) check() error        { return form(userForm, string(v), "a user") }
func (v Signal) check() error      { return form(signalForm, string(v), "a signal") }

func whole(re *pattern.Pattern, s, what string) error {
	if !re.MatchString(s) {
		return refuse(NotAnID, "%.80q is not %s", s, what)
	}
	return nil
}

func form(re *pattern.Pattern, s, what string) error {
	if !re.MatchString(s) {
		return refuse(BadValue, "%.80q is not %s", s, what)
	}
	return nil
}

func (v Ref) check() error {
	if err := form(refForm, string(v), "havre.invalid/<environment>/<name>:<tag>"); err != nil {
		return err
	}
	if i := strings.LastIndexByte(string(v), ':'); i > maxRef {
		return refuse(TooBig, "the image's name has more than %d characters", maxRef)
	}
	return v.Environment().check()
}

// Environment is the environment whose image v names.
func (v Ref) Environment() Environment {
	return Environment(v.part(1))
}

func (v Ref) part(i int) string {
	if m := refForm.FindStringSubmatch(string(v)); m != nil {
		return m[i]
	}
	return ""
}

// Repo is v without its tag; Tag is the tag.
func (v Ref) Repo() string { return "havre.invalid/" + v.part(1) + "/" + v.part(2) }

// Tag is what stands behind the last colon of v.
func (v Ref) Tag() string { return v.part(3) }

// MakeRef is the reference of NAME:TAG in an environment; a name without a
// tag means latest.
// Errors: Invalid when there can be no such image.
func MakeRef(e Environment, name string) (Ref, error) {
	if !strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
		name += ":latest"
	}
	r := Ref("havre.invalid/" + string(e) + "/" + name)
	return r, r.check()
}

func (v ImageName) check() error {
	if imageIDForm.MatchString(string(v)) {
		return nil
	}
	if Ref(v).check() != nil {
		return refuse(NotAnID, "%.80q is neither an image's whole id nor a reference in havre.invalid", string(v))
	}
	return nil
}

// check refuses names that the engine's name service could answer in place
// of a container's id: it matches labels of a name too, in any letter case.
func (v Alias) check() error {
	if err := form(aliasForm, string(v), "a name on a network"); err != nil {
		return err
	}
	for part := range strings.SplitSeq(strings.ToLower(string(v)), ".") {
		if idLike.MatchString(part) {
			return refuse(NameLikeID, "the name %q looks like an id", string(v))
		}
	}
	return nil
}

func (v ObjectName) check() error {
	if len(v) > 63 {
		return refuse(TooBig, "the name %q has more than 63 characters", string(v))
	}
	return form(objectForm, string(v), "a name of Havre's (h-…)")
}

func (v Word) check() error {
	if strings.ContainsRune(string(v), 0) {
		return refuse(BadValue, "a text holds a NUL")
	}
	return nil
}

// escapedBraces is how two literal braces are written where the swarm
// expands templates.
const escapedBraces = `{{"{{"}}`

func (v EnvVar) check() error {
	name, _, _ := strings.Cut(string(v), "=")
	if err := form(variableForm, name, "a variable's name"); err != nil {
		return err
	}
	if strings.Contains(strings.ReplaceAll(string(v), escapedBraces, ""), "{{") {
		return refuse(BadValue, "the variable %s holds a template; write {{ as %s", name, escapedBraces)
	}
	return Word(v).check()
}

func (v Path) check() error {
	s := string(v)
	if len(s) > 4096 || !strings.HasPrefix(s, "/") || strings.ContainsAny(s, "\x00\n\r:,{}\\") {
		return refuse(BadValue, "%.80q is not a plain absolute path", s)
	}
	for part := range strings.SplitSeq(s[1:], "/") {
		if (part == "" && s != "/") || part == "." || part == ".." {
			return refuse(BadValue, "%.80q is not a clean path", s)
		}
	}
	return nil
}

// IsVolumeName tells whether s has the form of a volume's name.
func IsVolumeName(s string) bool { return VolumeName(s).check() == nil }

// IsEnvironment tells whether s has the form of an environment's name.
func IsEnvironment(s string) bool { return Environment(s).check() == nil }

// IsProject tells whether s has the form of a project's id.
func IsProject(s string) bool { return ProjectID(s).check() == nil }
