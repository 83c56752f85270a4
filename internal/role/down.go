package role

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/dockercall"
	"havre/internal/problem"
)

// Down stops Havre: the supervisor and every role that still runs. Services
// go on. It is no mistake when nothing runs.
// Errors: Denied when not root.
func Down(l Layout) (stopped []string, err error) {
	if os.Geteuid() != 0 {
		return nil, problem.New(problem.Denied, "only root may stop Havre").With("run it with sudo")
	}
	names := []string{"up"}
	for i := len(Roles) - 1; i >= 0; i-- { // left over only when the supervisor was killed
		names = append(names, Roles[i].Name)
	}
	for _, name := range names {
		pid := l.running(name)
		if pid == 0 {
			continue
		}
		p := watch(pid)
		if p == nil {
			continue
		}
		p.stop(time.Duration(len(Roles)+1) * stopTime)
		stopped = append(stopped, name)
	}
	return stopped, nil
}

// Purge takes everything away that Havre made on the engine and on this
// machine, data and system users too. The engine stays, and so does a swarm
// that it did not make or that others use.
// Errors: Denied when not root; Unavailable when the engine does not answer,
// then nothing was lost.
func Purge(ctx context.Context, l Layout) ([]string, error) {
	if os.Geteuid() != 0 {
		return nil, problem.New(problem.Denied, "only root may remove Havre's data").With("run it with sudo")
	}
	if l.running("guard") == 0 {
		if _, err := os.Stat(l.Data); errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
		return nil, problem.New(problem.Unavailable, "Havre is not up, so its containers could not be found").With("havre up --detach, then again")
	}
	// The loop would make anew what the guard removes.
	if pid := l.running("up"); pid != 0 {
		if p := watch(pid); p != nil {
			_ = unix.Kill(pid, unix.SIGKILL) // its roles go on without it
			<-p.done
		}
	}
	for _, name := range []string{"ingress", "server"} {
		if p := watch(l.running(name)); p != nil {
			p.stop(stopTime)
		}
	}
	removed, err := purgeEngine(ctx, l)
	if err != nil {
		return removed, err
	}
	if _, err := Down(l); err != nil {
		return removed, err
	}
	if token, err := l.token(lookUp(ServerUser)); err == nil {
		if c := forgetContext(token); c != "" {
			removed = append(removed, c)
		}
	}
	for unix.Unmount(l.VolumeDir(), unix.UMOUNT_NOFOLLOW) == nil { // as often as it was mounted
	}
	if err := os.RemoveAll(l.Data); err != nil {
		return removed, fmt.Errorf("remove %s: %w", l.Data, err)
	}
	removed = append(removed, "directory "+filepath.Clean(l.Data))
	for _, name := range []string{ServerUser, IngressUser, PortalUser} {
		if name == PortalUser && lookUp(IngressUser).uid >= 0 {
			continue // another Havre's, of which no portal may run at the moment
		}
		// userdel refuses while another Havre on this machine runs as the user.
		if exec.Command("userdel", name).Run() == nil {
			removed = append(removed, "user "+name)
		}
	}
	return removed, nil
}

// purgeEngine asks the guard, as root, for its last service.
func purgeEngine(ctx context.Context, l Layout) ([]string, error) {
	var d net.Dialer
	web := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", l.GuardSocket())
	}}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://guard"+dockercall.PurgePath, bytes.NewReader([]byte("{}")))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := web.Do(r)
	if err != nil {
		return nil, problem.New(problem.Unavailable, "the guard does not answer").Because(err).With("havre up --detach, then again")
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return nil, err
	}
	var answer dockercall.PurgeAnswer
	if resp.StatusCode != http.StatusOK {
		return nil, problem.New(problem.Failed, "the guard could not remove everything: %s", text)
	}
	err = json.Unmarshal(text, &answer)
	return answer.Removed, err
}
