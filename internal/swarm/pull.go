package swarm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"havre/internal/dockercall"
	"havre/internal/pattern"
	"havre/internal/problem"
	"havre/internal/service"
)

// PullImage takes an image from its registry into an environment. progress
// gets a line whenever something of it gets further.
//
// Errors: Failed with the reason and what to do about it; Denied with the
// guard's rule when what came cannot be an environment's image.
func (s *Swarm) PullImage(ctx context.Context, environment, name string, progress func(line string)) (service.Image, error) {
	deed := "pull image " + name
	if _, err := engineName(environment, name); err != nil {
		return service.Image{}, err
	}
	text, err := json.Marshal(dockercall.ImagePull{Environment: dockercall.Environment(environment), Image: dockercall.RegistryName(name)})
	if err != nil {
		return service.Image{}, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://guard"+dockercall.ImagePullPath, bytes.NewReader(text))
	if err != nil {
		return service.Image{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := s.own.Do(r)
	if err != nil {
		return service.Image{}, explainOwn(ctx, err, deed)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, longestAnswer)) // what came says enough
		return service.Image{}, unpulled(name, refused(deed, resp.StatusCode, text))
	}
	says, err := pulled(resp.Body, progress)
	if err != nil {
		return service.Image{}, explainOwn(ctx, err, deed)
	}
	if m := refusal.FindStringSubmatch(says); m != nil {
		p := problem.New(problem.Denied, "%s: the guard refused: %s", deed, m[1])
		p.Rule = m[2]
		return service.Image{}, p
	}
	if says != "" {
		return service.Image{}, unpulled(name, problem.New(problem.Failed, "%s: %s", deed, says))
	}
	return s.Image(ctx, environment, name)
}

// pulled reads the messages of a pull, and gives the reason when it failed.
func pulled(from io.Reader, progress func(string)) (says string, err error) {
	d := json.NewDecoder(from)
	state := map[string]string{} // of the layers
	for done := false; ; {
		var m struct{ ID, Status, Error string }
		err := d.Decode(&m)
		switch {
		case errors.Is(err, io.EOF) && done:
			return "", nil
		case errors.Is(err, io.EOF):
			return "", io.ErrUnexpectedEOF
		case err != nil:
			return "", err
		case m.Error != "":
			return m.Error, nil
		}
		done = m.ID == "" && m.Status == "done"
		if done || m.Status == "" || m.ID != "" && state[m.ID] == m.Status { // only a bar has grown
			continue
		}
		if m.ID == "" {
			progress(m.Status)
			continue
		}
		state[m.ID] = m.Status
		progress(m.ID + ": " + m.Status)
	}
}

// cures are what to do about a pull that failed, by the words of the engine.
// The first that fits counts.
var cures = []struct {
	words  *pattern.Pattern
	remedy string
}{
	{pattern.New(`(?i)no space left`), "make room where the engine keeps its images, then do it again: docker system df; havre image ls"},
	{pattern.New(`(?i)no matching manifest|does not match the specified platform`), "the registry has it for other machines only: choose another tag, or build it for this one"},
	{pattern.New(`(?i)HTTP response to HTTPS client|x509|certificate`), "the engine trusts a registry over HTTPS only: give it a certificate that this machine knows, or name it among insecure-registries of the engine"},
	{pattern.New(`(?i)toomanyrequests|rate limit`), "the registry wants you to wait; bring it by hand: docker save on a machine that has it, then havre image load"},
	{pattern.New(`(?i)no such host|server misbehaving|network is unreachable|no route to host|connection refused|i/o timeout|deadline exceeded|Client\.Timeout|Temporary failure`), "the engine cannot reach the registry: look at the name, the network and DNS of this machine; or bring the image by hand: havre image load"},
	{pattern.New(`(?i)unauthorized|denied|authentication|forbidden|no basic auth`), "there is none of this name, or it is not for everybody: look at the name; Havre has no credentials for registries, so bring a private image by hand: havre image load"},
	{pattern.New(`(?i)not found|unknown|no such`), "look at the name and the tag; an image of your own: havre image build, havre image load or havre image bootstrap"},
}

// unpulled adds what to do about a pull that failed.
func unpulled(name string, err error) error {
	var p *problem.Problem
	if !errors.As(err, &p) || p.Rule != "" || p.Kind == problem.Unavailable {
		return err
	}
	p.Says = strings.Replace(p.Says, "the engine says: ", "", 1)
	p.Kind, p.Remedy = problem.Failed, "look at the name, then: havre image pull "+name
	for _, c := range cures {
		if c.words.MatchString(p.Says) {
			p.Remedy = c.remedy
			break
		}
	}
	return p
}
