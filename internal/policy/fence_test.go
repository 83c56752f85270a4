package policy_test

import (
	"testing"

	"havre/internal/dockercall"
	"havre/internal/policy"
)

// of gives the labels of a thing of Havre's.
func of(environment, project, kind string) map[string]string {
	return map[string]string{"havre.instance": "me", "havre.env": environment, "havre.project": project, "havre.kind": kind}
}

const portalImage dockercall.ImageID = "sha256:2222222222222222222222222222222222222222222222222222222222222222"

func portalOf(environment string) *dockercall.ContainerCreate {
	return &dockercall.ContainerCreate{Name: dockercall.ObjectName("h-portal-" + environment + ".1"), Spec: dockercall.ContainerBody{
		Image: portalImage, User: "8:7", Labels: dockercall.Labels{"havre.env": environment, "havre.kind": "portal"},
		HostConfig: &dockercall.HostConfig{
			NetworkMode: net, ReadonlyRootfs: true, CapDrop: []dockercall.Capability{"ALL"}, SecurityOpt: []dockercall.SecurityOpt{"no-new-privileges"},
			DnsOptions: []dockercall.DNSOption{"ndots:1"}, Memory: 32 << 20, RestartPolicy: dockercall.RestartPlain{Name: "on-failure"},
			Sysctls: dockercall.Sysctls{"net.ipv4.ip_forward": "0", "net.ipv4.ip_local_port_range": "1024 65000", "net.ipv4.tcp_tw_reuse": "1"},
			Mounts:  []dockercall.Mount{{Type: dockercall.BindMount, Source: "/d/portal/" + environment, Target: "/portal"}},
		},
	}}
}

// A portal stays in its environment, when it is made and when it is attached.
func TestPortalStaysInItsEnvironment(t *testing.T) {
	for environment, rule := range map[string]dockercall.Rule{"prod": "", "qualif": policy.OtherProject} {
		f := policy.Facts{
			Instance: "me", Portal: portalImage,
			Networks:  map[dockercall.SwarmID]policy.Object{net: {Exists: true, Labels: of(environment, "aaaaaaa2", "network")}},
			Target:    policy.Object{Exists: true, Labels: of(environment, "aaaaaaa2", "network")},
			Container: policy.Object{Exists: true, Labels: of("prod", "", "portal")},
		}
		if _, err := policy.Judge(server, bounds, f, portalOf("prod")); ruleOf(err) != string(rule) {
			t.Errorf("made on a network of %s: %v", environment, err)
		}
		if _, err := policy.Judge(server, bounds, f, &dockercall.NetworkConnect{ID: net}); ruleOf(err) != string(rule) {
			t.Errorf("attached to a network of %s: %v", environment, err)
		}
	}
}

// A service gets configs and networks of its own project and environment.
func TestServiceStaysInItsProject(t *testing.T) {
	for name, c := range map[string]struct {
		config, network map[string]string
		called          string
		rule            dockercall.Rule
	}{
		"its own":                      {of("prod", "aaaaaaa2", "config"), of("prod", "aaaaaaa2", "network"), "h-c", ""},
		"another project's config":     {of("prod", "ccccccc2", "config"), of("prod", "aaaaaaa2", "network"), "h-c", policy.OtherProject},
		"another environment's config": {of("qualif", "aaaaaaa2", "config"), of("prod", "aaaaaaa2", "network"), "h-c", policy.OtherProject},
		"a config by another name":     {of("prod", "aaaaaaa2", "config"), of("prod", "aaaaaaa2", "network"), "h-other", policy.OtherProject},
		"another project's network":    {of("prod", "aaaaaaa2", "config"), of("prod", "ccccccc2", "network"), "h-c", policy.OtherProject},
		"another environment's":        {of("prod", "aaaaaaa2", "config"), of("qualif", "aaaaaaa2", "network"), "h-c", policy.OtherProject},
	} {
		call := service("")
		call.Spec.TaskTemplate.ContainerSpec.Configs = []dockercall.ConfigRef{{ConfigID: net, ConfigName: "h-c", File: &dockercall.ConfigFile{Name: "/etc/c"}}}
		f := policy.Facts{
			Instance: "me", Image: policy.Image{Exists: true, ID: image, Refs: []dockercall.Ref{"havre.invalid/prod/a:1"}},
			Networks: map[dockercall.SwarmID]policy.Object{net: {Exists: true, Labels: c.network}},
			Configs:  map[dockercall.SwarmID]policy.Object{net: {Exists: true, Name: c.called, Labels: c.config}},
			Resolved: itself("/etc/c"),
		}
		if _, err := policy.Judge(server, bounds, f, call); ruleOf(err) != string(c.rule) {
			t.Errorf("%s: %v, want %q", name, err, c.rule)
		}
	}
}

