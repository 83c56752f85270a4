package docker_test

import "testing"

// An engine puts a config or a secret into a container once, however often it
// is mounted there, and the last mount said whose it was: what only the other
// could read was open, or shut, to the app.
func TestFilesOfEqualContentKeepTheirOwnOwners(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.write(t, "twins/twin.conf", "the same")
	h.write(t, "twins/twin", "hunter-of-twins")
	const shown = `
services:
  first: &app
    image: app:1
    user: "33:34"
    configs: [{source: mine, target: /etc/mine, uid: "33", mode: 0400}, {source: roots, target: /etc/roots, mode: 0400}]
    secrets: [{source: it, target: mine, uid: "33", mode: 0400}, {source: it, target: roots, mode: 0400}]
  last:
    <<: *app
    configs: [{source: roots, target: /etc/roots, mode: 0400}, {source: mine, target: /etc/mine, uid: "33", mode: 0400}]
    secrets: [{source: it, target: roots, mode: 0400}, {source: it, target: mine, uid: "33", mode: 0400}]
configs: {mine: {file: twin.conf}, roots: {file: ./twin.conf}}
secrets: {it: {file: ./twin}}
`
	h.apply(t, "twins", shown)
	for _, service := range []string{"twins.first", "twins.last"} {
		h.sees(t, service, "/etc/mine", "the same")
		h.sees(t, service, "/run/secrets/mine", "hunter-of-twins")
		for _, file := range []string{"/etc/roots", "/run/secrets/roots"} {
			if r := h.run(t, "exec", service, "--", "/app", "cat", file); r.code == 0 {
				t.Errorf("%s: the app reads %s, which is root's alone: %q", service, file, r.out)
			}
		}
	}
}
