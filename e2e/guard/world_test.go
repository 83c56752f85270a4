// Package guard_test attacks the guard before a real engine, as the user of
// a server that was broken into, through the socket that a server has.
package guard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"havre/internal/dockercall"
	"havre/internal/guard"
	"havre/internal/guard/guardtest"
	"havre/internal/lab"
	"havre/internal/portal"
)

// serverUser is a user that nothing on the machine belongs to.
const serverUser, ingressGroup, portalUser = 64001, 64002, 64003

// boxID is the service of the container that commands run in.
const projectID, otherProject, serviceID, boxID = "aaaaaaa2", "ccccccc2", "bbbbbbb2", "jjjjjjj2"

var shared lab.Shared

func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }

// site is a guard on the shared engine, and what the scripts talk about.
type site struct {
	*lab.World
	settings guard.Settings
	data     string
	socket   string
	vars     map[string]string
}

var (
	once    sync.Once
	theSite *site
)

// open gives the one site of the package.
func open(t *testing.T) *site {
	t.Helper()
	w := shared.World(t)
	once.Do(func() {
		// The guard outlives the test that needed it first.
		theSite = newSite(t, w)
	})
	if theSite == nil {
		t.Fatal("the site could not be made")
	}
	return theSite
}

func newSite(t *testing.T, w *lab.World) *site {
	t.Helper()
	s := &site{World: w, data: w.Dir + "/havre", socket: w.Dir + "/guard.sock"}
	if err := guard.WriteBounds(s.data+"/guard", guard.DefaultBounds(s.data, serverUser, ingressGroup)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.data, 0o711); err != nil {
		t.Fatal(err)
	}
	s.settings = guard.Settings{
		Dir: s.data + "/guard", Socket: s.socket, SocketGroup: serverUser, Engine: w.Socket, NoFirewall: true, PortalUser: portalUser,
		PortalImage: func() (io.Reader, string, error) {
			a, err := portal.NewArchive(portal.Recipe{Repository: "havre.invalid/portal", User: fmt.Sprint(portalUser), Entrypoint: []string{"/none"},
				Files: []portal.File{{Path: "portal", Mode: os.ModeDir | 0o555}}})
			return bytes.NewReader(a.Bytes), a.ID, err
		},
	}
	g := guardtest.Start(lasting{t}, s.settings)
	s.vars = map[string]string{"INSTANCE": g.Instance(), "PROJECT": projectID, "SERVICE": serviceID, "DATA": s.data, "GROUP": fmt.Sprint(ingressGroup), "PORTALUSER": fmt.Sprint(portalUser)}
	s.stock(t)
	return s
}

// lasting is a test whose end is the package's: the world goes with it.
type lasting struct{ *testing.T }

func (lasting) Cleanup(func()) {}

// dial connects as the server.
func (s *site) dial() (net.Conn, error) { return s.dialAs(serverUser) }

// dialAs connects as a user of the server's group: this thread alone takes
// the user on.
func (s *site) dialAs(user uintptr) (net.Conn, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	set := func(user, group uintptr) error {
		// Only the raw calls change one thread.
		if _, _, err := unix.RawSyscall(unix.SYS_SETRESGID, ^uintptr(0), group, ^uintptr(0)); err != 0 {
			return err
		}
		if _, _, err := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), user, ^uintptr(0)); err != 0 {
			return err
		}
		return nil
	}
	if err := set(user, serverUser); err != nil {
		return nil, err
	}
	conn, err := net.Dial("unix", s.socket)
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 0, ^uintptr(0)); e != 0 {
		panic(e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, ^uintptr(0), 0, ^uintptr(0)); e != 0 {
		panic(e)
	}
	return conn, err
}

// ask makes a call as the server and reads the answer into out.
func (s *site) ask(method, path, content string, out any) error {
	conn, err := s.dial()
	if err != nil {
		return err
	}
	return s.askOn(conn, question{method, path, content, out})
}

// question is a call, and where its answer goes.
type question struct {
	method, path, content string
	out                   any
}