// A secret of another project or environment is mounted by nobody.
func TestSecretsStayInTheirProject(t *testing.T) {
	for name, c := range map[string]struct {
		labels map[string]string
		called string
		file   *dockercall.ConfigFile
		rule   dockercall.Rule
	}{
		"its own":                 {of("prod", "aaaaaaa2", "secret"), "h-s", &dockercall.ConfigFile{Name: "/run/secrets/s", UID: "33", Mode: 0o400}, ""},
		"another project's":       {of("prod", "ccccccc2", "secret"), "h-s", &dockercall.ConfigFile{Name: "/run/secrets/s"}, policy.OtherProject},
		"another environment's":   {of("qualif", "aaaaaaa2", "secret"), "h-s", &dockercall.ConfigFile{Name: "/run/secrets/s"}, policy.OtherProject},
		"one by another name":     {of("prod", "aaaaaaa2", "secret"), "h-other", &dockercall.ConfigFile{Name: "/run/secrets/s"}, policy.OtherProject},
		"somebody else's":         {map[string]string{"havre.env": "prod", "havre.project": "aaaaaaa2"}, "h-s", &dockercall.ConfigFile{Name: "/run/secrets/s"}, policy.ForeignObject},
		"with a set-user bit":     {of("prod", "aaaaaaa2", "secret"), "h-s", &dockercall.ConfigFile{Name: "/run/secrets/s", Mode: 0o4444}, policy.MountTarget},
		"over the kernel's files": {of("prod", "aaaaaaa2", "secret"), "h-s", &dockercall.ConfigFile{Name: "/sys/x"}, policy.MountTarget},
		"nowhere":                 {of("prod", "aaaaaaa2", "secret"), "h-s", nil, policy.MountTarget},
	} {
		call := service("")
		call.Spec.TaskTemplate.ContainerSpec.Secrets = []dockercall.SecretRef{{SecretID: net, SecretName: "h-s", File: c.file}}
		f := policy.Facts{
			Instance: "me", Image: policy.Image{Exists: true, ID: image, Refs: []dockercall.Ref{"havre.invalid/prod/a:1"}},
			Networks: map[dockercall.SwarmID]policy.Object{net: {Exists: true, Labels: of("prod", "aaaaaaa2", "network")}},
			Secrets:  map[dockercall.SwarmID]policy.Object{net: {Exists: true, Name: c.called, Labels: c.labels}},
			Resolved: itself("/run/secrets/s"),
		}
		if _, err := policy.Judge(server, bounds, f, call); ruleOf(err) != string(c.rule) {
			t.Errorf("%s: %v, want %q", name, err, c.rule)
		}
	}
}

func TestSecretHasAsManyBytesAsASwarmKeeps(t *testing.T) {
	for size, rule := range map[int]dockercall.Rule{0: policy.Amount, 1: "", 500*1024 - 1: "", 500 * 1024: policy.Amount} {
		call := &dockercall.SecretCreate{Spec: dockercall.SecretSpec{
			Name: "h-aaaaaaa2-s", Data: make([]byte, size),
			Labels: dockercall.Labels{"havre.kind": "secret", "havre.env": "prod", "havre.project": "aaaaaaa2"},
		}}
		done, err := policy.Judge(server, bounds, policy.Facts{Instance: "me"}, call)
		if ruleOf(err) != string(rule) {
			t.Errorf("%d bytes: %v, want %q", size, err, rule)
		}
		if made, ok := done.(*dockercall.SecretCreate); err == nil && (!ok || made.Spec.Labels[dockercall.InstanceLabel] != "me") {
			t.Errorf("%d bytes: made as %+v", size, done)
		}
	}
}

