package docker_test

import (
	"strings"
	"testing"
)

// A config belongs to whom the file says, a domain name makes the host's name
// whole, and a quota is a share of the processors.
func TestOwnersDomainsAndQuotasArePassedOn(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "owners", `
services:
  s:
    image: app:1
    user: "33:34"
    hostname: mail
    domainname: example.org
    cpu_quota: 30000
    cpu_period: 200000
    configs: [{source: mine, target: /etc/mine, uid: "33", mode: 0400}, {source: group, target: /etc/group-s, gid: "34", mode: 0040}, {source: other, target: /etc/other, mode: 0400}]
configs: {mine: {content: "of mine"}, group: {content: "of the group"}, other: {content: "of root"}}
`)
	for file, want := range map[string]string{"/etc/mine": "of mine", "/etc/group-s": "of the group", "/etc/other": ""} {
		r := h.run(t, "exec", "owners.s", "--", "/app", "cat", file)
		if want == "" && r.code == 0 || !strings.Contains(r.out, want) {
			t.Errorf("%s: %d %s%s", file, r.code, r.out, r.errs)
		}
	}
	_, c := h.container(t, "owners.s")
	if c.Config.Hostname != "mail.example.org" || c.HostConfig.NanoCpus != 150_000_000 {
		t.Errorf("%s, %d", c.Config.Hostname, c.HostConfig.NanoCpus)
	}
	has(t, "hosts", h.must(t, "exec", "owners.s", "--", "/app", "cat", "/etc/hosts"), "mail.example.org mail")
}

// Seed 004: a service that is disabled does not run, and one that is started
// takes along what it needs.
func TestStartTakesAlongAndDisabledStays(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "along", `
services:
  web: {image: "app:1", depends_on: {db: {condition: service_healthy}}}
  db: {image: "app:1"}
  cron: {image: "app:1", x-havre: {status: disabled}}
`)
	h.must(t, "stop", "along.web", "along.db")
	h.must(t, "start", "along.web")
	for name, want := range map[string]string{"along.web": "healthy", "along.db": "healthy", "along.cron": "idle"} {
		if s, err := h.service(t.Context(), name); err != nil || s.State != want {
			t.Errorf("%s is %s, %v", name, s.State, err)
		}
	}
	if r := h.run(t, "start", "along.cron"); r.code == 0 || !strings.Contains(r.errs, "status: disabled") {
		t.Errorf("a disabled service is started: %d %s", r.code, r.errs)
	}
}
