// Package normal writes a project as Compose with x-havre in its normal form.
package normal

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"havre/internal/dialect/source"
	"havre/internal/spec"
)

// extension is Havre's own key.
const extension = "x-havre"

// inMemory is where secrets are unless the person says otherwise.
const inMemory = "/run/secrets"

// conditions in our words and Compose's.
var conditions = map[spec.Condition]string{
	spec.Started:   "service_started",
	spec.Healthy:   "service_healthy",
	spec.Completed: "service_completed_successfully",
}

// Files are what a project was read from, as far as the project itself does
// not know it. The zero value is a project of which no files are known.
type Files struct {
	Builds []source.Build
	Held   map[string]source.Held // where secrets have what they hold from
}

// Written is a project as a Compose file.
type Written struct {
	Text   []byte
	Beyond []string // what plain Compose has no words for, and what became of it
}

// Write writes a project in its normal form: one way to say each thing, what
// is as by default left out, names sorted. What Read makes of the text is the
// project again.
func Write(p spec.Project, from Files) (Written, error) {
	w := &writer{project: p, files: from, keys: configKeys(p.Files)}
	root := mapping{}
	root.put("name", text(p.Name))
	services := mapping{}
	for _, s := range p.Services {
		services.put(s.Name, w.service(s))
	}
	root.put("services", services.node())
	root.put("volumes", w.volumes())
	root.put("configs", w.configs())
	root.put("secrets", w.secrets())
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	err := e.Encode(root.node())
	if err == nil {
		err = e.Close()
	}
	return Written{out.Bytes(), w.beyond}, err
}

// writer turns our types into Compose's fields.
type writer struct {
	project spec.Project
	files   Files
	keys    map[string]string // of files below configs, by their names
	beyond  []string
}

func (w *writer) service(s spec.Service) *yaml.Node {
	m := mapping{}
	m.put("image", text(s.Image))
	w.build(&m, s)
	m.put("entrypoint", w.entrypoint(s))
	m.put("command", texts(s.Command))
	m.put("user", some(s.User))
	m.put("group_add", texts(s.Groups))
	m.put("working_dir", some(s.WorkingDir))
	m.put("hostname", some(s.Hostname))
	m.put("environment", variableMap(s.Environment))
	m.put("labels", labelMap(s.Labels))
	m.put("read_only", yes(s.ReadOnly))
	m.put("init", yes(s.Init))
	m.put("tty", yes(s.TTY))
	m.put("stdin_open", yes(s.Stdin))
	m.put("stop_signal", some(s.StopSignal))
	m.put("stop_grace_period", length(s.StopGrace))
	m.put("restart", restart(s.Restart))
	m.put("healthcheck", health(s.Health))
	m.put("ports", w.ports(s))
	m.put("expose", numbers(s.Expose))
	m.put("networks", aliases(s.Aliases))
	m.put("depends_on", dependsOn(s.Needs))
	w.mounts(&m, s)
	m.put("cap_add", texts(s.CapAdd))
	m.put("cap_drop", texts(s.CapDrop))
	m.put("ulimits", ulimits(s.Ulimits))
	m.put("sysctls", stringMap(s.Sysctls))
	m.put("extra_hosts", extraHosts(s.Hosts))
	m.put("dns", texts(s.DNS.Servers))
	m.put("dns_search", texts(s.DNS.Search))
	m.put("dns_opt", texts(s.DNS.Options))
	m.put("logging", logging(s.Log))
	m.put("deploy", deploy(s))
	plain := plainLinks(s)
	m.put("links", texts(plain))
	m.put(extension, w.extension(s, plain != nil))
	return m.node()
}

// build writes how the image is made, and when it comes from its registry.
func (w *writer) build(to *mapping, s spec.Service) {
	i := slices.IndexFunc(w.files.Builds, func(b source.Build) bool { return b.Service == s.Name })
	if i < 0 {
		if s.Pull == spec.PullNever {
			w.lost("image %s of %s comes from no registry: build or load it where the file is applied", s.Image, s.Name)
		}
		to.put("pull_policy", some(string(s.Pull)))
		return
	}
	b, m := w.files.Builds[i], mapping{}
	m.put("context", text(b.Context()))
	m.put("dockerfile", some(b.Dockerfile))
	m.put("target", some(b.Target))
	m.put("args", texts(b.Args))
	m.put("no_cache", yes(b.NoCache))
	to.put("build", m.node())
	policy := string(s.Pull)
	if b.Always {
		policy = "build"
	}
	to.put("pull_policy", some(cmp.Or(policy, "missing")))
}

