package dockercall

import (
	"fmt"

	"havre/internal/problem"
)

// Rule names a reason for which the guard refuses. Names are part of the
// API: they stand in errors and in the audit.
type Rule string

// The rules that decide whether a request can be understood at all.
const (
	UnknownCall    Rule = "unknown-call"    // no such method and path in the closed list
	UnknownVersion Rule = "unknown-version" // any API version but the one that is spoken
	OddPath        Rule = "odd-path"        // encoded, doubled, dotted or otherwise unclean
	UnknownQuery   Rule = "unknown-query"   // a query parameter that is not in the call's list
	RepeatedQuery  Rule = "repeated-query"  // the engine might read another one of them than we do
	BadValue       Rule = "bad-value"       // of the wrong type, or out of its range
	BadHeader      Rule = "bad-header"      // a header that would change what the request means
	BadBody        Rule = "bad-body"        // not JSON, trailing data, too deep, not UTF-8, a body where none belongs
	TooBig         Rule = "too-big"         // past a bound on size
	UnknownField   Rule = "unknown-field"   // also a known one in odd letter case
	DuplicateKey   Rule = "duplicate-key"   // also when only the letter case differs
	ForbiddenField Rule = "forbidden-field" // known, and never to be set
	NameLikeID     Rule = "name-like-id"    // a name the engine could take for somebody's id
	NotAnID        Rule = "not-an-id"       // a name or a prefix where only a whole id is taken
	ReservedLabel  Rule = "label-reserved"  // a label that only the guard or the engine writes
	BuildSyntax    Rule = "build-syntax"    // a Dockerfile or context the guard does not understand
	BuildFrom      Rule = "build-from"      // a base that is not an image of the environment
	BuildCopyFrom  Rule = "build-copy-from" // COPY --from anything but an earlier stage or an image of the environment
	BuildRemoteAdd Rule = "build-remote-add"
	BuildFlag      Rule = "build-flag" // RUN --mount, --network, --security and their like
	BuildOnBuild   Rule = "build-onbuild"
	BuildEntry     Rule = "build-entry" // an archive entry that could lead elsewhere
	LoadArchive    Rule = "load-archive"
	CopyEntry      Rule = "copy-entry" // a device, or a name that climbs, in what is copied into a container
)

// Rules is every rule of this package.
var Rules = []Rule{UnknownCall, UnknownVersion, OddPath, UnknownQuery, RepeatedQuery, BadValue, BadHeader, BadBody, TooBig,
	UnknownField, DuplicateKey, ForbiddenField, NameLikeID, NotAnID, ReservedLabel, BuildSyntax, BuildFrom, BuildCopyFrom,
	BuildRemoteAdd, BuildFlag, BuildOnBuild, BuildEntry, LoadArchive, CopyEntry}

// refuse makes the error of a request that was not understood.
func refuse(rule Rule, format string, args ...any) error {
	return &problem.Problem{Kind: problem.Invalid, Says: fmt.Sprintf(format, args...), Rule: string(rule)}
}
