package docker_test

import (
	"fmt"
	"testing"
)

const hookSecret = `
services:
  db:
    image: keeper:%d
    user: "1234:567"
    group_add: ["89"]
    secrets: [{source: password, uid: "1234", gid: "567", mode: 0400}]
    configs: [{source: seed, target: /etc/seed}]
    x-havre: {init: [/app, cat, /run/secrets/password, /etc/seed], upgrade: [/app, cat, /run/secrets/password]}
secrets: {password: {file: ./password.txt}}
configs: {seed: {content: "of all"}}
`

// The usual init of a database reads the file with its password.
func TestInitAndUpgradeReadTheSecretsOfTheirService(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.buildVersions(t, "keeper", 2)
	h.write(t, "keeper/password.txt", "hunter2")
	h.apply(t, "keeper", fmt.Sprintf(hookSecret, 1))
	h.apply(t, "keeper", fmt.Sprintf(hookSecret, 2))
	h.sees(t, "keeper.db", "/run/secrets/password", "hunter2")
	h.must(t, "rm", "keeper.db", "--yes")
}
