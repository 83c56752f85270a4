package policy_test

import (
	"testing"

	"havre/internal/dockercall"
	"havre/internal/policy"
)

// itself resolves paths as an image without links does.
func itself(paths ...dockercall.Path) map[dockercall.Path]dockercall.Path {
	all := map[dockercall.Path]dockercall.Path{}
	for _, p := range paths {
		all[p] = p
	}
	return all
}

// mounted judges a service whose container has these mounts and files, of an
// image whose paths lead to themselves but for those in links.
func mounted(i policy.Image, links map[dockercall.Path]dockercall.Path, change func(*dockercall.ContainerSpec)) error {
	call := service("")
	box := call.Spec.TaskTemplate.ContainerSpec
	change(box)
	i.Exists, i.ID, i.Refs = true, image, []dockercall.Ref{"havre.invalid/prod/a:1"}
	f := policy.Facts{
		Instance: "me", Image: i, Resolved: itself(append(box.Files(), box.Dir, dockercall.Path(i.Dir))...),
		Networks: map[dockercall.SwarmID]policy.Object{net: {Exists: true, Labels: of("prod", "aaaaaaa2", "network")}},
		Configs:  map[dockercall.SwarmID]policy.Object{net: {Exists: true, Name: "h-c", Labels: of("prod", "aaaaaaa2", "config")}},
		Secrets:  map[dockercall.SwarmID]policy.Object{net: {Exists: true, Name: "h-s", Labels: of("prod", "aaaaaaa2", "secret")}},
	}
	for _, m := range box.Mounts {
		f.Resolved[m.Target] = m.Target
	}
	for p, leads := range links {
		if f.Resolved[p] = leads; leads == "" {
			delete(f.Resolved, p)
		}
	}
	_, err := policy.Judge(server, bounds, f, call)
	return err
}

func volumeAt(t dockercall.Path) dockercall.Mount {
	return dockercall.Mount{Type: dockercall.BindMount, Source: "/d/volume/prod/aaaaaaa2/x", Target: t}
}

func memoryAt(t dockercall.Path) dockercall.Mount {
	return dockercall.Mount{Type: dockercall.TmpfsMount, Target: t}
}

func configAt(t dockercall.Path) dockercall.ConfigRef {
	return dockercall.ConfigRef{ConfigID: net, ConfigName: "h-c", File: &dockercall.ConfigFile{Name: t}}
}

func secretAt(t dockercall.Path) dockercall.SecretRef {
	return dockercall.SecretRef{SecretID: net, SecretName: "h-s", File: &dockercall.ConfigFile{Name: t}}
}

// A mount that follows a link of the image, or of another mount, can land on
// /dev, where the runtime opens what it finds with root's rights.
func TestMountsFollowNoLinks(t *testing.T) {
	type mounts = []dockercall.Mount
	type paths = map[dockercall.Path]dockercall.Path
	for name, c := range map[string]struct {
		mounts  mounts
		configs []dockercall.Path
		secrets []dockercall.Path
		links   paths
		rule    dockercall.Rule
	}{
		"plain places":                 {mounts{volumeAt("/data"), memoryAt("/run")}, []dockercall.Path{"/etc/a"}, []dockercall.Path{"/run/secrets/b"}, nil, ""},
		"a volume over a link":         {mounts{volumeAt("/x")}, nil, nil, paths{"/x": "/dev"}, policy.MountLink},
		"a volume behind a link":       {mounts{volumeAt("/var/run/x")}, nil, nil, paths{"/var/run/x": "/run/x"}, policy.MountLink},
		"memory over a link":           {mounts{memoryAt("/x")}, nil, nil, paths{"/x": "/dev"}, policy.MountLink},
		"a config over a link":         {nil, []dockercall.Path{"/x/null"}, nil, paths{"/x/null": "/dev/null"}, policy.MountLink},
		"a secret over a link":         {nil, nil, []dockercall.Path{"/x/null"}, paths{"/x/null": "/dev/null"}, policy.MountLink},
		"a place that nobody followed": {mounts{volumeAt("/x")}, nil, nil, paths{"/x": ""}, policy.MountLink},
		"a volume in a volume":         {mounts{volumeAt("/data"), volumeAt("/data/in")}, nil, nil, nil, policy.MountBelow},
		"a volume in one, first":       {mounts{volumeAt("/data/in"), volumeAt("/data")}, nil, nil, nil, policy.MountBelow},
		"memory in a volume":           {mounts{volumeAt("/data"), memoryAt("/data/in")}, nil, nil, nil, policy.MountBelow},
		"a config in a volume":         {mounts{volumeAt("/data")}, []dockercall.Path{"/data/conf"}, nil, nil, policy.MountBelow},
		"a secret in a volume":         {mounts{volumeAt("/run")}, nil, []dockercall.Path{"/run/secrets/b"}, nil, policy.MountBelow},
		"the engine's files in one":    {mounts{volumeAt("/etc")}, nil, nil, nil, policy.MountBelow},
		"a volume in memory":           {mounts{memoryAt("/run"), volumeAt("/run/kept")}, nil, nil, nil, ""},
		"beside, by its name":          {mounts{volumeAt("/data"), volumeAt("/data2")}, nil, nil, nil, ""},
		"a volume and a config":        {mounts{volumeAt("/data")}, []dockercall.Path{"/data"}, nil, nil, policy.MountTarget},
		"a config and a secret":        {nil, []dockercall.Path{"/a"}, []dockercall.Path{"/a"}, nil, policy.MountTarget},
		"memory where it is shared":    {mounts{memoryAt("/dev/shm")}, nil, nil, nil, ""},
		"a volume where it is shared":  {mounts{volumeAt("/dev/shm")}, nil, nil, nil, policy.MountTarget},
	} {
		err := mounted(policy.Image{}, c.links, func(box *dockercall.ContainerSpec) {
			box.Mounts = c.mounts
			for _, p := range c.configs {
				box.Configs = append(box.Configs, configAt(p))
			}
			for _, p := range c.secrets {
				box.Secrets = append(box.Secrets, secretAt(p))
			}
		})
		if ruleOf(err) != string(c.rule) {
			t.Errorf("%s: %v, want %q", name, err, c.rule)
		}
	}
}

