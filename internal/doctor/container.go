package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// mendedRunc is the first version of each line of runc in which a mount inside
// a container cannot lead runc astray (CVE-2025-31133, CVE-2025-52565 and
// CVE-2025-52881). Later lines began with it.
var mendedRunc = []string{"1.2.8", "1.3.3", "1.4.0-rc.3"}

func runc(f Facts) []Check {
	version := f.Engine.Runc
	switch {
	case f.Engine.Version == "":
		return skipped("runc", "the engine does not answer")
	case version == "":
		return skipped("runc", "the engine does not tell which runc it has")
	case !led(version):
		return well("runc", "runc %s", version)
	}
	return []Check{warning("runc", fmt.Sprintf("runc %s is older than 1.2.8 and 1.3.3, in which it is mended that a mount inside a container leads runc out to the host; the guard refuses such mounts. "+
		"A distribution may have mended it under an older number, which cannot be told from here; Docker's own packages bring runc in containerd.io", version),
		"apt-get update && apt-get install --only-upgrade runc")}
}

// led tells whether a version of runc can be led astray.
func led(version string) bool {
	v := release(version)
	for _, m := range mendedRunc {
		if mended := release(m); slices.Equal(v[:2], mended[:2]) {
			return slices.Compare(v[:], mended[:]) < 0
		}
	}
	return slices.Compare(v[:], []int{1, 2}) < 0
}

// release is the numbers of a version: major, minor, patch, and that of the
// candidate, which none has that is no candidate.
func release(version string) [4]int {
	n := [4]int{3: 1 << 30}
	for i, part := range strings.SplitN(version, ".", 3) {
		n[i], _ = strconv.Atoi(leading(part)) // what is no number is old
	}
	if _, candidate, ok := strings.Cut(version, "-rc"); ok {
		n[3], _ = strconv.Atoi(leading(strings.TrimLeft(candidate, ".")))
	}
	return n
}

// confined is what confines containers besides the engine, as the engine says
// in its security options.
func confined(options []string) string {
	for _, o := range options {
		switch name, _, _ := strings.Cut(o, ","); name {
		case "name=apparmor":
			return "AppArmor"
		case "name=selinux":
			return "SELinux"
		}
	}
	return ""
}

func confinement(f Facts) []Check {
	if f.Engine.Version == "" {
		return skipped("confinement", "the engine does not answer")
	}
	if by := confined(f.Engine.Security); by != "" {
		return well("confinement", "%s confines containers", by)
	}
	if f.Kernel.AppArmor {
		return []Check{warning("confinement", "the engine has containers confined neither by AppArmor nor by SELinux, and the kernel has AppArmor: a second fence is missing",
			"apt-get install apparmor && "+strings.Replace(f.service(), "start", "restart", 1))}
	}
	return []Check{warning("confinement", "neither AppArmor nor SELinux confines containers, and the kernel has no AppArmor: a second fence is missing; take a kernel that lists one of them in", "cat /sys/kernel/security/lsm")}
}