// A link network joins services of the project that links and the one service
// that it leads to, in one environment, and only the latter has names there.
func TestLinkJoinsItsTwoEndsOnly(t *testing.T) {
	const wire dockercall.SwarmID = "lllllllllllllllllllllllll"
	leads := func(environment, project, target string) map[string]string {
		labels := of(environment, project, "link")
		labels["havre.link"] = target
		return labels
	}
	for name, c := range map[string]struct {
		labels  map[string]string
		aliases []dockercall.Alias
		rule    dockercall.Rule
	}{
		"from its project":                {leads("prod", "aaaaaaa2", "ccccccc2.ddddddd2"), nil, ""},
		"to it":                           {leads("prod", "ccccccc2", "aaaaaaa2.bbbbbbb2"), []dockercall.Alias{"db"}, ""},
		"with a name at the source's end": {leads("prod", "aaaaaaa2", "ccccccc2.ddddddd2"), []dockercall.Alias{"db"}, policy.LinkName},
		"to another service":              {leads("prod", "ccccccc2", "aaaaaaa2.eeeeeee2"), nil, policy.OtherProject},
		"to its namesake elsewhere":       {leads("prod", "ccccccc2", "eeeeeee2.bbbbbbb2"), nil, policy.OtherProject},
		"between two others":              {leads("prod", "ccccccc2", "eeeeeee2.fffffff2"), nil, policy.OtherProject},
		"from another environment":        {leads("qualif", "aaaaaaa2", "ccccccc2.ddddddd2"), nil, policy.OtherProject},
		"to it from another environment":  {leads("qualif", "ccccccc2", "aaaaaaa2.bbbbbbb2"), nil, policy.OtherProject},
		"of another Havre":                {map[string]string{"havre.kind": "link", "havre.env": "prod", "havre.project": "aaaaaaa2"}, nil, policy.ForeignObject},
	} {
		call := service("")
		task := &call.Spec.TaskTemplate
		task.Networks = append(task.Networks, dockercall.Attachment{Target: wire, Aliases: c.aliases})
		f := policy.Facts{
			Instance: "me", Image: policy.Image{Exists: true, ID: image, Refs: []dockercall.Ref{"havre.invalid/prod/a:1"}},
			Networks: map[dockercall.SwarmID]policy.Object{net: {Exists: true, Labels: of("prod", "aaaaaaa2", "network")}, wire: {Exists: true, Labels: c.labels}},
		}
		if _, err := policy.Judge(server, bounds, f, call); ruleOf(err) != string(c.rule) {
			t.Errorf("%s: %v, want %q", name, err, c.rule)
		}
	}
}

// The engine is asked by an id, and must not mean another image by it.
func TestImageIsTheOneThatWasAskedFor(t *testing.T) {
	for id, rule := range map[dockercall.ImageID]dockercall.Rule{image: "", portalImage: policy.ImageNotOurs} {
		f := policy.Facts{
			Instance: "me", Image: policy.Image{Exists: true, ID: id, Refs: []dockercall.Ref{"havre.invalid/prod/a:1"}},
			Networks: map[dockercall.SwarmID]policy.Object{net: {Exists: true, Labels: of("prod", "aaaaaaa2", "network")}},
		}
		if _, err := policy.Judge(server, bounds, f, service("")); ruleOf(err) != string(rule) {
			t.Errorf("the engine means %s: %v, want %q", id, err, rule)
		}
	}
}

func TestWhatIsPulledIsLookedAt(t *testing.T) {
	for name, c := range map[string]struct {
		image policy.Image
		rule  dockercall.Rule
	}{
		"anybody's":             {policy.Image{ID: image, Labels: map[string]string{"maintainer": "me"}}, ""},
		"the portal's":          {policy.Image{ID: portalImage}, policy.ImageOfPortal},
		"with a label of ours":  {policy.Image{ID: image, Labels: map[string]string{"havre.instance": "me"}}, policy.ImageLabels},
		"in other letters":      {policy.Image{ID: image, Labels: map[string]string{"Havre.kind": "portal"}}, policy.ImageLabels},
		"with one of an engine": {policy.Image{ID: image, Labels: map[string]string{"com.docker.swarm.task": "x"}}, policy.ImageLabels},
	} {
		if err := policy.Pulled(c.image, portalImage); ruleOf(err) != string(c.rule) {
			t.Errorf("%s: %v, want %q", name, err, c.rule)
		}
	}
}