// What is only read comes from the mount where nothing can be written, and is
// taken from there again in an update.
func TestWhatIsOnlyReadComesFromTheReadOnlyMount(t *testing.T) {
	for name, c := range map[string]struct {
		source   string
		readOnly bool
		want     dockercall.Mount
		rule     dockercall.Rule
	}{
		"written":           {"/d/volume/prod/aaaaaaa2/x", false, dockercall.Mount{Source: "/d/volume/prod/aaaaaaa2/x"}, ""},
		"read":              {"/d/volume/prod/aaaaaaa2/x", true, dockercall.Mount{Source: "/d/volume-ro/prod/aaaaaaa2/x"}, ""},
		"read, once more":   {"/d/volume-ro/prod/aaaaaaa2/x", false, dockercall.Mount{Source: "/d/volume-ro/prod/aaaaaaa2/x"}, ""},
		"another project's": {"/d/volume-ro/prod/ccccccc2/x", false, dockercall.Mount{}, policy.MountSource},
		"below a volume":    {"/d/volume-ro/prod/aaaaaaa2/x/y", false, dockercall.Mount{}, policy.MountSource},
		"all of them":       {"/d/volume-ro", false, dockercall.Mount{}, policy.MountSource},
	} {
		call := service(c.source)
		call.Spec.TaskTemplate.ContainerSpec.Mounts[0].ReadOnly = c.readOnly
		f := policy.Facts{
			Instance: "me", Image: policy.Image{Exists: true, ID: image, Refs: []dockercall.Ref{"havre.invalid/prod/a:1"}}, Resolved: itself("/x"),
			Networks: map[dockercall.SwarmID]policy.Object{net: {Exists: true, Labels: of("prod", "aaaaaaa2", "network")}},
		}
		twice := bounds
		twice.ReadOnly = "/d/volume-ro"
		made, err := policy.Judge(server, twice, f, call)
		if ruleOf(err) != string(c.rule) {
			t.Errorf("%s: %v, want %q", name, err, c.rule)
		}
		if err != nil {
			continue
		}
		got := made.(*dockercall.ServiceCreate).Spec.TaskTemplate.ContainerSpec.Mounts[0]
		if got.Source != c.want.Source || got.ReadOnly != c.want.ReadOnly {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// The engine makes a volume wherever an image declares one and nothing is.
func TestEachVolumeOfAnImageIsCovered(t *testing.T) {
	for name, c := range map[string]struct {
		declared []string
		mounts   []dockercall.Mount
		rule     dockercall.Rule
	}{
		"by a volume":           {[]string{"/data"}, []dockercall.Mount{volumeAt("/data")}, ""},
		"by memory":             {[]string{"/data"}, []dockercall.Mount{memoryAt("/data")}, ""},
		"written otherwise":     {[]string{"/data/", "//data/."}, []dockercall.Mount{volumeAt("/data")}, ""},
		"by nothing":            {[]string{"/data"}, nil, policy.ImageVolume},
		"one of two":            {[]string{"/data", "/more"}, []dockercall.Mount{volumeAt("/data")}, policy.ImageVolume},
		"by what is above":      {[]string{"/data/in"}, []dockercall.Mount{volumeAt("/data")}, policy.ImageVolume},
		"over /dev":             {[]string{"/a/../dev"}, nil, policy.ImageVolume},
		"a path from nowhere":   {[]string{"data"}, []dockercall.Mount{volumeAt("/data")}, policy.ImageVolume},
		"the whole of an image": {[]string{"/"}, nil, policy.ImageVolume},
	} {
		err := mounted(policy.Image{Volumes: c.declared}, nil, func(box *dockercall.ContainerSpec) { box.Mounts = c.mounts })
		if ruleOf(err) != string(c.rule) {
			t.Errorf("%s: %v, want %q", name, err, c.rule)
		}
	}
}

// From /proc/self/fd a process could reach what the runtime has open.
func TestNoProcessStartsAmongTheKernelsFiles(t *testing.T) {
	for name, c := range map[string]struct {
		dir   dockercall.Path
		image string
		links map[dockercall.Path]dockercall.Path
		rule  dockercall.Rule
	}{
		"nowhere":            {"", "", nil, ""},
		"a directory":        {"/app", "/proc/self/fd/8", nil, ""},
		"the image's":        {"", "/app", nil, ""},
		"over a link":        {"/var/run", "", map[dockercall.Path]dockercall.Path{"/var/run": "/run"}, ""},
		"an open file":       {"/proc/self/fd/8", "", nil, policy.WorkingDir},
		"the image's open":   {"", "/proc/self/fd/8", nil, policy.WorkingDir},
		"the image's, oddly": {"", "proc//self/fd/8", nil, policy.WorkingDir},
		"one over a link":    {"/x", "", map[dockercall.Path]dockercall.Path{"/x": "/proc/self/fd/8"}, policy.WorkingDir},
		"the image's by one": {"", "/x", map[dockercall.Path]dockercall.Path{"/x": "/dev"}, policy.WorkingDir},
		"not followed":       {"/x", "", map[dockercall.Path]dockercall.Path{"/x": ""}, policy.WorkingDir},
	} {
		err := mounted(policy.Image{Dir: c.image}, c.links, func(box *dockercall.ContainerSpec) { box.Dir = c.dir })
		if ruleOf(err) != string(c.rule) {
			t.Errorf("%s: %v, want %q", name, err, c.rule)
		}
	}
	f := facts(of("prod", "aaaaaaa2", "service"))
	for dir, rule := range map[dockercall.Path]dockercall.Rule{"": "", "/app": "", "/process": "", "/proc/self/fd/8": policy.WorkingDir, "/dev": policy.WorkingDir, "/sys/fs": policy.WorkingDir} {
		if _, err := policy.Judge(server, bounds, f, &dockercall.ExecCreate{Spec: dockercall.ExecSpec{WorkingDir: dir}}); ruleOf(err) != string(rule) {
			t.Errorf("a command in %q: %v, want %q", dir, err, rule)
		}
	}
}

// Started again, a container of the swarm's has the links that it left.
func TestOnlyPortalsAreStarted(t *testing.T) {
	for kind, rule := range map[string]dockercall.Rule{
		"portal": "", "service": policy.SomebodysObject, "hook": policy.SomebodysObject, "carrier": policy.SomebodysObject, "seed": policy.SomebodysObject,
	} {
		if _, err := policy.Judge(server, bounds, facts(of("prod", "aaaaaaa2", kind)), &dockercall.ContainerStart{}); ruleOf(err) != string(rule) {
			t.Errorf("start a %s: %v, want %q", kind, err, rule)
		}
	}
	for kind, rule := range map[string]dockercall.Rule{"portal": "", "service": "", "carrier": "", "seed": policy.SomebodysObject} {
		if _, err := policy.Judge(server, bounds, facts(of("prod", "aaaaaaa2", kind)), &dockercall.ContainerRemove{}); ruleOf(err) != string(rule) {
			t.Errorf("remove a %s: %v, want %q", kind, err, rule)
		}
	}
}

func TestNoCommandRunsInAnImageWithVolumes(t *testing.T) {
	for name, c := range map[string]struct {
		volumes []string
		run     bool
		rule    dockercall.Rule
	}{
		"none, and a command": {nil, true, ""}, "a volume, and files alone": {[]string{"/data"}, false, ""}, "a volume, and a command": {[]string{"/data"}, true, policy.ImageVolume},
	} {
		if err := policy.Buildable(policy.Image{Volumes: c.volumes}, "", c.run); ruleOf(err) != string(c.rule) {
			t.Errorf("%s: %v, want %q", name, err, c.rule)
		}
	}
}
