package compose

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"go.yaml.in/yaml/v4"

	"havre/internal/spec"
)

// front reads the keys of x-havre that say how the ingress serves a service.
func (h havreKey) front(key, value *yaml.Node) {
	f := &h.to.Front
	at := "services." + h.to.Name + ".front"
	h.Origins[at], h.Origins[at+"."+key.Value] = placed(h.file, value), placed(h.file, value)
	switch key.Value {
	case "strip":
		f.Strip = h.truth(key, value)
	case "redirect":
		f.Redirect = h.truth(key, value)
	case "compress":
		f.Plain = !h.truth(key, value)
	case "scheme":
		if f.Scheme = spec.Scheme(h.scalar(key, value)); f.Scheme == "http" {
			f.Scheme = ""
		}
	case "proxy":
		f.Proxy = spec.Proxy(h.scalar(key, value))
	case "sticky":
		f.Sticky = spec.Sticky(h.scalar(key, value))
	case "body":
		n, err := units.RAMInBytes(h.scalar(key, value))
		if err != nil || n <= 0 {
			h.Refuse(placed(h.file, value), fmt.Sprintf("x-havre.body: %q is not a size", shorten(value.Value)), "write it like 100m")
		}
		f.Body = spec.Bytes(n)
	case "check":
		f.Check = h.check(key, value)
	case "users":
		f.Users = nil
		for _, item := range h.list(key, value) {
			f.Users = append(f.Users, item.Value)
		}
	case "rate":
		f.Rate = h.rate(key, value)
	}
}

func (h havreKey) truth(key, value *yaml.Node) bool {
	b, err := strconv.ParseBool(h.scalar(key, value))
	if err != nil {
		h.Refuse(placed(h.file, value), fmt.Sprintf("x-havre.%s must be true or false", key.Value), "write true or false")
	}
	return b
}

// check reads a path, or {path, every, timeout}.
func (h havreKey) check(key, value *yaml.Node) spec.Check {
	if value.Kind == yaml.ScalarNode {
		return spec.Check{Path: value.Value}
	}
	return spec.Check{Path: h.word(value, "path"), Every: h.time(value, "every"), Timeout: h.time(value, "timeout")}
}

// rate reads 10/s, or {limit: 10/s, burst: 20}.
func (h havreKey) rate(key, value *yaml.Node) spec.Rate {
	text, r := value.Value, spec.Rate{}
	if value.Kind == yaml.MappingNode {
		text = h.word(value, "limit")
		if burst := h.word(value, "burst"); burst != "" {
			n, err := strconv.Atoi(burst)
			if err != nil || n < 1 {
				h.Refuse(placed(h.file, value), fmt.Sprintf("x-havre.rate.burst: %q is not a number of 1 or more", shorten(burst)), "write it like 20")
			}
			r.Burst = n
		}
	}
	n, unit, _ := strings.Cut(text, "/")
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	events, err := strconv.Atoi(n)
	if err != nil || per == 0 || events < 1 {
		h.Refuse(placed(h.file, value), fmt.Sprintf("x-havre.rate: %q is not a rate", shorten(text)), "write it like 10/s, 100/m or 1000/h")
	}
	r.Events, r.Per = events, spec.Duration(per)
	return r
}

// word is the value of a name in a mapping, "" when it is not there.
func (h havreKey) word(n *yaml.Node, name string) string {
	if _, value := child(n, name); value != nil && !empty(value) {
		return value.Value
	}
	return ""
}

func (h havreKey) time(n *yaml.Node, name string) spec.Duration {
	text := h.word(n, name)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		h.Refuse(placed(h.file, n), fmt.Sprintf("x-havre: %s %q is not a time", name, shorten(text)), "write it like 10s")
	}
	return spec.Duration(d)
}

// access reads one word, or a list of networks.
func (h havreKey) access(key, value *yaml.Node) spec.Access {
	var words []string
	for _, item := range h.list(key, value) {
		words = append(words, item.Value)
	}
	return spec.AccessOf(words)
}

// fronted finishes what several keys say together: the path is that of all
// domains without one of their own, and access is that of ports, too, where
// they are bound to no address.
func fronted(s *spec.Service, path string) {
	if path != "" && len(s.Domains) == 0 {
		s.Domains = []spec.Domain{{}}
	}
	for i := range s.Domains {
		if s.Domains[i].Path == "" {
			s.Domains[i].Path = path
		}
	}
	for i := range s.Ports {
		s.Ports[i].Access = cmp.Or(s.Ports[i].Access, s.Access, spec.Public)
	}
}
