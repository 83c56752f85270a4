package role

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"

	"havre/internal/guard"
	"havre/internal/portal"
	"havre/internal/problem"
)

// GuardConfig is the guard's configuration. What it may allow stands apart, in
// its bounds.
type GuardConfig struct {
	Engine string `json:"engine"`        // path of Docker's socket
	Log    form   `json:"log,omitempty"` // text or json
}

func defaultGuard() *GuardConfig { return &GuardConfig{Engine: "/var/run/docker.sock"} }

// Validate reports all mistakes at once.
func (c *GuardConfig) Validate() problem.List {
	var wrong problem.List
	if !filepath.IsAbs(c.Engine) {
		wrong = append(wrong, problem.New(problem.Invalid, "engine: %q is not an absolute path", c.Engine).With("name Docker's socket, as /var/run/docker.sock"))
	}
	c.Log.check(&wrong)
	return wrong
}

func runGuard(ctx context.Context, l Layout) error {
	c, err := Load(l, "guard", defaultGuard())
	if err != nil {
		return err
	}
	server, err := systemUser(ServerUser)
	if err != nil {
		return err
	}
	ingress, err := systemUser(IngressUser)
	if err != nil {
		return err
	}
	own, err := systemUser(PortalUser)
	if err != nil {
		return err
	}
	users := portal.Users{Own: uint32(own.uid), Callers: []uint32{uint32(ingress.uid)}}
	g, err := guard.New(guard.Settings{
		Dir: l.GuardDir(), Socket: l.GuardSocket(), SocketGroup: server.gid, Engine: c.Engine,
		PortalUser: users.Own, PortalImage: func() (io.Reader, string, error) { return portalImage(users) }, Log: logger("guard", c.Log),
	})
	if err != nil {
		return err
	}
	return g.Run(ctx)
}

func portalImage(u portal.Users) (io.Reader, string, error) {
	a, err := portal.Image(u)
	if err != nil {
		return nil, "", err
	}
	return bytes.NewReader(a.Bytes), a.ID, nil
}

// bounds writes the guard's bounds when there are none.
func (l Layout) bounds(server, ingress account) error {
	return guard.WriteBounds(l.GuardDir(), guard.DefaultBounds(l.Data, uint32(server.uid), uint32(ingress.gid)))
}

// DockerSocketMissing tells whether the engine's socket is not there.
func (c *GuardConfig) DockerSocketMissing() bool {
	_, err := os.Stat(c.Engine)
	return err != nil
}
