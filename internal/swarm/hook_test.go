package swarm_test

import (
	"slices"
	"testing"

	"havre/internal/service"
	"havre/internal/swarm"
)

// The swarm takes "{{" for a template of its own; an engine that makes a plain
// container takes everything as it is.
func TestHookHasTheVariablesOfItsServiceAsTheyAre(t *testing.T) {
	d := example()
	d.Variables = []string{"DB_PORT_5432_TCP_ADDR=db", "FORMAT={{.Name}}"}
	for _, duty := range []service.Duty{service.Init, service.Upgrade} {
		c := swarm.HookContainer(d, duty, []string{"/migrate", "--all"})
		if !slices.Equal(c.Config.Env, d.Variables) {
			t.Errorf("the %s sees %q", duty, c.Config.Env)
		}
	}
}
