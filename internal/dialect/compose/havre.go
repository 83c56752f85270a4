package compose

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"havre/internal/dialect/source"
	"havre/internal/problem"
	"havre/internal/spec"
)

// extension reads x-havre: that of the services it extends first, then its
// own, the last file last. Each key counts whole.
func (r *reader) extension(to *spec.Service) {
	path := ""
	chain := r.chain(to.Name)
	slices.Reverse(chain)
	for _, service := range chain {
		for _, e := range r.havre[service] {
			if empty(e.node) {
				continue
			}
			if e.node.Kind != yaml.MappingNode {
				r.Refuse(placed(e.file, e.node), "x-havre must be a mapping", "write x-havre: {domains: [www.example.org]}")
				continue
			}
			for _, pair := range pairs(e.node) {
				havreKey{r, to, e.file}.read(pair[0], pair[1])
			}
			if p := (havreKey{r, to, e.file}).word(e.node, "path"); p != "" {
				path = p
			}
		}
	}
	fronted(to, path)
}

func placed(file string, n *yaml.Node) problem.Place {
	return problem.Place{File: file, Line: n.Line, Column: n.Column}
}

// havreKey reads one key of x-havre.
type havreKey struct {
	*reader
	to   *spec.Service
	file string
}

func (h havreKey) read(key, value *yaml.Node) {
	at := "services." + h.to.Name + "."
	switch key.Value {
	case "access":
		h.to.Access = h.access(key, value)
		h.Origins[at+"access"] = placed(h.file, value)
	case "priority":
		n, err := strconv.Atoi(h.scalar(key, value))
		if err != nil {
			h.Refuse(placed(h.file, value), "x-havre.priority must be a whole number", "write it like 10")
		}
		h.to.Priority = n
	case "init":
		h.to.InitHook, h.to.InitTimeout = h.hook(key, value)
	case "upgrade":
		h.to.UpgradeHook, h.to.UpgradeTimeout = h.hook(key, value)
		if slices.Equal(h.to.UpgradeHook, []string{""}) {
			h.to.UpgradeHook = nil // that of a service it extends
		}
	case "certificate":
		h.certificate(key, value)
	case "status":
		switch word := h.scalar(key, value); word {
		case "enabled", "disabled":
			h.to.Disabled = word == "disabled"
		default:
			h.Refuse(placed(h.file, value), fmt.Sprintf("x-havre.status cannot be %q", shorten(word)), "write enabled or disabled")
		}
	case "volumes":
		if h.to.Shared = !empty(value); h.to.Shared && h.scalar(key, value) != "shared" {
			h.Refuse(placed(h.file, value), fmt.Sprintf("x-havre.volumes cannot be %q", shorten(value.Value)), "write shared, or leave it out")
		}
	case "domains":
		h.to.Domains = nil
		for _, item := range h.list(key, value) {
			h.Origins[fmt.Sprintf("%sdomains[%d]", at, len(h.to.Domains))] = placed(h.file, item)
			h.to.Domains = append(h.to.Domains, h.domain(item))
		}
	case "links":
		for _, item := range h.list(key, value) {
			h.Origins[fmt.Sprintf("%slinks[%d]", at, len(h.to.Links))] = placed(h.file, item)
			h.to.Links = append(h.to.Links, h.link(item))
		}
	case "keys":
		h.to.Keys = nil
		for _, item := range h.list(key, value) {
			if line := strings.TrimSpace(item.Value); source.UsableKey(line) {
				h.to.Keys = append(h.to.Keys, spec.Key{Text: line})
				continue
			}
			h.Refuse(placed(h.file, item), fmt.Sprintf("%q is no public SSH key", shorten(item.Value)), "put the whole line of an id_….pub file here")
		}
	default:
		h.front(key, value)
	}
}

// whereCertificate is the file with a mounted certificate: chain and key.
const whereCertificate = "/run/havre/certificate.pem"

// certificate mounts the certificate of one of the project's domains: a secret
// of the environment that Havre fills.
func (h havreKey) certificate(key, value *yaml.Node) {
	h.to.Mounts = slices.DeleteFunc(h.to.Mounts, func(m spec.Mount) bool { return m.Kind == spec.SecretFile && m.Target == whereCertificate })
	if empty(value) {
		return
	}
	name := spec.CertificateSecret(h.scalar(key, value))
	if !spec.ValidSecret(name) {
		h.Refuse(placed(h.file, value), fmt.Sprintf("x-havre.certificate: %q is not a host name of at most 52 characters", shorten(value.Value)), "write one of the project's domains here")
		return
	}
	if _, there := h.Project.Secret(name); !there {
		h.Project.Secrets = append(h.Project.Secrets, spec.Secret{Name: name, External: name})
		h.Origins["secrets."+name] = placed(h.file, value)
	}
	h.to.Mounts = append(h.to.Mounts, spec.Mount{Kind: spec.SecretFile, Source: name, Target: whereCertificate, ReadOnly: true})
}

