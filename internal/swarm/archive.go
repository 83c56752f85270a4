package swarm

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/moby/moby/client"
)

// Unpacking is where and how an archive is unpacked in a container.
type Unpacking struct {
	Path   string // a directory
	Owners bool   // files belong to whom the archive says, else to root
}

// PutArchive unpacks a tar in a directory of a container, running or not. A
// directory is not replaced by a file, nor a file by a directory.
//
// Errors: NotFound when there is no such directory; Denied or Invalid with the
// guard's rule.
func (s *Swarm) PutArchive(ctx context.Context, containerID string, u Unpacking, archive io.Reader) error {
	deed := fmt.Sprintf("copy to %s", u.Path)
	// The client names the archive text/plain, which the guard does not take.
	q := url.Values{"path": {u.Path}, "noOverwriteDirNonDir": {"1"}}
	if u.Owners {
		q.Set("copyUIDGID", "1")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://guard/v"+s.api.ClientVersion()+"/containers/"+containerID+"/archive?"+q.Encode(), archive)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-tar")
	resp, err := s.own.Do(r)
	if err != nil {
		return explainOwn(ctx, err, deed)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil && resp.StatusCode >= 300 {
		return refused(deed, resp.StatusCode, text)
	}
	return err
}

// Stat is what stands at a path of a container.
type Stat = client.ContainerStatPathResult

// StatPath tells what stands at a path of a container; links are not followed.
//
// Errors: NotFound.
func (s *Swarm) StatPath(ctx context.Context, containerID, path string) (Stat, error) {
	r, err := s.api.ContainerStatPath(ctx, containerID, client.ContainerStatPathOptions{Path: path})
	return r, explain(err, "look at %s", path)
}

// GetArchive reads a file or directory of a container as a tar, whose entries
// begin with the last part of the path. The caller closes it.
//
// Errors: NotFound.
func (s *Swarm) GetArchive(ctx context.Context, containerID, path string) (io.ReadCloser, error) {
	r, err := s.api.CopyFromContainer(ctx, containerID, client.CopyFromContainerOptions{SourcePath: path})
	return r.Content, explain(err, "copy %s", path)
}
