package havre_test

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// rootly are the packages, and the files, whose code root runs. What of them
// the roles' users run in directories of their own stands below, too.
var rootly = []string{"audit", "guard", "role", "client", "internal/cli/context.go"}

// byPath are the calls that find a file by its path. "unix" stands for a
// connection to a socket.
var byPath = map[string][]string{
	"os": {"Chmod", "Chown", "Chtimes", "Create", "CreateTemp", "DirFS", "Lchown", "Link", "Lstat", "Mkdir", "MkdirAll", "MkdirTemp", "Open", "OpenFile", "OpenRoot",
		"ReadDir", "ReadFile", "Readlink", "Remove", "RemoveAll", "Rename", "Stat", "Symlink", "Truncate", "WriteFile"},
	"filepath": {"EvalSymlinks", "Glob", "Walk", "WalkDir"},
	"unix": {"Access", "Chmod", "Chown", "Faccessat", "Lchown", "Link", "Lstat", "Mkdir", "Mknod", "Mount", "MoveMount", "Open", "OpenTree", "Openat", "Openat2", "Readlink",
		"Rename", "Renameat2", "Rmdir", "Stat", "Statfs", "Symlink", "Truncate", "Unlink", "Unmount"},
	"syscall": {"Chmod", "Chown", "Lchown", "Link", "Mkdir", "Mknod", "Mount", "Open", "Rename", "Rmdir", "Symlink", "Truncate", "Unlink"},
	"secret":  {"Read", "ReadKey"},
	"disk":    {"WriteFile"},
}

// rooted gives for each such call, as "file function call", under the reason
// why nobody but root can put a link in the way.
var rooted = map[string][]string{
	"the guard's own directory, root's, 0700": {
		"audit/book.go open os.OpenFile", "audit/book.go setAside os.Rename", "audit/book.go prune os.Remove", "audit/book.go asideOf os.ReadDir", "audit/book.go syncDir os.Open", "audit/read.go open os.Stat", "audit/read.go inFile os.Open",
		"guard/bounds.go WriteBounds os.MkdirAll", "guard/bounds.go private unix.Lstat", "guard/bounds.go readBounds os.ReadFile", "guard/bounds.go readInstance os.ReadFile", "guard/bounds.go writeOnce os.Link", "guard/bounds.go writeOnce os.OpenFile", "guard/bounds.go writeOnce os.Remove",
		"guard/foreign.go foreignRemove os.Remove", "guard/foreign.go recall os.ReadFile", "guard/foreign.go remember os.MkdirAll", "guard/foreign.go resumeContainer os.Remove", "guard/foreign.go resumeService os.Remove", "guard/foreign.go writeWhole os.CreateTemp", "guard/foreign.go writeWhole os.Remove", "guard/foreign.go writeWhole os.Rename",
		"guard/guard.go emptied os.ReadDir", "guard/guard.go emptied os.Remove",
		"guard/load.go spooled os.CreateTemp", "guard/load.go spooled os.Remove",
		"guard/swarm.go leaveSwarm os.ReadFile", "guard/swarm.go madeSwarm os.Remove",
		"role/doctor.go network os.ReadFile",
	},
	"volume/ and portal/ down to a volume and an environment, root's; os.Root leads out of neither": {
		"guard/foreign.go foreignData os.OpenRoot",
		"guard/guard.go clearStaging os.OpenRoot", "guard/guard.go prepare os.MkdirAll",
		"guard/mount.go guarded unix.Lstat", "guard/mount.go release unix.Unmount", "guard/mount.go mountVolumes os.MkdirAll", "guard/mount.go mountWith unix.MoveMount", "guard/mount.go mountWith unix.OpenTree",
		"guard/portal.go portalDirectory os.OpenRoot",
		"guard/purge.go purgeVolumes os.OpenRoot", "guard/purge.go purgeVolumes os.Remove",
		"guard/volume.go allVolumes filepath.Glob", "guard/volume.go volumeEnsure os.OpenRoot", "guard/volume.go volumeRemove os.OpenRoot", "guard/volume.go volumeSettle os.OpenRoot",
	},
	"inside a volume: from an open directory, with O_NOFOLLOW": {
		"guard/volume_clean.go truncate unix.Openat",
		"guard/volume_usage.go directory unix.Openat", "guard/volume_usage.go openBelow unix.Openat", "guard/volume_usage.go openVolume unix.Openat",
	},
	"an import's data, whose place root names when it asks for the import": {
		"guard/foreign.go fingerprint filepath.WalkDir", "guard/foreign.go fingerprint os.Open", "guard/foreign.go fingerprint os.Readlink", "guard/foreign.go fingerprint unix.Lstat", "guard/foreign.go finishCopy os.Open", "guard/foreign.go finishCopy os.RemoveAll", "guard/foreign.go finishCopy os.Rename", "guard/foreign.go gone os.Lstat", "guard/foreign.go syncDir os.Open", "guard/foreign.go there os.Lstat", "guard/foreign.go transfer os.Remove", "guard/foreign.go transfer os.Rename",
		"guard/mount.go renameAcross unix.OpenTree", "guard/mount.go renameAcross unix.Renameat2",
	},
	"run/, root's, 0711": {
		"guard/listen.go listen os.Chmod", "guard/listen.go listen os.Chown", "guard/listen.go listen os.Remove",
		"role/down.go purgeEngine DialContext",
		"role/import.go askOnce DialContext",
		"role/process.go lock os.OpenFile", "role/keep.go openPipe unix.Open", "role/process.go remember disk.WriteFile", "role/process.go running os.ReadFile",
	},
	"the engine's socket, where the configuration says": {
		"guard/engine.go dial DialContext",
		"role/doctor_machine.go askEngine DialContext",
		"role/guard.go DockerSocketMissing os.Stat",
	},
	"/proc and /sys, the kernel's": {
		"guard/mount.go laxly os.ReadFile", "guard/mount.go mountLines os.ReadFile", "guard/mount.go mountpoint os.Open",
		"role/doctor_machine.go hasAppArmor os.ReadFile", "role/process.go loaded os.ReadFile", "role/process.go startNarrow os.WriteFile", "role/doctor_machine.go kernel os.ReadFile",
		"role/machine.go procTable os.Open",
		"role/metrics.go ownUse os.ReadFile",
		"role/process.go Named os.WriteFile", "role/process.go displace os.ReadFile", "role/process.go displace os.Readlink", "role/process.go executable os.Stat", "role/process.go keepOn os.Readlink", "role/process.go startTime os.ReadFile",
	},
	"config/, log/ and import/, root's": {
		"role/alert.go reread os.ReadFile",
		"role/config.go Load os.ReadFile", "role/config.go closeConfigs os.Chown", "role/config.go closeConfigs os.Chmod", "role/config.go Override os.ReadFile",
		"role/doctor.go lastLine os.Open",
		"role/import.go All filepath.Glob", "role/import.go Begun os.ReadFile", "role/import.go Forget os.Remove", "role/import.go Hold os.OpenFile", "role/import.go OpenImports os.MkdirAll", "role/import.go Save disk.WriteFile", "role/import.go settle os.Open",
		"role/keep.go complaint os.Open", "role/keep.go trimLog os.Open", "role/keep.go trimLog os.OpenFile", "role/keep.go trimLog os.Stat", "role/keep.go trimLog os.Truncate",
		"role/keep.go openLog os.OpenFile",
		"role/up.go detach os.OpenFile",
	},
	"the data directory itself and what stands in it, root's; os.RemoveAll follows no link below": {
		"role/doctor.go diskOf unix.Statfs", "role/doctor.go disks os.Stat", "role/doctor.go exists os.Lstat", "role/doctor.go isDir os.Stat",
		"role/down.go Purge os.RemoveAll", "role/down.go Purge os.Stat", "role/down.go Purge unix.Unmount",
		"role/layout.go prepare os.MkdirAll",
	},
	"/etc and the system's paths, where root installs": {
		"role/install.go Uninstall os.ReadFile", "role/install.go Uninstall os.Stat", "role/install.go enable os.MkdirAll", "role/install.go enable os.Readlink", "role/install.go enable os.Remove", "role/install.go enable os.Stat", "role/install.go enable os.Symlink", "role/install.go live os.Stat", "role/install.go packaged os.Lstat", "role/install.go packaged os.ReadFile", "role/install.go program os.ReadFile", "role/install.go putFile disk.WriteFile", "role/install.go putFile os.MkdirAll", "role/install.go removeProfiles os.ReadFile", "role/install.go writeProfiles os.ReadFile", "role/install.go writeProfiles os.Stat", "role/install.go remove os.Lstat", "role/install.go remove os.Remove", "role/install.go writeUnit os.ReadFile",
	},
	"the program that root runs itself": {
		"role/doctor.go made os.Stat",
		"role/process.go handOver os.Open",
		"role/up.go forAll os.Stat",
	},
	"run by a role's own user, in its own directory": {
		"role/alert.go fullness unix.Statfs",
		"role/ingress.go runIngress os.Mkdir",
		"role/server.go open os.ReadFile", "role/server.go runServer secret.Read", "role/server.go runServer secret.ReadKey",
	},
	"the context of whoever calls: root gives nobody what is in it, and reads no file that another's names": {
		"cli/context.go config secret.Read", "cli/context.go context unix.Access", "cli/context.go savedPlace os.Open",
		"role/doctor.go contextFact os.ReadFile", "role/doctor.go contextFact os.Stat",
	},
}