// entrypoint writes [] for one that is taken away.
func (w *writer) entrypoint(s spec.Service) *yaml.Node {
	if slices.Equal(s.Entrypoint, []string{""}) {
		return &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	}
	return texts(s.Entrypoint)
}

func restart(r spec.Restart) *yaml.Node {
	if r.Policy == spec.OnFailure && r.Attempts > 0 {
		return text(fmt.Sprintf("on-failure:%d", r.Attempts))
	}
	return some(string(r.Policy))
}

func health(h *spec.Health) *yaml.Node {
	if h == nil {
		return nil
	}
	m := mapping{}
	if slices.Equal(h.Test, []string{"NONE"}) {
		m.put("disable", yes(true))
		return m.node()
	}
	m.put("test", texts(h.Test))
	m.put("interval", length(h.Interval))
	m.put("timeout", length(h.Timeout))
	m.put("start_period", length(h.Start))
	m.put("retries", number(int64(h.Retries)))
	return m.node()
}

func (w *writer) ports(s spec.Service) *yaml.Node {
	var list []*yaml.Node
	for _, p := range s.Ports {
		m := mapping{}
		m.put("target", number(int64(p.Internal)))
		if p.External != 0 {
			m.put("published", text(strconv.Itoa(int(p.External))))
		}
		switch p.Access {
		case spec.Localhost:
			m.put("host_ip", text("127.0.0.1"))
		case cmp.Or(s.Access, spec.Public):
		case spec.Public:
			m.put("host_ip", text("0.0.0.0")) // else x-havre's access would be its own
		default:
			w.lost("port %d of %s is %s, which a Compose port cannot say: it is written as public", p.Internal, s.Name, p.Access)
		}
		if p.Protocol != spec.TCP {
			m.put("protocol", text(string(p.Protocol)))
		}
		list = append(list, m.node())
	}
	return sequence(list)
}

func (w *writer) lost(format string, args ...any) {
	w.beyond = append(w.beyond, fmt.Sprintf(format, args...))
}

func aliases(names []string) *yaml.Node {
	if len(names) == 0 {
		return nil
	}
	of, network := mapping{}, mapping{}
	of.put("aliases", texts(names))
	network.put("default", of.node())
	return network.node()
}

func dependsOn(needs []spec.Need) *yaml.Node {
	m := mapping{}
	for _, n := range needs {
		one := mapping{}
		one.put("condition", text(conditions[n.Condition]))
		m.put(n.Service, one.node())
	}
	return m.some()
}

func ulimits(all []spec.Ulimit) *yaml.Node {
	m := mapping{}
	for _, u := range all {
		one := mapping{}
		one.put("soft", integer(u.Soft))
		one.put("hard", integer(u.Hard))
		m.put(u.Name, one.node())
	}
	return m.some()
}

func extraHosts(hosts []spec.Host) *yaml.Node {
	var lines []string
	for _, h := range hosts {
		lines = append(lines, h.Name+"="+h.Address)
	}
	return texts(lines)
}

func logging(l spec.Log) *yaml.Node {
	if l == (spec.Log{}) {
		return nil
	}
	options, m := mapping{}, mapping{}
	if l.Size > 0 {
		options.put("max-size", text(strconv.FormatInt(int64(l.Size), 10)))
	}
	if l.Files > 0 {
		options.put("max-file", text(strconv.Itoa(l.Files)))
	}
	m.put("options", options.node())
	return m.node()
}

func deploy(s spec.Service) *yaml.Node {
	m, update, resources := mapping{}, mapping{}, mapping{}
	if s.Replicas != 1 {
		m.put("replicas", integer(int64(s.Replicas)))
	}
	update.put("order", some(string(s.Order)))
	m.put("update_config", update.some())
	resources.put("limits", amounts(s.Limits))
	resources.put("reservations", amounts(s.Reserve))
	m.put("resources", resources.some())
	return m.some()
}

func amounts(l spec.Limits) *yaml.Node {
	m := mapping{}
	if l.CPUs > 0 {
		m.put("cpus", text(strconv.FormatFloat(l.CPUs, 'f', -1, 64)))
	}
	if l.Memory > 0 {
		m.put("memory", text(strconv.FormatInt(int64(l.Memory), 10)))
	}
	m.put("pids", number(l.Pids))
	return m.some()
}

