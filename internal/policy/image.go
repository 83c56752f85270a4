package policy

import (
	"slices"
	"strings"

	"havre/internal/dockercall"
)

// mustBeOurImage refuses images that no environment has a name for.
func mustBeOurImage(q question) error {
	if !q.facts.Image.Exists {
		return missing("image")
	}
	if len(q.facts.Image.Refs) == 0 {
		return refuse(ImageNotOurs, "this image belongs to no environment")
	}
	return nil
}

func ourImage(q question, c dockercall.Call) (dockercall.Call, error) {
	if q.facts.Image.Exists && q.facts.Image.ID == q.facts.Portal && q.facts.Portal != "" {
		return c, nil
	}
	return c, mustBeOurImage(q)
}

// judgeImage allows an image of the environment to run.
func judgeImage(q question, p place, id dockercall.ImageID) error {
	if err := mustBeOurImage(q); err != nil {
		return err
	}
	if id == "" || q.facts.Image.ID != id {
		return refuse(ImageNotOurs, "the engine means another image by %q", id)
	}
	in := func(r dockercall.Ref) bool { return string(r.Environment()) == p.environment }
	if !slices.ContainsFunc(q.facts.Image.Refs, in) {
		return refuse(ImageNotOurs, "the image is not one of environment %s", p.environment)
	}
	return fit(q.facts.Image, q.facts.Portal)
}

// fit refuses an image that no environment may have, whatever its name.
func fit(i Image, portal dockercall.ImageID) error {
	if i.ID == portal && portal != "" {
		return refuse(ImageOfPortal, "the portal's image is the guard's")
	}
	return CleanLabels(i.Labels)
}

// CleanLabels refuses an image's labels that its containers would inherit
// and be taken for somebody else's.
//
// Errors: Denied with the rule.
func CleanLabels(labels map[string]string) error {
	for k := range labels {
		if dockercall.Reserved(k) {
			return refuse(ImageLabels, "the image carries the reserved label %.60q", k)
		}
	}
	return nil
}

// Buildable allows an image to be built upon: its triggers would add
// instructions that nobody judged. With run, commands run in it: the engine
// would give them volumes of its own, wherever links lead by then.
//
// Errors: Denied with the rule.
func Buildable(i Image, portal dockercall.ImageID, run bool) error {
	if len(i.OnBuild) > 0 {
		return refuse(ImageOnBuild, "the base image has ONBUILD triggers")
	}
	if run && len(i.Volumes) > 0 {
		return refuse(ImageVolume, "the base image declares a volume at %.200q, and a RUN would get one that the guard does not know: build without RUN, or on an image without VOLUME", i.Volumes[0])
	}
	return fit(i, portal)
}

func imageLoad(_ question, c *dockercall.ImageLoad) (dockercall.Call, error) {
	if c.As == "" {
		return nil, refuse(ImageNotOurs, "say as which image of which environment: ?havre=havre.invalid/<environment>/<name>:<tag>")
	}
	return c, nil
}

// imagePull allows what anybody may have from a registry, under its own name.
// What came is looked at before it gets that name.
func imagePull(_ question, c *dockercall.ImagePull) (dockercall.Call, error) {
	if _, err := dockercall.PulledAs(c.Environment, c.Image); err != nil {
		return nil, refuse(ImageNotOurs, "say which image of a registry, and for which environment")
	}
	return c, nil
}

// Pulled allows what came from a registry to be an environment's image.
//
// Errors: Denied with the rule.
func Pulled(i Image, portal dockercall.ImageID) error { return fit(i, portal) }

// Loaded allows an image of an archive to be an environment's.
//
// Errors: Denied with the rule.
func Loaded(id dockercall.ImageID, labels map[string]string, portal dockercall.ImageID) error {
	return fit(Image{ID: id, Labels: labels}, portal)
}

func imageBuild(_ question, c *dockercall.ImageBuild) (dockercall.Call, error) {
	if c.As == "" {
		return nil, refuse(ImageNotOurs, "say as which image of which environment: ?t=havre.invalid/<environment>/<name>:<tag>")
	}
	if c.Version != "" && c.Version != "1" {
		return nil, refuse(BuildOption, "only the classic builder is used: version=1")
	}
	if c.NetworkMode != "" && c.NetworkMode != "default" {
		return nil, refuse(BuildOption, "a build is on the engine's default network")
	}
	return c, nil
}

func imageTag(q question, c *dockercall.ImageTag) (dockercall.Call, error) {
	if err := mustBeOurImage(q); err != nil {
		return nil, err
	}
	if _, err := c.As(); err != nil {
		return nil, refuse(ImageNotOurs, "images are only named in an environment: havre.invalid/<environment>/<name>")
	}
	return c, fit(q.facts.Image, q.facts.Portal)
}

func imageRemove(q question, c *dockercall.ImageRemove) (dockercall.Call, error) {
	if err := mustBeOurImage(q); err != nil {
		return nil, err
	}
	// By its id an image goes with all its names.
	if strings.HasPrefix(string(c.Image), "sha256:") && q.facts.Image.Foreign {
		return nil, refuse(ForeignObject, "the image has names that are not Havre's; remove Havre's name only")
	}
	return c, nil
}
