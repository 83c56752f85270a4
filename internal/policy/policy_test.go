package policy_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"havre/internal/dockercall"
	"havre/internal/policy"
	"havre/internal/problem"
)

func TestEveryKindIsJudged(t *testing.T) {
	for _, k := range dockercall.Kinds() {
		if !policy.Judged(k) {
			t.Errorf("%s is judged by nobody", k)
		}
	}
}

// An attack script names in its second line the kinds that it attacks.
func TestEveryKindHasAnAttack(t *testing.T) {
	scripts, err := filepath.Glob("../../e2e/script/guard_*.txtar")
	if err != nil || len(scripts) < 30 {
		t.Fatalf("%d attack scripts, %v", len(scripts), err)
	}
	attacked := map[string]bool{}
	for _, file := range scripts {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitN(string(text), "\n", 3)
		if !strings.HasPrefix(lines[0], "# ") || !strings.HasPrefix(lines[1], "# kinds: ") || !strings.Contains(lines[2], "\nrefused ") || !strings.Contains(lines[2], "passed\n") && !strings.Contains(file, "upgrade") {
			t.Errorf("%s lacks its story, its kinds, a refusal or the nearest call that passes", file)
		}
		for _, k := range strings.Fields(strings.TrimPrefix(lines[1], "# kinds: ")) {
			attacked[k] = true
		}
	}
	for _, k := range dockercall.Kinds() {
		if !attacked[string(k)] {
			t.Errorf("no script attacks %s", k)
		}
		delete(attacked, string(k))
	}
	for k := range attacked {
		t.Errorf("a script attacks %s, which is no kind", k)
	}
}

// Every rule is met by some script, or by a test that is named here.
func TestEveryRuleHasAnAttack(t *testing.T) {
	elsewhere := []dockercall.Rule{
		policy.CallerUnknown, policy.NotJudged, // TestNobodyMayDoAnything, TestGuardWithoutItsIDAllowsNothing
		policy.VolumeInUse, // TestMountedVolumeStays, e2e/guard
		dockercall.TooBig,  // TestBigBodyIsRefusedWithoutBeingKept
	}
	scripts, err := filepath.Glob("../../e2e/script/guard_*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range scripts {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, r := range append(slices.Clone(dockercall.Rules), policy.Rules...) {
		if !strings.Contains(all.String(), "refused "+string(r)+"\n") && !slices.Contains(elsewhere, r) {
			t.Errorf("no script is refused by %s", r)
		}
	}
}

var (
	bounds = policy.Bounds{
		Volumes: "/d/volume", Portals: "/d/portal", PortalUser: 8, PortalGroup: 7, Pool: netip.MustParsePrefix("10.87.0.0/16"),
		Replicas: 3, Pids: 100, Memory: 1 << 30, LogSize: "1m", LogFiles: "2",
	}
	server = policy.Caller{Role: policy.Server, UID: 998}
	ours   = map[string]string{"havre.instance": "me", "havre.env": "prod", "havre.project": "aaaaaaa2", "havre.kind": "service"}
)

func facts(target map[string]string) policy.Facts {
	return policy.Facts{Instance: "me", Target: policy.Object{Exists: true, Labels: target}}
}

func ruleOf(err error) string {
	if p := problem.Of(err); p != nil {
		return p.Rule
	}
	return ""
}

func TestNobodyMayDoAnything(t *testing.T) {
	for _, k := range []dockercall.Call{&dockercall.Ping{}, &dockercall.ContainerStart{}, &dockercall.Purge{}} {
		if _, err := policy.Judge(policy.Caller{}, bounds, facts(ours), k); ruleOf(err) != string(policy.CallerUnknown) {
			t.Errorf("%s by the zero caller: %v", k.Kind(), err)
		}
	}
}

func TestGuardWithoutItsIDAllowsNothing(t *testing.T) {
	f := policy.Facts{Target: policy.Object{Exists: true, Labels: map[string]string{"havre.instance": ""}}}
	if _, err := policy.Judge(server, bounds, f, &dockercall.ContainerStart{}); ruleOf(err) != string(policy.NotJudged) {
		t.Errorf("%v", err)
	}
	if policy.Owned("", map[string]string{}) {
		t.Error("nothing is owned by nobody")
	}
}

type stranger struct{}

func (stranger) Kind() dockercall.Kind { return "Stranger" }

func TestUnknownKindIsRefused(t *testing.T) {
	if _, err := policy.Judge(server, bounds, facts(ours), stranger{}); ruleOf(err) != string(policy.NotJudged) {
		t.Errorf("%v", err)
	}
}