// askOn makes a call on a connection of its own.
func (s *site) askOn(conn net.Conn, q question) error {
	defer conn.Close()
	client := &http.Client{Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives: true,
	}}
	text := os.Expand(q.content, func(v string) string { return s.vars[v] })
	r, err := http.NewRequest(q.method, "http://guard"+os.Expand(q.path, func(v string) string { return s.vars[v] }), strings.NewReader(text))
	if err != nil {
		return err
	}
	if q.content != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	a, err := client.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	answer, err := io.ReadAll(a.Body)
	if err != nil {
		return err
	}
	if a.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %d %s", q.method, q.path, a.StatusCode, answer)
	}
	if q.out == nil {
		return nil
	}
	return json.Unmarshal(answer, q.out)
}

// must is ask for what has to succeed.
func (s *site) must(t testing.TB, method, path, content string, out any) {
	t.Helper()
	if err := s.ask(method, path, content, out); err != nil {
		t.Fatal(err)
	}
}

// stock makes things of Havre's, by the guard, and things of others, by
// docker.
func (s *site) stock(t testing.TB) {
	t.Helper()
	s.Docker(t, "swarm", "init", "--advertise-addr", s.Address.String())
	var node dockercall.SwarmAnswer
	s.must(t, "POST", dockercall.SwarmPath, "{}", &node)
	s.vars["NODE"] = string(node.Node)
	s.stockImages(t)
	var place dockercall.PortalPlace
	s.must(t, "POST", dockercall.PortalPath, `{"environment":"prod"}`, &place)
	s.vars["PORTALIMAGE"] = string(place.Image)
	s.Docker(t, "tag", s.vars["PORTALIMAGE"], "havre.invalid/prod/disguised:latest")

	var made struct{ Id, ID string }
	network := guardtest.Bodies()["network.json"]
	for v, id := range map[string]string{"NET": projectID, "NET2": otherProject} {
		subnet := map[string]string{"NET": "10.87.1.0/24", "NET2": "10.87.2.0/24"}[v]
		body := strings.NewReplacer("ddddddd2", id, "10.87.9.0/24", subnet).Replace(network)
		s.must(t, "POST", "/v1.41/networks/create", body, &made)
		s.vars[v] = made.Id
	}
	for i, l := range guardtest.Links() {
		body := strings.NewReplacer("ddddddd2-2", fmt.Sprintf("%s-l%d", l.Project, i), `"ddddddd2"`, `"`+l.Project+`"`, `"prod"`, `"`+l.Environment+`"`, "aaaaaaa2.bbbbbbb2", l.Target, "10.87.10.0/24", l.Subnet).
			Replace(guardtest.Bodies()["link.json"])
		s.must(t, "POST", "/v1.41/networks/create", body, &made)
		s.vars[l.Var] = made.Id
	}
	s.must(t, "POST", dockercall.VolumeEnsurePath, guardtest.Bodies()["volume.json"], nil)
	s.must(t, "POST", "/v1.41/configs/create", strings.Replace(guardtest.Bodies()["config.json"], "motd", "conf", 1), &made)
	s.vars["CONFIG"] = made.ID
	for v, as := range map[string]*strings.Replacer{"SECRET": strings.NewReplacer("token", "password"), "ENVSECRET": strings.NewReplacer("token", "env", `"prod"`, `"qualif"`)} {
		s.must(t, "POST", "/v1.41/secrets/create", as.Replace(guardtest.Bodies()["secret.json"]), &made)
		s.vars[v] = made.ID
	}
	service := strings.NewReplacer("ccccccc2", serviceID, `"Replicas": 0`, `"Replicas": 1`).Replace(guardtest.Bodies()["service.json"])
	s.must(t, "POST", "/v1.41/services/create", service, &made)
	s.vars["SVC"] = made.ID
	s.must(t, "POST", "/v1.41/containers/create?name=h-portal-prod.1", guardtest.Bodies()["portal.json"], &made)
	s.vars["PORTAL"] = made.Id
	box := strings.NewReplacer("ccccccc2", boxID, `"Replicas": 0`, `"Replicas": 1`).Replace(guardtest.Bodies()["service.json"])
	s.must(t, "POST", "/v1.41/services/create", box, &made)
	s.vars["BOXSVC"] = made.ID
	s.vars["BOX"] = s.containerOf(t, boxID)
	s.stockOthers(t)
}

// containerOf waits for a container of a service that was made with one.
func (s *site) containerOf(t testing.TB, service string) string {
	t.Helper()
	var id string
	lab.Eventually(t, "a container of "+service, func(context.Context) error {
		id = s.Docker(t, "ps", "-aq", "--no-trunc", "--filter", "label=havre.service="+service, "--filter", "label=havre.kind=service", "--filter", "status=running", "--filter", "status=exited")
		if id == "" || strings.Contains(id, "\n") {
			return fmt.Errorf("the containers are %q", id)
		}
		return nil
	})
	return id
}

