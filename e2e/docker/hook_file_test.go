package docker_test

import "testing"

// A hook reads the files that the service reads: those that are its user's
// alone, too.
func TestInitReadsWhatIsItsUsersAlone(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.buildFilled(t, "reads:1")
	h.apply(t, "reads", `
services:
  web:
    image: reads:1
    configs: [{source: mine, target: /etc/mine, uid: "1234", gid: "567", mode: 0400}]
    x-havre: {init: [/app, cat, /etc/mine]}
configs: {mine: {content: "of the user"}}
`)
	h.sees(t, "reads.web", "/etc/mine", "of the user")
}