// The zero bounds let nothing run, whatever else is right.
func TestZeroBoundsLetNothingRun(t *testing.T) {
	for _, call := range []dockercall.Call{network("10.87.1.0/24"), service(""), service("/volume/prod/aaaaaaa2/x")} {
		f := facts(ours)
		f.Image = policy.Image{Exists: true, ID: image, Refs: []dockercall.Ref{"havre.invalid/prod/a:1"}}
		f.Networks = map[dockercall.SwarmID]policy.Object{net: {Exists: true, Labels: of("prod", "aaaaaaa2", "network")}}
		if _, err := policy.Judge(server, policy.Bounds{}, f, call); err == nil {
			t.Errorf("%s passes the zero bounds", call.Kind())
		}
	}
}

// A bound that nobody set allows nothing, whatever the others are.
func TestBoundThatIsNotSetAllowsNothing(t *testing.T) {
	portalAt := func(directory, user string) *dockercall.ContainerCreate {
		c := portalOf("prod")
		c.Spec.HostConfig.Mounts[0].Source, c.Spec.User = directory, dockercall.User(user)
		return c
	}
	for name, c := range map[string]struct {
		unset func(*policy.Bounds)
		call  dockercall.Call
		rule  dockercall.Rule
	}{
		"volumes":      {func(b *policy.Bounds) { b.Volumes = "" }, service("/prod/aaaaaaa2/x"), policy.MountSource},
		"portals":      {func(b *policy.Bounds) { b.Portals = "" }, portalAt("/prod", "8:7"), policy.PortalShape},
		"portal group": {func(b *policy.Bounds) { b.PortalGroup = 0 }, portalAt("/d/portal/prod", "8:0"), policy.PortalShape},
		"portal user":  {func(b *policy.Bounds) { b.PortalUser = 0 }, portalAt("/d/portal/prod", "0:7"), policy.PortalShape},
		"pool":         {func(b *policy.Bounds) { b.Pool = netip.Prefix{} }, network("10.87.1.0/24"), policy.NetworkSubnet},
		"replicas":     {func(b *policy.Bounds) { b.Replicas = 0 }, service(""), policy.Amount},
		"processes":    {func(b *policy.Bounds) { b.Pids = 0 }, service(""), policy.Amount},
	} {
		f := facts(ours)
		f.Portal = portalImage
		f.Image = policy.Image{Exists: true, ID: image, Refs: []dockercall.Ref{"havre.invalid/prod/a:1"}}
		f.Networks = map[dockercall.SwarmID]policy.Object{net: {Exists: true, Labels: of("prod", "aaaaaaa2", "network")}}
		b := bounds
		c.unset(&b)
		if _, err := policy.Judge(server, b, f, c.call); ruleOf(err) != string(c.rule) {
			t.Errorf("%s: %v, want %s", name, err, c.rule)
		}
	}
}

const image, net = "sha256:1111111111111111111111111111111111111111111111111111111111111111", "nnnnnnnnnnnnnnnnnnnnnnnnn"

func network(subnet dockercall.Prefix) *dockercall.NetworkCreate {
	return &dockercall.NetworkCreate{Spec: dockercall.NetworkSpec{
		Name: "h-aaaaaaa2-1", Driver: "overlay", Attachable: true, IPAM: &dockercall.IPAM{Config: []dockercall.IPAMConfig{{Subnet: subnet}}},
		Labels: dockercall.Labels{"havre.env": "prod", "havre.project": "aaaaaaa2", "havre.kind": "network"},
	}}
}

func service(source string) *dockercall.ServiceCreate {
	replicas := uint64(1)
	s := dockercall.ServiceSpec{
		Name:         "h-aaaaaaa2-bbbbbbb2-r1",
		Labels:       dockercall.Labels{"havre.env": "prod", "havre.project": "aaaaaaa2", "havre.service": "bbbbbbb2", "havre.rollout": "1", "havre.kind": "service"},
		Mode:         dockercall.ServiceMode{Replicated: &dockercall.Replicated{Replicas: &replicas}},
		EndpointSpec: &dockercall.EndpointSpec{Mode: "dnsrr"},
		TaskTemplate: dockercall.TaskSpec{
			ContainerSpec: &dockercall.ContainerSpec{Image: image},
			Networks:      []dockercall.Attachment{{Target: net}},
		},
	}
	if source != "" {
		s.TaskTemplate.ContainerSpec.Mounts = []dockercall.Mount{{Type: dockercall.BindMount, Source: source, Target: "/x"}}
	}
	return &dockercall.ServiceCreate{Spec: s}
}

