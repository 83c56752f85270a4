package policy_test

import (
	"testing"

	"havre/internal/dockercall"
	"havre/internal/policy"
)

const foreignBox dockercall.ContainerID = "1111111111111111111111111111111111111111111111111111111111111111"

func dataAt(path dockercall.Path) *dockercall.ForeignData {
	return &dockercall.ForeignData{Path: path, Environment: "prod", Project: "aaaaaaa2", Name: "data"}
}

// Root may take over what others run, and nothing else: not Havre's own, not
// the machine's directories, not two things at once.
func TestRootTakesOverWhatIsOthersOnly(t *testing.T) {
	root := policy.Caller{Role: policy.Root}
	theirs := policy.Facts{Instance: "me", Target: policy.Object{Exists: true}, Image: policy.Image{Exists: true}, Portal: portalImage}
	ours, mounted, image := theirs, theirs, theirs
	ours.Target.Labels = map[string]string{"havre.instance": "other"}
	mounted.MountedAt = []string{"x"}
	image.Image.ID = portalImage
	labelled := theirs
	labelled.Image.Labels = map[string]string{"havre.instance": "me"}
	for name, c := range map[string]struct {
		call  dockercall.Call
		facts policy.Facts
		rule  dockercall.Rule
	}{
		"stop":                 {&dockercall.ForeignSwitch{Container: foreignBox}, theirs, ""},
		"stop Havre's":         {&dockercall.ForeignSwitch{Container: foreignBox}, ours, policy.SomebodysObject},
		"stop two":             {&dockercall.ForeignSwitch{Container: foreignBox, Service: "a"}, theirs, policy.SomebodysObject},
		"stop none":            {&dockercall.ForeignSwitch{}, theirs, policy.SomebodysObject},
		"remove":               {&dockercall.ForeignRemove{Container: foreignBox}, theirs, ""},
		"remove Havre's":       {&dockercall.ForeignRemove{Container: foreignBox}, ours, policy.SomebodysObject},
		"list two sorts":       {&dockercall.ForeignList{Stack: "a", Compose: "b"}, theirs, policy.SomebodysObject},
		"tag":                  {&dockercall.ForeignTag{Image: "sha256:1", As: "havre.invalid/prod/a:1"}, theirs, ""},
		"tag the portal":       {&dockercall.ForeignTag{Image: "sha256:1", As: "havre.invalid/prod/a:1"}, image, policy.ImageOfPortal},
		"tag reserved labels":  {&dockercall.ForeignTag{Image: "sha256:1", As: "havre.invalid/prod/a:1"}, labelled, policy.ImageLabels},
		"a volume":             {&dockercall.ForeignData{From: "v", Environment: "prod", Project: "aaaaaaa2", Name: "data"}, theirs, ""},
		"a volume in use":      {&dockercall.ForeignData{From: "v", Environment: "prod", Project: "aaaaaaa2", Name: "data"}, mounted, policy.VolumeInUse},
		"a directory":          {dataAt("/srv/blog"), theirs, ""},
		"near the root":        {dataAt("/srv"), theirs, policy.MountSource},
		"the root":             {dataAt("/"), theirs, policy.MountSource},
		"below /etc":           {dataAt("/etc/ssl/private"), theirs, policy.MountSource},
		"above Docker's":       {dataAt("/var/lib"), theirs, policy.MountSource},
		"Havre's":              {dataAt("/d/guard"), theirs, policy.MountSource},
		"a volume's directory": {dataAt("/d/volume/prod/aaaaaaa2/x"), theirs, policy.MountSource},
	} {
		if _, err := policy.Judge(root, bounds, c.facts, c.call); ruleOf(err) != string(c.rule) {
			t.Errorf("%s: %v, want rule %q", name, err, c.rule)
		}
		if _, err := policy.Judge(server, bounds, c.facts, c.call); ruleOf(err) != string(policy.RootOnly) {
			t.Errorf("%s, by the server: %v", name, err)
		}
	}
}