// Who owns a directory can put a link in it at any moment, and root would
// follow it. Package disk does not; all that root does by a path is listed.
func TestRootFollowsNoNameInADirectoryOfOthers(t *testing.T) {
	listed := map[string]bool{}
	for reason, calls := range rooted {
		for _, c := range calls {
			if listed[c] {
				t.Errorf("%q stands twice, also under %q", c, reason)
			}
			listed[c] = true
		}
	}
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if !slices.Contains(rootly, s.pkg) && !slices.Contains(rootly, s.path) {
			continue
		}
		for _, d := range s.file.Decls {
			name := "-"
			if f, ok := d.(*ast.FuncDecl); ok {
				name = f.Name.Name
			}
			ast.Inspect(d, func(n ast.Node) bool {
				c, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				call := pathCall(c)
				if call == "" {
					return true
				}
				key := strings.TrimPrefix(s.path, "internal/") + " " + name + " " + call
				seen[key] = true
				if !listed[key] {
					t.Errorf("%s: %q finds a file by its path; in a directory of others root does it by package disk, else list it here with the reason", s.set.Position(c.Pos()), key)
				}
				return true
			})
		}
	}
	for key := range listed {
		if !seen[key] {
			t.Errorf("%q is listed, and not there", key)
		}
	}
}

// pathCall names a call of byPath, or one that connects to a socket by its path.
func pathCall(c *ast.CallExpr) string {
	sel, ok := c.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	on, _ := sel.X.(*ast.Ident)
	if on != nil && slices.Contains(byPath[on.Name], sel.Sel.Name) {
		return on.Name + "." + sel.Sel.Name
	}
	if on != nil && on.Name == "disk" || !strings.HasPrefix(sel.Sel.Name, "Dial") {
		return ""
	}
	for _, a := range c.Args {
		if l, ok := a.(*ast.BasicLit); ok && l.Kind == token.STRING && strings.HasPrefix(l.Value, `"unix`) {
			return sel.Sel.Name
		}
	}
	return ""
}
