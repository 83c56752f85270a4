package normal

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"havre/internal/spec"
)

// mounts writes what a service mounts: volumes and memory, and files as
// configs, whose content travels in the text.
func (w *writer) mounts(to *mapping, s spec.Service) {
	var volumes, configs, secrets []*yaml.Node
	for _, m := range s.Mounts {
		one := mapping{}
		switch {
		case m.Kind == spec.Config:
			f, _ := w.project.File(m.Source)
			one.put("source", text(w.keys[m.Source]))
			one.put("target", text(m.Target))
			one.put("mode", octal(f.Mode))
			one.put("uid", owner(m.UID))
			one.put("gid", owner(m.GID))
			configs = append(configs, one.node())
		case m.Kind == spec.SecretFile:
			secrets = append(secrets, secretMount(m))
		case m.Kind == spec.Tmpfs && m.Target == "/dev/shm" && m.Size > 0 && !m.ReadOnly:
			to.put("shm_size", text(strconv.FormatInt(int64(m.Size), 10)))
		case m.From != "":
			one.put("type", text("bind"))
			one.put("source", text(m.From))
			one.put("target", text(m.Target))
			one.put("read_only", yes(m.ReadOnly))
			volumes = append(volumes, one.node())
		default:
			one.put("type", text(string(m.Kind)))
			one.put("source", some(m.Source))
			one.put("target", text(m.Target))
			one.put("read_only", yes(m.ReadOnly))
			if m.Size > 0 {
				size := mapping{}
				size.put("size", text(strconv.FormatInt(int64(m.Size), 10)))
				one.put("tmpfs", size.node())
			}
			volumes = append(volumes, one.node())
		}
	}
	to.put("volumes", sequence(volumes))
	to.put("configs", sequence(configs))
	to.put("secrets", sequence(secrets))
}

func octal(mode uint32) *yaml.Node {
	if mode == 0 {
		mode = 0o444
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: fmt.Sprintf("0o%03o", mode)}
}

// volumes declares every volume that a service mounts.
func (w *writer) volumes() *yaml.Node {
	var names []string
	for _, s := range w.project.Services {
		for _, m := range s.Mounts {
			if m.Kind == spec.Volume && m.From == "" {
				names = append(names, m.Source)
			}
		}
	}
	slices.Sort(names)
	all := mapping{}
	for _, name := range slices.Compact(names) {
		all.put(name, &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle})
	}
	return all.some()
}

// configs declares the files, with their content.
func (w *writer) configs() *yaml.Node {
	all := mapping{}
	for _, f := range w.project.Files {
		m, own := mapping{}, mapping{}
		if w.keys[f.Name] != f.Name {
			own.put("name", text(f.Name))
		}
		if utf8.Valid(f.Content) {
			m.put("content", text(string(f.Content)))
		} else {
			m.put("content", text(""))
			own.put("base64", text(base64.StdEncoding.EncodeToString(f.Content)))
			w.lost("file %s is not text: x-havre holds it in base64, other programs see an empty file", f.Name)
		}
		m.put(extension, own.some())
		all.put(w.keys[f.Name], m.node())
	}
	return all.some()
}

var notInKeys = regexp.MustCompile(`[^a-zA-Z0-9._-]+`)

// configKeys gives each file a key that Compose allows.
func configKeys(files []spec.File) map[string]string {
	keys, taken := map[string]string{}, map[string]bool{}
	for _, f := range files { // who can keep the name keeps it
		if !notInKeys.MatchString(f.Name) && f.Name != "" {
			keys[f.Name], taken[f.Name] = f.Name, true
		}
	}
	for _, f := range files {
		if keys[f.Name] != "" {
			continue
		}
		base := notInKeys.ReplaceAllString(f.Name, "_")
		key := base
		for n := 2; taken[key]; n++ {
			key = fmt.Sprintf("%s-%d", base, n)
		}
		keys[f.Name], taken[key] = key, true
	}
	return keys
}
