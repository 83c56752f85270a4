package swarm

import (
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"havre/internal/problem"
	"havre/internal/service"
)

// LoadImage takes in an image, as docker save writes it, perhaps packed with
// gzip or bzip2, under a name of the
// environment. Names in the archive do not count. The guard needs to know the
// name beforehand, and Docker's client has no way to say it.
//
// Errors: Denied with the guard's rule when it is no archive of one image.
func (s *Swarm) LoadImage(ctx context.Context, environment, name string, archive io.Reader) (service.Image, error) {
	at, err := givenName(environment, name)
	if err != nil {
		return service.Image{}, err
	}
	plain, err := unpacked(archive)
	if err != nil {
		return service.Image{}, fmt.Errorf("load image %s: %w", name, err)
	}
	if err := s.Ready(ctx); err != nil { // also settles the version
		return service.Image{}, err
	}
	path := fmt.Sprintf("http://guard/v%s/images/load?%s", s.api.ClientVersion(), url.Values{"havre": {at}, "quiet": {"1"}}.Encode())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, path, io.NopCloser(plain)) // chunked
	if err != nil {
		return service.Image{}, err
	}
	r.Header.Set("Content-Type", "application/x-tar")
	resp, err := s.own.Do(r)
	if err != nil {
		return service.Image{}, explainOwn(ctx, err, "load image "+name)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return service.Image{}, refusedLoad(name, resp)
	}
	if err := readStream(resp.Body, func(string) {}); err != nil {
		return service.Image{}, problem.New(problem.Failed, "load image %s: %s", name, engineWords(err))
	}
	return s.Image(ctx, environment, name)
}

func refusedLoad(name string, resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, longestAnswer)) // what came says enough
	return refused("load image "+name, resp.StatusCode, text)
}

// unpacked takes an archive's packing off, for the guard reads plain archives
// only.
func unpacked(archive io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(archive, 64<<10)
	begin, err := b.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch is := string(begin); {
	case strings.HasPrefix(is, "\x1f\x8b"):
		return gzip.NewReader(b)
	case strings.HasPrefix(is, "BZh"):
		return bzip2.NewReader(b), nil
	case strings.HasPrefix(is, "\xfd7zXZ"):
		return nil, problem.New(problem.Invalid, "the archive is packed with xz").With("unpack it first: xz -d FILE")
	case strings.HasPrefix(is, "\x28\xb5\x2f\xfd"):
		return nil, problem.New(problem.Invalid, "the archive is packed with zstd").With("unpack it first: zstd -d FILE")
	}
	return b, nil
}