// runOnce makes a service whose one container runs a command of lab/app and
// stays ended. Its volume data is at /vol/rw.
func (s *site) runOnce(t testing.TB, service, volume, command string) {
	t.Helper()
	body := strings.NewReplacer("ccccccc2", service, "/data\"", "/"+volume+"\"", `"Env": ["A=b"]`, `"Args": `+command, `"Replicas": 0`, `"Replicas": 1`,
		`"LogDriver"`, `"RestartPolicy": {"Condition": "none"}, "LogDriver"`).Replace(guardtest.Bodies()["service.json"])
	s.must(t, "POST", "/v1.41/services/create", body, nil)
}

func (s *site) stockImages(t testing.TB) {
	t.Helper()
	s.vars["IMAGE"] = lab.ScratchImage(t, s.World, "havre.invalid/prod/app:latest", lab.File{Path: "seeded/file", Text: "from the image"})
	s.Docker(t, "tag", "havre.invalid/prod/app:latest", "debian:bookworm")
	s.vars["OTHERIMAGE"] = lab.ScratchImage(t, s.World, "secret:latest", lab.File{Path: "secret", Text: "x"})
	s.vars["LABELIMAGE"] = lab.ScratchImage(t, s.World, "havre.invalid/prod/labelled:latest", lab.File{Path: "Dockerfile", Text: "LABEL havre.instance=x"})
	links := []lab.File{{Path: "x", Link: "/dev"}, {Path: "a", Link: "/"}, {Path: "var/run", Link: "/run"}, {Path: "fd", Link: "/proc/self/fd/8"}, {Path: "dev/null", Link: "/proc/sys/kernel/core_pattern"}}
	s.vars["LINKIMAGE"] = lab.ScratchImage(t, s.World, "havre.invalid/prod/linked:latest", links...)
	s.vars["VOLUMEIMAGE"] = lab.ScratchImage(t, s.World, "havre.invalid/prod/volume:latest", append(links, lab.File{Path: "Dockerfile", Text: "VOLUME /data /a/dev"})...)
	s.vars["DIRIMAGE"] = lab.ScratchImage(t, s.World, "havre.invalid/prod/dir:latest", lab.File{Path: "Dockerfile", Text: "WORKDIR /proc/self/fd/8"})
	lab.ScratchImage(t, s.World, "havre.invalid/prod/trigger:latest", lab.File{Path: "Dockerfile", Text: "ONBUILD RUN evil"})
}

func (s *site) stockOthers(t testing.TB) {
	t.Helper()
	v := s.vars
	v["OTHERNET"] = s.Docker(t, "network", "create", "-d", "overlay", "--attachable", "--label", "havre.env=prod", "theirs")
	v["OTHERBOX"] = s.Docker(t, "run", "-d", "--name", "theirs", "secret:latest", "sleep", "1h")
	v["OTHERSVC"] = s.Docker(t, "service", "create", "--detach", "--replicas", "0", "--name", "theirs", "secret:latest")
	file := filepath.Join(s.Dir, "config")
	if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	v["OTHERCONFIG"] = s.Docker(t, "config", "create", "theirs", file)
	v["OTHERSECRET"] = s.Docker(t, "secret", "create", "theirs", file)
}

// world is the site as one script needs it. It has a guard of its own, which
// has not counted the refusals of the scripts before.
func (s *site) world(t testing.TB) *guardtest.World {
	t.Helper()
	one := *s
	one.settings.Socket += ".script"
	one.socket = one.settings.Socket
	guardtest.Start(t, one.settings)
	var exec struct{ Id string }
	s.must(t, "POST", "/v1.41/containers/$BOX/exec", guardtest.Bodies()["exec.json"], &exec)
	s.vars["EXEC"] = exec.Id
	var service struct{ Version struct{ Index uint64 } }
	s.must(t, "GET", "/v1.41/services/$SVC", "", &service)
	s.vars["VERSION"] = fmt.Sprint(service.Version.Index)
	return &guardtest.World{Dial: one.dial, Audit: s.data + "/guard", Vars: s.vars, Files: guardtest.Bodies()}
}
