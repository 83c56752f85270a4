// Package dockercall is the part of the Docker API that Havre speaks, as
// values: a request is parsed into a value that was understood whole, or it
// is refused, and what goes to the engine is written afresh from the value.
// Every field is known, judged or refused; two readers cannot differ about a
// request, because only one ever reads it.
package dockercall

import (
	"io"
)

// Kind names one call of the closed list.
type Kind string

// Call is a request that was understood. Its concrete type, one per kind,
// has the request's parts as typed fields: from the path, from the query,
// from the body.
type Call interface {
	Kind() Kind
}

// Request is what a caller sent, taken apart no further than HTTP does.
type Request struct {
	Method string
	Path   string              // as it was sent, still escaped
	Query  string              // as it was sent, still escaped
	Header map[string][]string // keys in canonical form
	Body   io.Reader           // nil when there is none
}

// Wire is a request for the engine. Path has no version in front.
type Wire struct {
	Method string
	Path   string
	Query  string // encoded
	Body   []byte // JSON; nil when there is none
}

// row is one call of the closed list.
type row struct {
	method  string
	path    string // {X} is the field tagged path:"X"
	stream  bool   // its body is an archive that the guard reads itself
	biggest int64  // bytes of JSON; 0 takes no body
	make    func() Call
}

const (
	small = 1 << 20 // of JSON
	large = 2 << 20 // a service's specification, a config's data in base64
)

