package reconciletest

// Refusing changes what is refused while the cluster is in use; nil refuses
// nothing.
func (c *Cluster) Refusing(f func(call string) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Refuse = f
}

// Hold gives a port of the machine to another program; "" gives it back.
func (c *Cluster) Hold(port uint16, who string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Held[port] = who
	if who == "" {
		delete(c.Held, port)
	}
}

// Sicken has the ingress's checks find this of so many containers; "" is that they
// are well.
func (c *Cluster) Sicken(says string, most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ails, c.ailing = says, most
}

// Change lets an image's containers behave otherwise from now on.
func (c *Cluster) Change(image string, app App) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	c.apps[image] = app
}

// App is how an image's containers behave now.
func (c *Cluster) App(image string) App {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apps[image]
}