// plainLinks are the links in Compose's own words, or nil when one of them
// needs x-havre: Compose's links are needs too, and know no ports.
func plainLinks(s spec.Service) []string {
	var lines []string
	for _, l := range s.Links {
		need := slices.ContainsFunc(s.Needs, func(n spec.Need) bool { return n.Service == l.To })
		if !need || len(l.Ports) > 0 || l.To == s.Name {
			return nil
		}
		line := l.To
		if l.Alias != "" {
			line += ":" + l.Alias
		}
		lines = append(lines, line)
	}
	return lines
}

// extension writes what only x-havre can say.
func (w *writer) extension(s spec.Service, linked bool) *yaml.Node {
	m := mapping{}
	var hosts []*yaml.Node
	for _, d := range s.Domains {
		if d.TLS != "" {
			long := mapping{}
			long.put("host", text(d.Host))
			long.put("port", number(int64(d.Port)))
			long.put("tls", text(string(d.TLS)))
			hosts = append(hosts, long.node())
			continue
		}
		host := d.Host
		if d.Port != 0 {
			host = fmt.Sprintf("%s:%d", d.Host, d.Port)
		}
		hosts = append(hosts, text(host+d.Path))
	}
	m.put("domains", sequence(hosts))
	if networks, listed := s.Access.Networks(); listed {
		var words []string
		for _, n := range networks {
			words = append(words, n.String())
		}
		m.put("access", texts(words))
	} else {
		m.put("access", some(string(s.Access)))
	}
	writeFront(&m, s.Front)
	m.put("priority", number(int64(s.Priority)))
	if s.Disabled {
		m.put("status", some("disabled"))
	}
	if s.Shared {
		m.put("volumes", some("shared"))
	}
	m.put("init", hook(s.InitHook, s.InitTimeout))
	m.put("upgrade", hook(s.UpgradeHook, s.UpgradeTimeout))
	if !linked {
		m.put("links", links(s.Links))
	}
	var keys []*yaml.Node
	for _, k := range s.Keys {
		keys = append(keys, text(k.Text))
	}
	m.put("keys", sequence(keys))
	for _, key := range m.keys() {
		w.lost("%s of %s: x-havre says it, other programs do not read it", key, s.Name)
	}
	return m.some()
}

// hook is a command, with how long it may take if that is said.
func hook(words []string, timeout spec.Duration) *yaml.Node {
	if timeout == 0 {
		return command(words)
	}
	own := mapping{}
	own.put("command", command(words))
	own.put("timeout", length(timeout))
	return own.node()
}

// command writes a hook: false is none, nothing is the image's own.
func command(words []string) *yaml.Node {
	if len(words) > 0 && words[0] == "" {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "false"}
	}
	return texts(words)
}

func links(all []spec.Link) *yaml.Node {
	var list []*yaml.Node
	for _, l := range all {
		m := mapping{}
		m.put("to", text(l.To))
		m.put("alias", some(l.Alias))
		m.put("ports", ports(l.Ports))
		list = append(list, m.node())
	}
	return sequence(list)
}

// length writes a time as Go does; Compose reads the same.
func length(d spec.Duration) *yaml.Node {
	if d == 0 {
		return nil
	}
	return text(time.Duration(d).String())
}

// variableMap writes variables as a mapping where all names are plain, else
// as a list: a key of YAML may mean something of its own.
func variableMap(all map[string]string) *yaml.Node {
	for name := range all {
		if !plainKey(name) {
			return stringList(all)
		}
	}
	return stringMap(all)
}

// labelMap writes a list where the library would take a label for an x- key
// of Compose's.
func labelMap(all map[string]string) *yaml.Node {
	for name := range all {
		if strings.HasPrefix(name, "x-") || name == "<<" {
			return stringList(all)
		}
	}
	return stringMap(all)
}

func stringList(all map[string]string) *yaml.Node {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		lines = append(lines, name+"="+all[name])
	}
	return texts(lines)
}

func plainKey(name string) bool {
	return strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789") == ""
}

func stringMap(all map[string]string) *yaml.Node {
	m := mapping{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m.put(name, text(all[name]))
	}
	return m.some()
}
