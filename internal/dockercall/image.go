package dockercall

import (
	"strings"

	"havre/internal/pattern"
)

// The kinds about images.
const (
	ImageListKind    Kind = "ImageList"
	ImageInspectKind Kind = "ImageInspect"
	ImageLoadKind    Kind = "ImageLoad"
	ImageBuildKind   Kind = "ImageBuild"
	ImageTagKind     Kind = "ImageTag"
	ImageRemoveKind  Kind = "ImageRemove"
)

// ImageList lists the environments' images.
type ImageList struct {
	All        bool    `query:"all"`
	Filters    Filters `query:"filters"`
	SharedSize Zero    `query:"shared-size"`
	Digests    Zero    `query:"digests"`
}

// ImageInspect shows one image of an environment.
type ImageInspect struct {
	Image ImageName `path:"Image"`
}

// ImageLoad takes in one image as docker save writes it. The name comes from
// the query; names in the archive are ignored.
type ImageLoad struct {
	As    Ref  `query:"havre"`
	Quiet bool `query:"quiet"`
}

// ImageBuild makes an image from a context with a Dockerfile, by the
// engine's classic builder.
type ImageBuild struct {
	As          Ref         `query:"t"`
	Dockerfile  ContextPath `query:"dockerfile"` // "" is Dockerfile
	Target      StageName   `query:"target"`
	BuildArgs   BuildArgs   `query:"buildargs"`
	NoCache     bool        `query:"nocache"`
	Version     string      `query:"version"`     // 1, or nothing
	NetworkMode string      `query:"networkmode"` // default, or nothing
	Remove      bool        `query:"rm"`          // always done
	ForceRemove bool        `query:"forcerm"`     // always done

	Remote       Zero `query:"remote"`
	Quiet        Zero `query:"q"`
	Pull         Zero `query:"pull"`
	Squash       Zero `query:"squash"`
	SecurityOpt  Zero `query:"securityopt"`
	ExtraHosts   Zero `query:"extrahosts"`
	CPUSetCPUs   Zero `query:"cpusetcpus"`
	CPUSetMems   Zero `query:"cpusetmems"`
	CPUShares    Zero `query:"cpushares"`
	CPUQuota     Zero `query:"cpuquota"`
	CPUPeriod    Zero `query:"cpuperiod"`
	Memory       Zero `query:"memory"`
	MemSwap      Zero `query:"memswap"`
	CgroupParent Zero `query:"cgroupparent"`
	ShmSize      Zero `query:"shmsize"`
	BuildID      Zero `query:"buildid"`
	Session      Zero `query:"session"`
	Platform     Zero `query:"platform"`
	Outputs      Zero `query:"outputs"`
}

// BuildArgs are the values of a Dockerfile's ARGs; null takes the default.
type BuildArgs map[string]*string

// ContextPath is a clean relative path in a build context.
type ContextPath string

// StageName is a stage of a Dockerfile.
type StageName string

var (
	contextForm = pattern.New(`^[A-Za-z0-9_.][A-Za-z0-9_.@+-]*(/[A-Za-z0-9_.][A-Za-z0-9_.@+-]*)*$`)
	stageForm   = pattern.New(`^[a-z][a-z0-9_.-]{0,127}$`)
	argForm     = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

func (p ContextPath) check() error {
	for part := range strings.SplitSeq(string(p), "/") {
		if part == ".." || part == "." {
			return refuse(BadValue, "%.80q is not a clean relative path", string(p))
		}
	}
	return form(contextForm, string(p), "a plain relative path")
}

func (s StageName) check() error { return form(stageForm, string(s), "a stage's name") }

func (a BuildArgs) check() error {
	for k, v := range a {
		if !argForm.MatchString(k) || v != nil && strings.ContainsAny(*v, "\x00\n\r") {
			return refuse(BadValue, "the build argument %.60q is not a plain NAME and value", k)
		}
	}
	return nil
}

// ImageTag gives an image of an environment one more name.
type ImageTag struct {
	Image ImageName `path:"Image"`
	Repo  string    `query:"repo"`
	Tag   string    `query:"tag"`
}

// As is the new name.
// Errors: Invalid when it is no name in an environment.
func (t ImageTag) As() (Ref, error) {
	tag := t.Tag
	if tag == "" {
		tag = "latest"
	}
	r := Ref(t.Repo + ":" + tag)
	return r, r.check()
}

// ImageRemove takes a name, or an image with all its names, away.
type ImageRemove struct {
	Image   ImageName `path:"Image"`
	Force   bool      `query:"force"`
	NoPrune bool      `query:"noprune"`
}

// Kind is the call's kind.
func (ImageList) Kind() Kind    { return ImageListKind }
func (ImageInspect) Kind() Kind { return ImageInspectKind }
func (ImageLoad) Kind() Kind    { return ImageLoadKind }
func (ImageBuild) Kind() Kind   { return ImageBuildKind }
func (ImageTag) Kind() Kind     { return ImageTagKind }
func (ImageRemove) Kind() Kind  { return ImageRemoveKind }
