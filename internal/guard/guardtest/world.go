package guardtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"havre/internal/guard"
)

// read reads one answer.
func read(conn net.Conn) (int, []byte, error) {
	a, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, nil, err
	}
	defer a.Body.Close()
	if a.StatusCode == http.StatusSwitchingProtocols {
		return a.StatusCode, nil, nil
	}
	text, err := io.ReadAll(a.Body)
	return a.StatusCode, text, err
}

// Start runs a guard until the test ends, and waits until it listens.
func Start(t testing.TB, set guard.Settings) *guard.Guard {
	t.Helper()
	g, err := guard.New(set)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("unix", set.Socket)
		if err == nil {
			conn.Close()
			return g
		}
		select {
		case err := <-done:
			done <- nil
			t.Fatalf("the guard ended: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the guard does not listen: %v", err)
		}
	}
}

// Ids of what a fake world holds.
const (
	project = "aaaaaaa2"
	service = "bbbbbbb2"
)

func id25(c string) string { return strings.Repeat(c, 25) }
func id64(c string) string { return strings.Repeat(c, 64) }

// Fake makes a world with an engine that is a map. The caller is taken for
// the server, whoever runs the test.
func Fake(t testing.TB) *World { return FakeOf(t, oldVersion) }

// FakeOf is Fake with what the engine says of its version.
func FakeOf(t testing.TB, version string) *World {
	t.Helper()
	dir := t.TempDir()
	// Directories of tests are open to their group; a data directory is not.
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	engine := NewEngine(t, dir)
	engine.Put("/version", version)
	bounds := guard.DefaultBounds(dir+"/data", uint32(os.Getuid()), 4242)
	if err := guard.WriteBounds(dir+"/guard", bounds); err != nil {
		t.Fatal(err)
	}
	socket := dir + "/guard.sock"
	g := Start(t, guard.Settings{
		Dir: dir + "/guard", Socket: socket, SocketGroup: os.Getgid(), Engine: engine.Socket, Owner: uint32(os.Getuid()),
		NoFirewall: true, NoRemount: true, PortalUser: 4243,
		PortalImage: func() (io.Reader, string, error) { return strings.NewReader(""), "sha256:" + id64("e"), nil },
	})
	w := &World{
		Dial:  func() (net.Conn, error) { return net.Dial("unix", socket) },
		Audit: dir + "/guard",
		Fake:  engine,
		Vars: map[string]string{
			"INSTANCE": g.Instance(), "PROJECT": project, "SERVICE": service, "DATA": dir + "/data", "GROUP": "4242", "PORTALUSER": "4243", "NODE": id25("1"),
			"NET": id25("n"), "NET2": id25("m"), "OTHERNET": id25("o"), "SVC": id25("s"), "OTHERSVC": id25("t"),
			"CONFIG": id25("c"), "OTHERCONFIG": id25("d"), "SECRET": id25("g"), "OTHERSECRET": id25("h"), "ENVSECRET": id25("i"), "BOX": id64("b"), "PORTAL": id64("a"), "OTHERBOX": id64("f"),
			"IMAGE": "sha256:" + id64("1"), "OTHERIMAGE": "sha256:" + id64("2"), "LABELIMAGE": "sha256:" + id64("3"),
			"LINKIMAGE": "sha256:" + id64("5"), "VOLUMEIMAGE": "sha256:" + id64("6"), "DIRIMAGE": "sha256:" + id64("7"),
			"VERSION": "1", "PORTALIMAGE": "sha256:" + id64("e"), "EXEC": id64("9"), "OTHEREXEC": id64("8"), "PORTALEXEC": id64("7"),
		},
	}
	w.Files = Bodies()
	stock(engine, w.Vars)
	return w
}

