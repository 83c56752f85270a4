package dockercall

import (
	"strings"

	"havre/internal/pattern"
)

// ImagePullKind is the kind of ImagePull, one of Havre's own calls.
const ImagePullKind Kind = "ImagePull"

// ImagePullPath is the path of ImagePull.
const ImagePullPath = own + "image/pull"

// ImagePull takes an image from its registry into an environment, under the
// name that PulledAs gives and no other. The answer is a stream of messages,
// as the engine writes them.
type ImagePull struct {
	Environment Environment  `json:"environment"`
	Image       RegistryName `json:"image"`
}

// Kind is the call's kind.
func (ImagePull) Kind() Kind { return ImagePullKind }

// RegistryName is an image as a registry knows it: name, name:tag,
// host:port/name@sha256:… and so on.
type RegistryName string

var registryForm = pattern.New(`^([a-z0-9]+(?:[._-]+[a-z0-9]+)*(?::[0-9]{1,5})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*?)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$`)

func (v RegistryName) check() error {
	if err := form(registryForm, string(v), "an image of a registry"); err != nil {
		return err
	}
	repo, _, _ := v.parts()
	host, _, _ := strings.Cut(repo, "/")
	switch {
	case len(repo) > maxRef:
		return refuse(TooBig, "the image's name has more than %d characters", maxRef)
	case hex64.MatchString(repo):
		return refuse(NameLikeID, "the name %q looks like an id", repo)
	case host == "havre.invalid":
		return refuse(BadValue, "%.80q is in no registry", string(v))
	case strings.Contains(host, ":") && host == repo:
		return refuse(BadValue, "%.80q names a registry and no image of it", string(v))
	}
	return nil
}

// parts are the name, the tag and the digest; a tag beside a digest says
// nothing and is left out.
func (v RegistryName) parts() (repo, tag, digest string) {
	m := registryForm.FindStringSubmatch(string(v))
	if m == nil {
		return "", "", ""
	}
	repo, tag, digest = m[1], m[2], m[3]
	// The colon of app:5000 is the one before a tag, not before a port.
	if host, port, found := strings.Cut(repo, ":"); found && tag == "" && !strings.Contains(repo, "/") {
		repo, tag = host, port
	}
	if digest != "" {
		tag = ""
	} else if tag == "" {
		tag = "latest"
	}
	return repo, tag, digest
}

// Repo is v without tag and digest.
func (v RegistryName) Repo() string { repo, _, _ := v.parts(); return repo }

// At is how the registry is asked for v: repo:tag or repo@sha256:….
func (v RegistryName) At() string {
	repo, tag, digest := v.parts()
	if digest != "" {
		return repo + "@" + digest
	}
	return repo + ":" + tag
}

// Digest is the digest in v, or "".
func (v RegistryName) Digest() string { _, _, digest := v.parts(); return digest }

// PulledAs is the name that an image of a registry has in an environment. A
// registry's port cannot be written in the middle of a name, nor a digest
// behind one.
// Errors: Invalid when there can be no such image.
func PulledAs(e Environment, v RegistryName) (Ref, error) {
	if err := v.check(); err != nil {
		return "", err
	}
	repo, tag, digest := v.parts()
	if host, rest, found := strings.Cut(repo, "/"); found {
		repo = strings.ReplaceAll(host, ":", "__") + "/" + rest
	}
	if digest != "" {
		tag = strings.ReplaceAll(digest, ":", "-")
	}
	r := Ref("havre.invalid/" + string(e) + "/" + repo + ":" + tag)
	return r, r.check()
}
