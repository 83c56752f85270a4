package guard

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"havre/internal/dockercall"
	"havre/internal/policy"
	"havre/internal/problem"
)

// Bounds are what stands in bounds.json: what no caller can widen. Root
// edits the file by hand; no API does.
type Bounds struct {
	Callers      []uint32                `json:"callers"`      // users, besides root, the guard works for
	Data         string                  `json:"data"`         // Havre's data directory
	PortalGroup  uint32                  `json:"portalGroup"`  // the ingress's group: portals run in it
	Pool         netip.Prefix            `json:"pool"`         // networks are cut from it
	Capabilities []dockercall.Capability `json:"capabilities"` // what services may add to the engine's defaults
	Replicas     uint64                  `json:"replicas"`     // most tasks of a service
	Pids         int64                   `json:"pids"`         // most processes of a container
	Memory       int64                   `json:"memory"`       // most bytes of memory of a container; 0 leaves it to the machine
	Metadata     bool                    `json:"metadata"`     // containers may reach the machine's cloud metadata, and its secrets
	LogSize      string                  `json:"logSize"`      // of a log file, unless the service says
	LogFiles     string                  `json:"logFiles"`     // number of log files, unless the service says
	BuildMemory  int64                   `json:"buildMemory"`  // bytes of memory of a build's containers
	BuildCPUs    int64                   `json:"buildCpus"`    // cores of a build's containers
	ContextBytes int64                   `json:"contextBytes"` // biggest build context
	ImageBytes   int64                   `json:"imageBytes"`   // biggest image that is loaded
	SeedBytes    int64                   `json:"seedBytes"`    // most that a new volume takes from its image
	Entries      int                     `json:"entries"`      // most files in a build context
}

// DefaultBounds are the bounds of a machine that nobody has thought about
// yet: server is the server's user, portalGroup the ingress's group.
func DefaultBounds(data string, server, portalGroup uint32) Bounds {
	return Bounds{
		Callers: []uint32{server}, Data: data, PortalGroup: portalGroup,
		Pool:         netip.MustParsePrefix("10.87.0.0/16"),
		Capabilities: []dockercall.Capability{},
		Replicas:     64, Pids: 4096, LogSize: "10m", LogFiles: "3",
		BuildMemory: 4 << 30, BuildCPUs: 2,
		ContextBytes: 4 << 30, ImageBytes: 16 << 30, SeedBytes: 8 << 30, Entries: 200_000,
	}
}

// WriteBounds makes the guard's directory (0700), and bounds.json (0600) in
// it unless there is one: bounds that stand are never changed.
func WriteBounds(dir string, b Bounds) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	text, err := json.MarshalIndent(b, "", "\t")
	if err != nil {
		return err
	}
	return writeOnce(filepath.Join(dir, "bounds.json"), append(text, '\n'))
}

// writeOnce makes a file whole or not at all, unless it is there.
func writeOnce(file string, text []byte) error {
	draft := file + "." + rand.Text()[:8]
	f, err := os.OpenFile(draft, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(draft)
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(draft, file); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// readBounds reads bounds.json, and refuses it when anybody but owner could
// have written it.
func readBounds(dir string, owner uint32) (Bounds, error) {
	if err := private(dir, owner, 0o700); err != nil {
		return Bounds{}, err
	}
	file := filepath.Join(dir, "bounds.json")
	if err := private(file, owner, 0o600); err != nil {
		return Bounds{}, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return Bounds{}, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var b Bounds
	if err := d.Decode(&b); err != nil {
		return Bounds{}, fmt.Errorf("%s: %w", file, err)
	}
	return b, b.validate()
}

// private refuses what others than owner may read or write.
func private(path string, owner uint32, mode fs.FileMode) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Uid != owner || fs.FileMode(st.Mode&0o777)&^mode != 0 || st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return problem.New(problem.Denied, "%s could be read or changed by others than user %d", path, owner).
			With("chown %d %s; chmod %o %s", owner, path, mode, path)
	}
	return nil
}

func (b Bounds) validate() error {
	var wrong []string
	check := func(ok bool, what string) {
		if !ok {
			wrong = append(wrong, what)
		}
	}
	check(filepath.IsAbs(b.Data) && filepath.Clean(b.Data) == b.Data && b.Data != "/" && !strings.ContainsAny(b.Data, " \t\n\\"), "data is a clean absolute path without spaces")
	check(b.Pool.IsValid() && b.Pool.Addr().Is4() && b.Pool == b.Pool.Masked() && b.Pool.Bits() <= 24, "pool is an IPv4 network of /24 or wider")
	check(b.Pids > 0 && b.Replicas > 0, "pids and replicas are more than 0")
	check(b.ContextBytes > 0 && b.ImageBytes > 0 && b.SeedBytes > 0 && b.Entries > 0, "sizes are more than 0")
	check(b.BuildMemory > 0 && b.BuildCPUs > 0, "a build has memory and cores")
	check(b.LogSize != "" && b.LogFiles != "", "logs have a size and a number")
	if len(wrong) > 0 {
		return problem.New(problem.Invalid, "bounds.json: %s", strings.Join(wrong, "; "))
	}
	return nil
}

func (b Bounds) volumes() string { return b.Data + "/volume" }
func (b Bounds) portals() string { return b.Data + "/portal" }

// readOnly is the directory of volumes again, mounted read-only.
func (b Bounds) readOnly() string { return b.Data + "/volume-ro" }

// volumeOf is the source of a mount as the volume that it is: what is only read
// comes from the other mount.
func (b Bounds) volumeOf(source string) string {
	if below, ok := strings.CutPrefix(source, b.readOnly()+"/"); ok {
		return b.volumes() + "/" + below
	}
	return source
}

func (b Bounds) policy() policy.Bounds {
	return policy.Bounds{
		Volumes: b.volumes(), Portals: b.portals(), PortalGroup: b.PortalGroup, Pool: b.Pool, Capabilities: b.Capabilities,
		Replicas: b.Replicas, Pids: b.Pids, Memory: b.Memory, LogSize: b.LogSize, LogFiles: b.LogFiles,
	}
}

// readInstance gives this Havre's id, and makes it at the first start.
func readInstance(dir string) (string, error) {
	file := filepath.Join(dir, "instance")
	if err := writeOnce(file, []byte(strings.ToLower(rand.Text())+"\n")); err != nil {
		return "", err
	}
	text, err := os.ReadFile(file)
	id := strings.TrimSpace(string(text))
	if err == nil && len(id) < 16 {
		return "", fmt.Errorf("%s holds no id", file)
	}
	return id, err
}
