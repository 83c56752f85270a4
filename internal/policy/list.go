package policy

import "havre/internal/dockercall"

// Lists are narrowed to Havre's objects before the engine answers, and what
// it answers is narrowed once more.

func narrowed(q question, f dockercall.Filters) dockercall.Filters {
	return f.With("label", dockercall.FilterValue(dockercall.InstanceLabel+"="+q.facts.Instance))
}

func networkList(q question, c *dockercall.NetworkList) (dockercall.Call, error) {
	c.Filters = narrowed(q, c.Filters)
	return c, nil
}

func serviceList(q question, c *dockercall.ServiceList) (dockercall.Call, error) {
	c.Filters = narrowed(q, c.Filters)
	return c, nil
}

func taskList(q question, c *dockercall.TaskList) (dockercall.Call, error) {
	c.Filters = narrowed(q, c.Filters)
	return c, nil
}

func containerList(q question, c *dockercall.ContainerList) (dockercall.Call, error) {
	c.Filters = narrowed(q, c.Filters)
	return c, nil
}

func configList(q question, c *dockercall.ConfigList) (dockercall.Call, error) {
	c.Filters = narrowed(q, c.Filters)
	return c, nil
}

func secretList(q question, c *dockercall.SecretList) (dockercall.Call, error) {
	c.Filters = narrowed(q, c.Filters)
	return c, nil
}

// events are those of containers: only theirs carry labels to tell whose
// they are.
func events(q question, c *dockercall.Events) (dockercall.Call, error) {
	for t := range c.Filters["type"] {
		if t != "container" {
			return nil, refuse(SomebodysObject, "only events of containers can be followed, not of %s", t)
		}
	}
	c.Filters = narrowed(q, c.Filters).With("type", "container")
	return c, nil
}