// stock gives a fake engine things of Havre's and of others.
func stock(e *Engine, v map[string]string) {
	labels := func(kind, project string) string {
		return fmt.Sprintf(`{"havre.instance":%q,"havre.kind":%q,"havre.env":"prod","havre.project":%q,"havre.service":%q,"havre.rollout":"1"}`,
			v["INSTANCE"], kind, project, service)
	}
	ours, theirs := labels("service", project), `{"havre.env":"prod","havre.kind":"service","havre.project":"aaaaaaa2"}`
	network := func(id, name, subnet, labels string) {
		e.Put("/networks/"+id, fmt.Sprintf(`{"Id":%q,"Name":%q,"Labels":%s,"IPAM":{"Config":[{"Subnet":%q}]}}`, id, name, labels, subnet))
	}
	network(v["NET"], "h-aaaaaaa2-1", "10.87.1.0/24", labels("network", project))
	network(v["NET2"], "h-ccccccc2-1", "10.87.2.0/24", labels("network", "ccccccc2"))
	network(v["OTHERNET"], "theirs", "10.87.3.0/24", theirs)
	for i, l := range Links() {
		v[l.Var] = id25(string("pqrs"[i]))
		network(v[l.Var], "h-"+l.Project+"-2", l.Subnet, fmt.Sprintf(`{"havre.instance":%q,"havre.kind":"link","havre.env":%q,"havre.project":%q,"havre.link":%q}`, v["INSTANCE"], l.Environment, l.Project, l.Target))
	}
	object := func(path, id, name, labels string) {
		e.Put(path+id, fmt.Sprintf(`{"ID":%q,"Spec":{"Name":%q,"Labels":%s}}`, id, name, labels))
	}
	object("/services/", v["SVC"], "h-aaaaaaa2-bbbbbbb2-r1", ours)
	object("/services/", v["OTHERSVC"], "theirs", theirs)
	object("/configs/", v["CONFIG"], "h-aaaaaaa2-conf", labels("config", project))
	object("/configs/", v["OTHERCONFIG"], "theirs", theirs)
	object("/secrets/", v["SECRET"], "h-aaaaaaa2-password", labels("secret", project))
	object("/secrets/", v["OTHERSECRET"], "theirs", theirs)
	object("/secrets/", v["ENVSECRET"], "h-aaaaaaa2-env", strings.Replace(labels("secret", project), `"prod"`, `"qualif"`, 1))
	box := func(id, labels string) {
		e.Put("/containers/"+id+"/json", fmt.Sprintf(`{"Id":%q,"Name":"/x","Config":{"Labels":%s}}`, id, labels))
	}
	box(v["BOX"], ours)
	box(v["PORTAL"], labels("portal", ""))
	box(v["OTHERBOX"], theirs)
	for exec, box := range map[string]string{"EXEC": "BOX", "OTHEREXEC": "OTHERBOX", "PORTALEXEC": "PORTAL"} {
		e.Put("/exec/"+v[exec]+"/json", fmt.Sprintf(`{"ID":%q,"ContainerID":%q}`, v[exec], v[box]))
	}
	for name, i := range map[string]struct{ id, config string }{
		"linked": {v["LINKIMAGE"], `{}`}, "volume": {v["VOLUMEIMAGE"], `{"Volumes":{"/data":{},"/a/dev":{}}}`}, "dir": {v["DIRIMAGE"], `{"WorkingDir":"/proc/self/fd/8"}`},
	} {
		text := fmt.Sprintf(`{"Id":%q,"RepoTags":["havre.invalid/prod/%s:latest"],"Config":%s}`, i.id, name, i.config)
		e.Put("/images/"+i.id+"/json", text)
		e.Put("/images/havre.invalid/prod/"+name+":latest/json", text)
		for link, target := range map[string]string{"/x": "/dev", "/a": "/", "/var/run": "/run", "/fd": "/proc/self/fd/8"} {
			e.PutLink(i.id, link, target)
		}
		e.PutDir(i.id, "/var")
	}
	image := func(id, tags, labels, onbuild string) {
		text := fmt.Sprintf(`{"Id":%q,"RepoTags":[%s],"Config":{"Labels":%s,"OnBuild":%s}}`, id, tags, labels, onbuild)
		e.Put("/images/"+id+"/json", text)
		for tag := range strings.SplitSeq(tags, ",") {
			e.Put("/images/"+strings.Trim(tag, `"`)+"/json", text)
		}
	}
	image(v["IMAGE"], `"havre.invalid/prod/app:latest","debian:bookworm"`, `{"maintainer":"me"}`, "null")
	image(v["OTHERIMAGE"], `"secret:latest"`, "null", "null")
	image(v["LABELIMAGE"], `"havre.invalid/prod/labelled:latest"`, `{"havre.instance":"x"}`, "null")
	image("sha256:"+id64("4"), `"havre.invalid/prod/trigger:latest"`, "null", `["RUN evil"]`)
	image(v["PORTALIMAGE"], `"havre.invalid/portal:eeeeeeeeeeee","havre.invalid/prod/disguised:latest"`, "null", "null")
	list := func(path, item string) { e.Put(path, item) }
	// An engine that gave a secret back would still not show it to anyone.
	list("/secrets", fmt.Sprintf(`[{"ID":%q,"Spec":{"Name":"h-aaaaaaa2-password","Labels":%s,"Data":"eA=="}},{"ID":%q,"Spec":{"Name":"theirs","Labels":%s}}]`, v["SECRET"], labels("secret", project), v["OTHERSECRET"], theirs))
	list("/containers/json", fmt.Sprintf(`[{"Id":%q,"Labels":%s},{"Id":%q,"Labels":%s}]`, v["BOX"], ours, v["OTHERBOX"], theirs))
	list("/images/json", fmt.Sprintf(`[{"Id":%q,"RepoTags":["havre.invalid/prod/app:latest","debian:bookworm"]},{"Id":%q,"RepoTags":["secret:latest"]}]`, v["IMAGE"], v["OTHERIMAGE"]))
}