// Whatever names it has, whoever asks.
func TestPortalsImageIsNobodyElses(t *testing.T) {
	i := policy.Image{Exists: true, ID: portalImage, Refs: []dockercall.Ref{"havre.invalid/prod/disguised:latest"}}
	facts := policy.Facts{Instance: "me", Portal: portalImage, Image: i}
	for name, call := range map[string]dockercall.Call{
		"tag":         &dockercall.ImageTag{Image: dockercall.ImageName(portalImage), Repo: "havre.invalid/prod/app", Tag: "1"},
		"volume":      &dockercall.VolumeEnsure{Environment: "prod", Project: "aaaaaaa2", Name: "data", Path: "/data", Image: portalImage},
		"foreign tag": &dockercall.ForeignTag{Image: portalImage, As: "havre.invalid/prod/app:1"},
	} {
		caller := policy.Caller{Role: policy.Server}
		if call.Kind() == dockercall.ForeignTagKind {
			caller.Role = policy.Root
		}
		if _, err := policy.Judge(caller, policy.Bounds{}, facts, call); ruleOf(err) != string(policy.ImageOfPortal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"built upon": policy.Buildable(i, portalImage, false), "pulled": policy.Pulled(i, portalImage), "loaded": policy.Loaded(i.ID, nil, portalImage),
	} {
		if ruleOf(err) != string(policy.ImageOfPortal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := policy.Loaded(image, nil, portalImage); err != nil {
		t.Errorf("another image: %v", err)
	}
}

// A carrier has files and nothing else.
func TestCarrierCannotRun(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*dockercall.ContainerBody)
		rule   dockercall.Rule
	}{
		"as carriers are":       {func(*dockercall.ContainerBody) {}, ""},
		"its project's network": {func(b *dockercall.ContainerBody) { b.HostConfig.NetworkMode = net }, policy.NetworkKind},
		"an engine's network":   {func(b *dockercall.ContainerBody) { b.HostConfig.NetworkMode = "" }, policy.NetworkKind},
		"an end of a network": {func(b *dockercall.ContainerBody) {
			b.NetworkingConfig = &dockercall.Networking{EndpointsConfig: map[dockercall.SwarmID]*dockercall.Endpoint{net: nil}}
		}, policy.NetworkKind},
		"another entry point": {func(b *dockercall.ContainerBody) { b.Entrypoint = []dockercall.Word{"/bin/sh"} }, policy.SomebodysObject},
		"the image's":         {func(b *dockercall.ContainerBody) { b.Entrypoint = nil }, policy.SomebodysObject},
		"a command":           {func(b *dockercall.ContainerBody) { b.Cmd = []dockercall.Word{"x"} }, policy.SomebodysObject},
		"a capability":        {func(b *dockercall.ContainerBody) { b.HostConfig.CapAdd = []dockercall.Capability{"CAP_CHOWN"} }, policy.CapabilityRule},
		"a restart":           {func(b *dockercall.ContainerBody) { b.HostConfig.RestartPolicy.Name = "always" }, policy.RestartPolicy},
		"a kernel setting": {func(b *dockercall.ContainerBody) {
			b.HostConfig.Sysctls = dockercall.Sysctls{"net.core.somaxconn": "1"}
		}, policy.SysctlRule},
	} {
		call := &dockercall.ContainerCreate{Name: "h-aaaaaaa2-bbbbbbb2-cp", Spec: dockercall.ContainerBody{
			Image: image, Entrypoint: []dockercall.Word{dockercall.NeverStarted},
			Labels:     dockercall.Labels{"havre.env": "prod", "havre.project": "aaaaaaa2", "havre.service": "bbbbbbb2", "havre.kind": "carrier"},
			HostConfig: &dockercall.HostConfig{NetworkMode: "none"},
		}}
		c.change(&call.Spec)
		f := policy.Facts{
			Instance: "me", Image: policy.Image{Exists: true, ID: image, Refs: []dockercall.Ref{"havre.invalid/prod/a:1"}},
			Networks: map[dockercall.SwarmID]policy.Object{net: {Exists: true, Labels: of("prod", "aaaaaaa2", "network")}},
		}
		if _, err := policy.Judge(server, bounds, f, call); ruleOf(err) != string(c.rule) {
			t.Errorf("%s: %v, want %q", name, err, c.rule)
		}
	}
}
