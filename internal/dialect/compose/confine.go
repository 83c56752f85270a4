package compose

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"havre/internal/spec"
)

// given are the capabilities that containers have here: Docker's own, without
// those that the guard takes from all.
var given = []string{"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}

// confine reads what narrows the container, and its terminal.
func (r *reader) confine(to *spec.Service, s types.ServiceConfig) {
	for path, field := range map[string]string{
		"groups": "group_add", "capDrop": "cap_drop", "capAdd": "cap_add", "ulimits": "ulimits", "sysctls": "sysctls", "hosts": "extra_hosts", "dns": "dns", "log": "logging", "entrypoint": "entrypoint",
	} {
		r.Origins["services."+to.Name+"."+path] = r.at(to.Name, field)
	}
	to.Groups, to.TTY, to.Stdin = s.GroupAdd, s.Tty, s.StdinOpen
	to.CapDrop, to.CapAdd = capabilities(s)
	to.Ulimits = limitsOf(s.Ulimits)
	if len(s.Sysctls) > 0 {
		to.Sysctls = s.Sysctls
	}
	to.Hosts = hosts(s.ExtraHosts)
	to.DNS = spec.DNS{Servers: s.DNS, Search: s.DNSSearch, Options: s.DNSOpts}
	if len(s.DNS) == 0 {
		r.Origins["services."+to.Name+".dns"] = r.at(to.Name, "dns_search")
	}
	to.Log = r.log(to.Name, s.Logging)
}

// capabilities are what cap_drop takes and cap_add does not give back, and what
// cap_add asks for beyond what every container has.
func capabilities(s types.ServiceConfig) (drop, more []string) {
	var back []string
	for _, c := range s.CapDrop {
		drop = append(drop, capability(c))
	}
	for _, c := range s.CapAdd {
		if c = capability(c); slices.Contains(given, c) {
			back = append(back, c)
		} else {
			more = append(more, c)
		}
	}
	if slices.Contains(drop, "ALL") && len(back) > 0 {
		drop = spec.Capabilities()
	}
	drop = slices.DeleteFunc(drop, func(c string) bool { return slices.Contains(back, c) || slices.Contains(more, c) })
	slices.Sort(drop)
	slices.Sort(more)
	return slices.Compact(drop), slices.Compact(more)
}

func capability(c string) string { return strings.TrimPrefix(strings.ToUpper(c), "CAP_") }

func limitsOf(given map[string]*types.UlimitsConfig) []spec.Ulimit {
	var all []spec.Ulimit
	for name, u := range given {
		switch {
		case u == nil:
		case u.Single != 0:
			all = append(all, spec.Ulimit{Name: name, Soft: int64(u.Single), Hard: int64(u.Single)})
		default:
			all = append(all, spec.Ulimit{Name: name, Soft: int64(u.Soft), Hard: int64(u.Hard)})
		}
	}
	slices.SortFunc(all, func(a, b spec.Ulimit) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func hosts(given types.HostsList) []spec.Host {
	var all []spec.Host
	for name, addresses := range given {
		for _, text := range addresses {
			if a, err := netip.ParseAddr(text); err == nil {
				text = a.Unmap().String()
			}
			all = append(all, spec.Host{Name: name, Address: text})
		}
	}
	slices.SortFunc(all, func(a, b spec.Host) int {
		if a.Name != b.Name {
			return strings.Compare(a.Name, b.Name)
		}
		return strings.Compare(a.Address, b.Address)
	})
	return all
}

// log reads how much is kept. Where it is kept is not free to choose.
func (r *reader) log(name string, l *types.LoggingConfig) spec.Log {
	var kept spec.Log
	if l == nil {
		return kept
	}
	if l.Driver != "" && l.Driver != "local" {
		r.Warn(r.at(name, "logging", "driver"), fmt.Sprintf("logging.driver: %s has no effect: output is kept on the node by the engine's driver local", l.Driver), "see it with havre logs")
	}
	for option, value := range l.Options {
		at := r.at(name, "logging", "options", option)
		switch option {
		case "max-size":
			var size types.UnitBytes
			if err := size.DecodeMapstructure(value); err != nil || size <= 0 {
				r.Refuse(at, fmt.Sprintf("logging.options: max-size %q is not a size", value), "write it like 10m")
				continue
			}
			kept.Size = spec.Bytes(size)
		case "max-file":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				r.Refuse(at, fmt.Sprintf("logging.options: max-file %q is not a number of files", value), "write it like 3")
				continue
			}
			kept.Files = n
		default:
			r.Warn(at, fmt.Sprintf("logging.options: %s has no effect: output is kept on the node by the engine's driver local", option), leaveOut)
		}
	}
	return kept
}

// labels are those of the files, then those of the service itself.
func (r *reader) labels(name string, s types.ServiceConfig) map[string]string {
	all := map[string]string{}
	places := r.items(name, "label_file", itself)
	for _, file := range s.LabelFiles {
		r.envFile(places.at(file), labelFile(file), all, nil)
	}
	for label, value := range s.Labels {
		all[label] = value
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

func labelFile(path string) types.EnvFile { return types.EnvFile{Path: path, Required: true} }