// hook reads a command, or {command, timeout}.
func (h havreKey) hook(key, value *yaml.Node) (words []string, timeout spec.Duration) {
	if value.Kind != yaml.MappingNode {
		return h.command(key, value), 0
	}
	if _, command := child(value, "command"); command != nil && !empty(command) {
		words = h.command(key, command)
	}
	if _, at := child(value, "timeout"); at != nil && !empty(at) {
		h.Origins["services."+h.to.Name+"."+key.Value+"Timeout"] = placed(h.file, at)
	}
	return words, h.time(value, "timeout")
}

// command is a list of words, or one; false takes away what the image has.
func (h havreKey) command(key, value *yaml.Node) []string {
	if value.Kind == yaml.ScalarNode && value.Tag == "!!bool" {
		if value.Value == "false" {
			return []string{""}
		}
		h.Refuse(placed(h.file, value), "x-havre."+key.Value+" is a command or false", "write it like [/app/seed, --all], or leave it out")
		return nil
	}
	var words []string
	for _, item := range h.list(key, value) {
		words = append(words, item.Value)
	}
	if len(words) > 0 && words[0] == "" {
		h.Refuse(placed(h.file, value), "x-havre."+key.Value+" begins with an empty word", "write it like [/app/seed, --all]")
	}
	return words
}

// scalar is a value that must be a single one.
func (h havreKey) scalar(key, value *yaml.Node) string {
	if value.Kind != yaml.ScalarNode {
		h.Refuse(placed(h.file, value), fmt.Sprintf("x-havre.%s must be a single value", key.Value), "write it as one word")
		return ""
	}
	return value.Value
}

// list is a list; a single value is a list of one.
func (h havreKey) list(key, value *yaml.Node) []*yaml.Node {
	switch {
	case empty(value):
		return nil
	case value.Kind == yaml.SequenceNode:
		return value.Content
	case value.Kind == yaml.ScalarNode:
		return []*yaml.Node{value}
	}
	h.Refuse(placed(h.file, value), fmt.Sprintf("x-havre.%s must be a list", key.Value), "begin each item with -")
	return nil
}

func (h havreKey) port(n *yaml.Node, text string) uint16 {
	p, err := strconv.ParseUint(text, 10, 16)
	if err != nil || p == 0 {
		h.Refuse(placed(h.file, n), fmt.Sprintf("%q is not a port", text), "use 1 to 65535")
	}
	return uint16(p)
}

// domain reads name, name:port, name/path, name:port/path and {host, port,
// path, tls}. Without a name it is the default domain alone.
func (h havreKey) domain(n *yaml.Node) spec.Domain {
	var d spec.Domain
	if n.Kind == yaml.ScalarNode {
		value := n.Value
		if scheme, rest, url := strings.Cut(value, "://"); url {
			value = strings.TrimSuffix(rest, "/")
			h.Refuse(placed(h.file, n), fmt.Sprintf("%q is an address and not a domain", shorten(n.Value)),
				fmt.Sprintf("write it without %s://, like %s: a domain is served over HTTP and HTTPS alike, and redirect: true sends people to HTTPS", scheme, shorten(value)))
			value, _, _ = strings.Cut(value, ":")
		}
		at, path, _ := strings.Cut(value, "/")
		if path != "" {
			d.Path = "/" + path
		}
		host, port, ok := strings.Cut(at, ":")
		d.Host = host
		if ok {
			d.Port = h.port(n, port)
		}
		return d
	}
	d.Host, d.Path = h.word(n, "host"), h.word(n, "path")
	if _, port := child(n, "port"); port != nil && !empty(port) {
		d.Port = h.port(port, port.Value)
	}
	if _, tls := child(n, "tls"); tls != nil && !empty(tls) {
		d.TLS = spec.TLS(tls.Value)
	}
	return d
}

// link reads name, name:alias and {to, alias, ports}.
func (h havreKey) link(n *yaml.Node) spec.Link {
	var l spec.Link
	if n.Kind == yaml.ScalarNode {
		l.To, l.Alias, _ = strings.Cut(n.Value, ":")
		return l
	}
	if _, to := child(n, "to"); to != nil {
		l.To = to.Value
	}
	if _, alias := child(n, "alias"); alias != nil {
		l.Alias = alias.Value
	}
	if key, ports := child(n, "ports"); ports != nil {
		for _, p := range h.list(key, ports) {
			l.Ports = append(l.Ports, h.port(p, p.Value))
		}
	}
	return l
}