func TestSubnetsComeFromThePool(t *testing.T) {
	for subnet, rule := range map[dockercall.Prefix]dockercall.Rule{
		"10.87.1.0/24":  "",
		"10.87.0.0/20":  "",
		"10.87.0.16/28": "",
		"10.87.0.0/19":  policy.NetworkSubnet,
		"10.87.0.0/29":  policy.NetworkSubnet,
		"10.88.0.0/24":  policy.NetworkSubnet,
		"fd00::/64":     policy.NetworkSubnet,
		"":              policy.NetworkSubnet,
	} {
		if _, err := policy.Judge(server, bounds, facts(ours), network(subnet)); ruleOf(err) != string(rule) {
			t.Errorf("%s: %v, want %q", subnet, err, rule)
		}
	}
}

func TestSubnetsOverlapNoNetworkOfTheEngine(t *testing.T) {
	f := facts(ours)
	f.Subnets = []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16"), netip.MustParsePrefix("10.87.1.0/24"), netip.MustParsePrefix("fd00::/64")}
	for subnet, rule := range map[dockercall.Prefix]dockercall.Rule{
		"10.87.2.0/24":   "",
		"10.87.1.0/24":   policy.NetworkTaken,
		"10.87.1.128/28": policy.NetworkTaken,
		"10.87.0.0/20":   policy.NetworkTaken,
	} {
		if _, err := policy.Judge(server, bounds, f, network(subnet)); ruleOf(err) != string(rule) {
			t.Errorf("%s: %v, want %q", subnet, err, rule)
		}
	}
}

// What the guard adds is there whoever forgot it.
func TestServiceIsDressed(t *testing.T) {
	f := facts(ours)
	f.Image = policy.Image{Exists: true, ID: image, Refs: []dockercall.Ref{"havre.invalid/prod/a:1"}}
	f.Networks = map[dockercall.SwarmID]policy.Object{net: {Exists: true, Labels: of("prod", "aaaaaaa2", "network")}}
	f.Resolved = itself("/x")
	call, err := policy.Judge(server, bounds, f, service("/d/volume/prod/aaaaaaa2/x"))
	if err != nil {
		t.Fatal(err)
	}
	s := call.(*dockercall.ServiceCreate).Spec
	box := s.TaskTemplate.ContainerSpec
	if s.Labels["havre.instance"] != "me" || box.Labels["havre.instance"] != "me" || box.Labels["havre.rollout"] != "1" {
		t.Errorf("labels %v and %v", s.Labels, box.Labels)
	}
	if !slices.Equal(box.CapabilityDrop, []dockercall.Capability{"CAP_NET_RAW", "CAP_MKNOD"}) {
		t.Errorf("dropped %v", box.CapabilityDrop)
	}
	if s.TaskTemplate.Resources.Limits.Pids != 100 || s.TaskTemplate.LogDriver.Options["max-size"] != "1m" {
		t.Errorf("limits %+v, log %+v", s.TaskTemplate.Resources.Limits, s.TaskTemplate.LogDriver)
	}
}

// An update of a hook would run it again.
func TestHookIsNeverChanged(t *testing.T) {
	s := service("").Spec
	s.Name, s.Labels["havre.kind"] = "h-aaaaaaa2-bbbbbbb2-init", "hook"
	s.TaskTemplate.RestartPolicy = &dockercall.RestartPolicy{Condition: "none"}
	f := facts(s.Labels)
	f.Target.Name, f.Target.Labels["havre.instance"] = string(s.Name), "me"
	f.Image = policy.Image{Exists: true, ID: image, Refs: []dockercall.Ref{"havre.invalid/prod/a:1"}}
	f.Networks = map[dockercall.SwarmID]policy.Object{net: {Exists: true, Labels: of("prod", "aaaaaaa2", "network")}}
	if _, err := policy.Judge(server, bounds, f, &dockercall.ServiceCreate{Spec: s}); err != nil {
		t.Fatalf("it is not even made: %v", err)
	}
	if _, err := policy.Judge(server, bounds, f, &dockercall.ServiceUpdate{Spec: s}); ruleOf(err) != string(policy.SomebodysObject) {
		t.Errorf("%v", err)
	}
}

func TestMountedVolumeStays(t *testing.T) {
	c := &dockercall.VolumeRemove{Environment: "prod", Project: "aaaaaaa2", Name: "data"}
	f := facts(nil)
	if _, err := policy.Judge(server, bounds, f, c); err != nil {
		t.Errorf("one that nobody mounts: %v", err)
	}
	f.MountedAt = []string{"/vol/cache"}
	if _, err := policy.Judge(server, bounds, f, c); ruleOf(err) != string(policy.VolumeInUse) {
		t.Errorf("one in use: %v", err)
	}
}

