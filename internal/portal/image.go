package portal

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"runtime"
	"time"
)

// Recipe is what an image is made of.
type Recipe struct {
	Repository string // the name it gets, with the first digits of its id as tag; "" for none
	User       string
	Entrypoint []string
	Files      []File // parents before children
}

// File is one file of an image, owned by root; a directory when Mode says so.
type File struct {
	Path string // without a leading slash
	Mode fs.FileMode
	Body []byte
}

// Archive is an image as `docker load` takes it.
type Archive struct {
	ID     string // "sha256:…", how the engine calls the image once it is loaded
	Digest string // "sha256:…", its id where the engine keeps images in containerd
	Tag    string // "repository:tag", or ""
	Bytes  []byte
}

const (
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeIndex    = "application/vnd.oci.image.index.v1+json"
)

// NewArchive makes an image of one layer for this machine's architecture.
// The same recipe always gives the same bytes. Two tables of contents lie in
// it: Docker's (manifest.json) for engines since 20.10, and that of the OCI
// image layout 1.0 for engines that keep images in containerd.
func NewArchive(r Recipe) (Archive, error) {
	layer, err := tarOf(r.Files)
	if err != nil {
		return Archive{}, err
	}
	config, err := json.Marshal(configOf(r, digestOf(layer)))
	if err != nil {
		return Archive{}, err
	}
	a := Archive{ID: digestOf(config)}
	manifest, err := json.Marshal(document{
		"schemaVersion": 2,
		"mediaType":     typeManifest,
		"config":        describe(typeConfig, config),
		"layers":        []document{describe(typeLayer, layer)},
	})
	if err != nil {
		return Archive{}, err
	}
	a.Digest = digestOf(manifest)
	if r.Repository != "" {
		a.Tag = r.Repository + ":" + a.ID[len("sha256:"):][:12]
	}
	contents, err := contentsOf(a.Tag, config, layer, manifest)
	if err != nil {
		return Archive{}, err
	}
	a.Bytes, err = tarOf(contents)
	return a, err
}

// document is a JSON object; json.Marshal sorts its keys.
type document map[string]any

// configOf follows the OCI image configuration 1.0.
func configOf(r Recipe, layer string) document {
	const created = "1970-01-01T00:00:00Z" // any other would differ between two builds
	return document{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"created":      created,
		"config":       document{"User": r.User, "Entrypoint": r.Entrypoint, "WorkingDir": "/"},
		"rootfs":       document{"type": "layers", "diff_ids": []string{layer}},
		"history":      []document{{"created": created, "created_by": "havre"}},
	}
}

// contentsOf lays out the archive.
func contentsOf(tag string, config, layer, manifest []byte) ([]File, error) {
	entry := describe(typeManifest, manifest)
	var tags []string
	if tag != "" {
		tags = []string{tag}
		entry["annotations"] = document{"io.containerd.image.name": tag}
	}
	index, err := json.Marshal(document{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []document{entry}})
	if err != nil {
		return nil, err
	}
	docker, err := json.Marshal([]document{{"Config": blob(config), "RepoTags": tags, "Layers": []string{blob(layer)}}})
	if err != nil {
		return nil, err
	}
	files := []File{
		{Path: "blobs", Mode: fs.ModeDir | 0o755},
		{Path: "blobs/sha256", Mode: fs.ModeDir | 0o755},
	}
	for _, b := range [][]byte{config, layer, manifest} {
		files = append(files, File{Path: blob(b), Mode: 0o644, Body: b})
	}
	return append(files,
		File{Path: "index.json", Mode: 0o644, Body: index},
		File{Path: "manifest.json", Mode: 0o644, Body: docker},
		File{Path: "oci-layout", Mode: 0o644, Body: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
	), nil
}

func describe(mediaType string, body []byte) document {
	return document{"mediaType": mediaType, "digest": digestOf(body), "size": len(body)}
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func blob(b []byte) string { return "blobs/sha256/" + digestOf(b)[len("sha256:"):] }

// tarOf packs files, all of them root's and as old as Unix.
func tarOf(files []File) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: f.Path, Size: int64(len(f.Body)),
			Mode: int64(f.Mode.Perm()), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
		}
		if f.Mode.IsDir() {
			h.Typeflag, h.Name = tar.TypeDir, f.Path+"/"
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.Path, err)
		}
		if _, err := w.Write(f.Body); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.Path, err)
		}
	}
	err := w.Close()
	return out.Bytes(), err
}
