package project_test

import (
	"cmp"
	"net/netip"
	"testing"

	"havre/internal/problem"
	"havre/internal/project"
)

func TestSubnetsDoNotOverlap(t *testing.T) {
	p := netip.MustParsePrefix
	for says, c := range map[string]struct {
		pool string
		used []string
		want string
		from string
		bits int
	}{
		"for a link":                  {"10.87.0.0/16", []string{"10.87.0.0/24", "10.87.1.0/26"}, "10.87.1.64/26", "", project.LinkBits},
		"from there on":               {"10.87.0.0/16", []string{"10.87.9.0/24"}, "10.87.10.0/24", "10.87.9.77/16", 0},
		"round again":                 {"10.87.0.0/16", []string{"10.87.255.0/24"}, "10.87.0.0/24", "10.87.255.1/16", 0},
		"the first":                   {"10.87.0.0/16", nil, "10.87.0.0/24", "", 0},
		"after those in use":          {"10.87.0.0/16", []string{"10.87.0.0/24", "10.87.1.128/25"}, "10.87.2.0/24", "", 0},
		"a gap":                       {"10.87.0.0/16", []string{"10.87.0.0/24", "10.87.2.0/24"}, "10.87.1.0/24", "", 0},
		"behind a larger one":         {"10.87.0.0/16", []string{"10.87.0.0/20"}, "10.87.16.0/24", "", 0},
		"a pool that is not rounded":  {"10.87.5.7/16", nil, "10.87.0.0/24", "10.87.0.0/16", 0},
		"all are used":                {"10.87.0.0/23", []string{"10.0.0.0/8"}, "", "", 0},
		"the last one of all":         {"255.255.255.0/24", nil, "255.255.255.0/24", "", 0},
		"none after the last of all":  {"255.255.255.0/24", []string{"255.255.255.0/24"}, "", "", 0},
		"a default route is no fence": {"10.87.0.0/16", []string{"192.168.0.0/16"}, "10.87.0.0/24", "", 0},
	} {
		var used []netip.Prefix
		for _, u := range c.used {
			used = append(used, p(u))
		}
		got, err := project.Subnet(p(c.pool), used, p(cmp.Or(c.from, c.pool)).Addr(), cmp.Or(c.bits, project.SubnetBits))
		if c.want == "" && problem.KindOf(err) != problem.Conflict || c.want != "" && (err != nil || got != p(c.want)) {
			t.Errorf("%s: %v, %v", says, got, err)
		}
	}
}
