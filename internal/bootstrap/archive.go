package bootstrap

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// path is where a shell looks for commands, as Debian sets it for root.
const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// document is a JSON object; its keys come out sorted, always alike.
type document map[string]any

// pack wraps a root file system, without another copy of it, as an image of
// one layer (Docker image specification 1.2, "Combined Image JSON").
func pack(name string, made time.Time, rootfs *os.File) (*Archive, error) {
	if !strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
		name += ":latest"
	}
	layer, size, err := digest(rootfs)
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(document{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"created":      made,
		"config":       document{"Env": []string{path}, "Cmd": []string{"bash"}},
		"rootfs":       document{"type": "layers", "diff_ids": []string{"sha256:" + layer}},
		"history":      []document{{"created": made, "created_by": "havre image bootstrap"}},
	})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(config)
	id := hex.EncodeToString(sum[:])
	manifest, err := json.Marshal([]document{{"Config": id + ".json", "RepoTags": []string{name}, "Layers": []string{layer + "/layer.tar"}}})
	if err != nil {
		return nil, err
	}
	around, err := surround(made, layer, size, member{id + ".json", config}, member{"manifest.json", manifest})
	if err != nil {
		return nil, err
	}
	if _, err := rootfs.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return &Archive{
		Name: name, ID: "sha256:" + id, Size: int64(len(around.before)) + size + int64(len(around.after)),
		Reader: io.MultiReader(bytes.NewReader(around.before), io.LimitReader(rootfs, size), bytes.NewReader(around.after)),
		rootfs: rootfs,
	}, nil
}

// digest reads a file whole.
func digest(f *os.File) (sum string, size int64, err error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", 0, err
	}
	h := sha256.New()
	size, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// member is a small file of an archive.
type member struct {
	name string
	body []byte
}

// surroundings is a tar archive but for the bytes of its last file.
type surroundings struct{ before, after []byte }

// block is what a tar archive is made of; two empty ones end it (POSIX pax).
const block = 512

// surround writes the archive around the layer.
func surround(made time.Time, layer string, size int64, members ...member) (surroundings, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	header := func(name string, size int64) error {
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, ModTime: made})
	}
	for _, m := range members {
		if err := header(m.name, int64(len(m.body))); err != nil {
			return surroundings{}, err
		}
		if _, err := w.Write(m.body); err != nil {
			return surroundings{}, err
		}
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: layer + "/", Mode: 0o755, ModTime: made}); err != nil {
		return surroundings{}, err
	}
	if err := header(layer+"/layer.tar", size); err != nil {
		return surroundings{}, err
	}
	padding := (block - size%block) % block
	return surroundings{before: out.Bytes(), after: make([]byte, padding+2*block)}, nil
}