func TestOnlyCachesAndLogsAreEmptiedWhileMounted(t *testing.T) {
	for _, c := range []struct {
		part dockercall.VolumePart
		at   []string
		rule dockercall.Rule
	}{
		{"", nil, ""}, {"", []string{"/vol/cache"}, ""}, {"", []string{"/vol/log", "/vol/cache"}, ""}, {"cache", []string{"/vol"}, ""},
		{"", []string{"/vol/cache", "/data"}, policy.VolumeInUse}, {"", []string{"/vol"}, policy.VolumeInUse},
		{"cache", []string{"/vol/cache"}, policy.VolumeInUse}, {"log", []string{"/srv"}, policy.VolumeInUse},
	} {
		f := facts(nil)
		f.MountedAt = c.at
		call := &dockercall.VolumeClean{Environment: "prod", Project: "aaaaaaa2", Name: "data", Part: c.part}
		if _, err := policy.Judge(server, bounds, f, call); ruleOf(err) != string(c.rule) {
			t.Errorf("part %q at %q: %v, want %q", c.part, c.at, err, c.rule)
		}
	}
}

func TestCallsOnObjectsWantThemToBeOurs(t *testing.T) {
	theirs := map[string]string{"havre.instance": "another", "havre.env": "prod", "havre.kind": "service"}
	for _, call := range []dockercall.Call{
		&dockercall.NetworkInspect{}, &dockercall.NetworkRemove{}, &dockercall.NetworkConnect{}, &dockercall.NetworkDisconnect{},
		&dockercall.ServiceInspect{}, &dockercall.ServiceUpdate{}, &dockercall.ServiceRemove{}, &dockercall.ContainerInspect{},
		&dockercall.ContainerStart{}, &dockercall.ContainerStop{}, &dockercall.ContainerRemove{}, &dockercall.ContainerLogs{}, &dockercall.ContainerStats{},
		&dockercall.ExecCreate{}, &dockercall.ExecStart{}, &dockercall.ExecResize{}, &dockercall.ExecInspect{}, &dockercall.ConfigRemove{},
	} {
		for _, labels := range []map[string]string{nil, theirs} {
			if _, err := policy.Judge(server, bounds, facts(labels), call); ruleOf(err) != string(policy.ForeignObject) {
				t.Errorf("%s on somebody else's: %v", call.Kind(), err)
			}
		}
		if _, err := policy.Judge(server, bounds, policy.Facts{Instance: "me"}, call); problem.KindOf(err) != problem.NotFound {
			t.Errorf("%s on nothing: %v", call.Kind(), err)
		}
	}
}

func TestTheGuardsOwnContainersAreNotStarted(t *testing.T) {
	seed := map[string]string{"havre.instance": "me", "havre.kind": "seed"}
	if _, err := policy.Judge(server, bounds, facts(seed), &dockercall.ContainerStart{}); ruleOf(err) != string(policy.SomebodysObject) {
		t.Errorf("start: %v", err)
	}
	if _, err := policy.Judge(server, bounds, facts(seed), &dockercall.ExecCreate{}); ruleOf(err) != string(policy.ExecKind) {
		t.Errorf("exec: %v", err)
	}
}

// The engine is asked for Havre's own only; what it answers is narrowed again.
func TestListsAskForHavresOwnOnly(t *testing.T) {
	for name, call := range map[string]dockercall.Call{
		"networks": &dockercall.NetworkList{}, "services": &dockercall.ServiceList{}, "tasks": &dockercall.TaskList{}, "containers": &dockercall.ContainerList{},
		"configs": &dockercall.ConfigList{}, "secrets": &dockercall.SecretList{}, "events": &dockercall.Events{},
	} {
		judged, err := policy.Judge(server, bounds, facts(nil), call)
		if err != nil {
			t.Fatal(err)
		}
		filters := reflect.ValueOf(judged).Elem().FieldByName("Filters").Interface().(dockercall.Filters)
		if !filters["label"]["havre.instance=me"] {
			t.Errorf("%s are asked for with %v", name, filters)
		}
	}
}

// A stream would bind the engine to a caller that does not read.
func TestWhatAContainerUsesIsReadOnce(t *testing.T) {
	call, err := policy.Judge(server, bounds, facts(ours), &dockercall.ContainerStats{})
	if err != nil {
		t.Fatal(err)
	}
	if got := call.(*dockercall.ContainerStats).Stream; got != "0" {
		t.Errorf("stream is %q", got)
	}
}
