package policy_test

import (
	"testing"

	"havre/internal/dockercall"
	"havre/internal/policy"
	"havre/internal/spec"
)

// confined judges a service whose container is changed so.
func confined(change func(*dockercall.ContainerSpec)) error {
	call := service("")
	change(call.Spec.TaskTemplate.ContainerSpec)
	f := policy.Facts{
		Instance: "me", Image: policy.Image{Exists: true, ID: image, Refs: []dockercall.Ref{"havre.invalid/prod/a:1"}},
		Networks: map[dockercall.SwarmID]policy.Object{net: {Exists: true, Labels: of("prod", "aaaaaaa2", "network")}},
	}
	_, err := policy.Judge(server, bounds, f, call)
	return err
}

func TestOnlyAContainersOwnSettingsAreMade(t *testing.T) {
	for name, rule := range map[dockercall.SysctlName]dockercall.Rule{
		"net.core.somaxconn": "", "net.ipv4.tcp_keepalive_time": "", "net.ipv4.ip_forward": policy.SysctlRule, "net.core.rmem_max": policy.SysctlRule,
		"kernel.core_pattern": policy.SysctlRule, "vm.max_map_count": policy.SysctlRule, "net.ipv4.conf.all.forwarding": policy.SysctlRule,
	} {
		err := confined(func(c *dockercall.ContainerSpec) { c.Sysctls = dockercall.Sysctls{name: "60"} })
		if ruleOf(err) != string(rule) {
			t.Errorf("%s: %v, want %q", name, err, rule)
		}
	}
}

// A declaration that was found good must not be refused at its start.
func TestWhatMayBeDeclaredMayBeMade(t *testing.T) {
	for _, name := range spec.SysctlNames() {
		for _, value := range []string{"1", "1024 65000"} {
			s := spec.Service{Name: "a", Image: "a", Sysctls: map[string]string{name: value}}
			good := len(spec.Validate(spec.Project{Name: "a", Services: []spec.Service{s}})) == 0
			err := confined(func(c *dockercall.ContainerSpec) {
				c.Sysctls = dockercall.Sysctls{dockercall.SysctlName(name): dockercall.Word(value)}
			})
			if good != (err == nil) {
				t.Errorf("%s=%s may be declared: %v, but %v", name, value, good, err)
			}
		}
	}
}

func TestLimitsThatConcernOthersAreNotSet(t *testing.T) {
	for _, c := range []struct {
		limit dockercall.Ulimit
		rule  dockercall.Rule
	}{
		{dockercall.Ulimit{Name: "nofile", Soft: 1024, Hard: 1 << 20}, ""},
		{dockercall.Ulimit{Name: "memlock", Soft: -1, Hard: -1}, ""},
		{dockercall.Ulimit{Name: "core"}, ""},
		{dockercall.Ulimit{Name: "nproc", Soft: 5, Hard: -1}, ""},
		{dockercall.Ulimit{Name: "nofile", Soft: 1, Hard: -1}, policy.UlimitRule},
		{dockercall.Ulimit{Name: "nproc", Soft: -1, Hard: 5}, policy.UlimitRule},
		{dockercall.Ulimit{Name: "rtprio", Soft: 1, Hard: 1}, policy.UlimitRule},
		{dockercall.Ulimit{Name: "sigpending", Soft: 1, Hard: 1}, policy.UlimitRule},
		{dockercall.Ulimit{Name: "stack", Soft: 1, Hard: -2}, policy.UlimitRule},
	} {
		err := confined(func(s *dockercall.ContainerSpec) { s.Ulimits = []dockercall.Ulimit{c.limit} })
		if ruleOf(err) != string(c.rule) {
			t.Errorf("%+v: %v, want %q", c.limit, err, c.rule)
		}
	}
}

func TestNamesLeadToNoOtherProject(t *testing.T) {
	for host, rule := range map[dockercall.HostLine]dockercall.Rule{
		"192.0.2.1 a": "", "127.0.0.1 a": "", "host-gateway a": "", "10.87.255.1 a": policy.LookupAddress, "10.88.0.1 a": "",
	} {
		err := confined(func(c *dockercall.ContainerSpec) { c.Hosts = []dockercall.HostLine{host} })
		if ruleOf(err) != string(rule) {
			t.Errorf("%s: %v, want %q", host, err, rule)
		}
	}
	for server, rule := range map[dockercall.Server]dockercall.Rule{
		"192.0.2.53": "", "10.87.0.2": policy.LookupAddress, "127.0.0.11": policy.LookupAddress, "::1": policy.LookupAddress, "fe80::1": policy.LookupAddress, "0.0.0.0": policy.LookupAddress,
	} {
		err := confined(func(c *dockercall.ContainerSpec) {
			c.DNSConfig = &dockercall.DNSConfig{Nameservers: []dockercall.Server{server}}
		})
		if ruleOf(err) != string(rule) {
			t.Errorf("%s: %v, want %q", server, err, rule)
		}
	}
}

func TestListsThatBecomeFilesAreBounded(t *testing.T) {
	for says, change := range map[string]func(*dockercall.ContainerSpec){
		"hosts":  func(c *dockercall.ContainerSpec) { c.Hosts = make([]dockercall.HostLine, 65) },
		"groups": func(c *dockercall.ContainerSpec) { c.Groups = make([]dockercall.Group, 65) },
		"domains": func(c *dockercall.ContainerSpec) {
			c.DNSConfig = &dockercall.DNSConfig{Search: make([]dockercall.Domain, 65)}
		},
	} {
		if err := confined(change); ruleOf(err) != string(policy.Amount) {
			t.Errorf("%s: %v", says, err)
		}
	}
}