// rows is the closed list. What is not here does not exist.
var rows = []row{
	{"GET", "/_ping", false, 0, func() Call { return new(Ping) }},
	{"HEAD", "/_ping", false, 0, func() Call { return &Ping{Head: true} }},
	{"GET", "/version", false, 0, func() Call { return new(Version) }},
	{"GET", "/info", false, 0, func() Call { return new(Info) }},
	{"GET", "/events", false, 0, func() Call { return new(Events) }},

	{"POST", "/networks/create", false, small, func() Call { return new(NetworkCreate) }},
	{"GET", "/networks", false, 0, func() Call { return new(NetworkList) }},
	{"GET", "/networks/{ID}", false, 0, func() Call { return new(NetworkInspect) }},
	{"DELETE", "/networks/{ID}", false, 0, func() Call { return new(NetworkRemove) }},
	{"POST", "/networks/{ID}/connect", false, small, func() Call { return new(NetworkConnect) }},
	{"POST", "/networks/{ID}/disconnect", false, small, func() Call { return new(NetworkDisconnect) }},

	{"POST", "/services/create", false, large, func() Call { return new(ServiceCreate) }},
	{"GET", "/services", false, 0, func() Call { return new(ServiceList) }},
	{"GET", "/services/{ID}", false, 0, func() Call { return new(ServiceInspect) }},
	{"POST", "/services/{ID}/update", false, large, func() Call { return new(ServiceUpdate) }},
	{"DELETE", "/services/{ID}", false, 0, func() Call { return new(ServiceRemove) }},
	{"GET", "/tasks", false, 0, func() Call { return new(TaskList) }},

	{"POST", "/containers/create", false, small, func() Call { return new(ContainerCreate) }},
	{"GET", "/containers/json", false, 0, func() Call { return new(ContainerList) }},
	{"GET", "/containers/{ID}/json", false, 0, func() Call { return new(ContainerInspect) }},
	{"POST", "/containers/{ID}/start", false, 0, func() Call { return new(ContainerStart) }},
	{"POST", "/containers/{ID}/stop", false, 0, func() Call { return new(ContainerStop) }},
	{"DELETE", "/containers/{ID}", false, 0, func() Call { return new(ContainerRemove) }},
	{"GET", "/containers/{ID}/logs", false, 0, func() Call { return new(ContainerLogs) }},
	{"GET", "/containers/{ID}/stats", false, 0, func() Call { return new(ContainerStats) }},

	{"HEAD", "/containers/{ID}/archive", false, 0, func() Call { return new(ContainerPath) }},
	{"GET", "/containers/{ID}/archive", false, 0, func() Call { return new(ContainerGet) }},
	{"PUT", "/containers/{ID}/archive", true, 0, func() Call { return new(ContainerPut) }},

	{"POST", "/containers/{ID}/exec", false, small, func() Call { return new(ExecCreate) }},
	{"POST", "/exec/{ID}/start", false, small, func() Call { return new(ExecStart) }},
	{"POST", "/exec/{ID}/resize", false, 0, func() Call { return new(ExecResize) }},
	{"GET", "/exec/{ID}/json", false, 0, func() Call { return new(ExecInspect) }},

	{"GET", "/images/json", false, 0, func() Call { return new(ImageList) }},
	{"GET", "/images/{Image}/json", false, 0, func() Call { return new(ImageInspect) }},
	{"POST", "/images/load", true, 0, func() Call { return new(ImageLoad) }},
	{"POST", "/build", true, 0, func() Call { return new(ImageBuild) }},
	{"POST", "/images/{Image}/tag", false, 0, func() Call { return new(ImageTag) }},
	{"DELETE", "/images/{Image}", false, 0, func() Call { return new(ImageRemove) }},

	{"POST", "/configs/create", false, large, func() Call { return new(ConfigCreate) }},
	{"GET", "/configs", false, 0, func() Call { return new(ConfigList) }},
	{"DELETE", "/configs/{ID}", false, 0, func() Call { return new(ConfigRemove) }},

	{"POST", "/secrets/create", false, small, func() Call { return new(SecretCreate) }},
	{"GET", "/secrets", false, 0, func() Call { return new(SecretList) }},
	{"DELETE", "/secrets/{ID}", false, 0, func() Call { return new(SecretRemove) }},

	{"POST", own + "swarm", false, small, func() Call { return new(Swarm) }},
	{"POST", own + "volume", false, small, func() Call { return new(VolumeEnsure) }},
	{"POST", own + "volumes", false, small, func() Call { return new(VolumeList) }},
	{"POST", own + "volume/rm", false, small, func() Call { return new(VolumeRemove) }},
	{"POST", own + "volume/settle", false, small, func() Call { return new(VolumeSettle) }},
	{"POST", own + "volume/usage", false, small, func() Call { return new(VolumeUsage) }},
	{"POST", own + "volume/clean", false, small, func() Call { return new(VolumeClean) }},
	{"POST", own + "conventions", false, small, func() Call { return new(Conventions) }},
	{"POST", ImagePullPath, false, small, func() Call { return new(ImagePull) }},
	{"POST", own + "portal", false, small, func() Call { return new(Portal) }},
	{"POST", own + "firewall", false, small, func() Call { return new(Firewall) }},
	{"POST", own + "purge", false, small, func() Call { return new(Purge) }},
	{"POST", own + "holder", false, small, func() Call { return new(Holder) }},

	{"POST", own + "foreign", false, small, func() Call { return new(ForeignList) }},
	{"POST", own + "foreign/tag", false, small, func() Call { return new(ForeignTag) }},
	{"POST", own + "foreign/switch", false, small, func() Call { return new(ForeignSwitch) }},
	{"POST", own + "foreign/data", false, small, func() Call { return new(ForeignData) }},
	{"POST", own + "foreign/rm", false, small, func() Call { return new(ForeignRemove) }},
}

// Kinds is every kind of the closed list, in its order.
func Kinds() []Kind {
	var kinds []Kind
	for _, r := range rows {
		if k := r.make().Kind(); len(kinds) == 0 || kinds[len(kinds)-1] != k {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// Streams tells whether calls of kind k carry an archive, which Parse leaves
// in the body for the guard to read.
func Streams(k Kind) bool { return rowOf(k).stream }

// Changes tells whether calls of kind k can change anything.
func Changes(k Kind) bool {
	m := rowOf(k).method
	switch k {
	case VolumeListKind, VolumeUsageKind, ConventionsKind, HolderKind, ForeignListKind:
		return false
	}
	return m != "GET" && m != "HEAD"
}

// Reads tells whether calls of kind k give out files of containers, or what
// containers wrote.
func Reads(k Kind) bool { return k == ContainerGetKind || k == ContainerLogsKind }

// Own tells whether calls of kind k are Havre's own and never go to the
// engine as they are.
func Own(k Kind) bool { return isOwn(rowOf(k).path) }

func rowOf(k Kind) row {
	for _, r := range rows {
		if r.make().Kind() == k {
			return r
		}
	}
	return row{}
}
