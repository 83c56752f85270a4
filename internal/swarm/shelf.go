package swarm

import (
	"context"
	"regexp"
	"strings"

	"github.com/moby/moby/client"

	"havre/internal/problem"
)

// shelf is the name under which an environment keeps images that rollouts
// need, by id: a name that people gave may move to another image meanwhile.
const shelf = "by-id"

// KeepImage keeps an image for an environment, whatever becomes of its names.
//
// Errors: NotFound when there is no such image; Denied when it was never the
// environment's.
func (s *Swarm) KeepImage(ctx context.Context, environment, id string) error {
	_, err := s.api.ImageTag(ctx, client.ImageTagOptions{Source: id, Target: kept(environment, id)})
	return explain(err, "keep image %.19s", id)
}

func kept(environment, id string) string {
	return registry + environment + "/" + shelf + ":" + strings.TrimPrefix(id, "sha256:")
}

// shelved reads the name of a kept image.
var shelved = regexp.MustCompile(`^` + regexp.QuoteMeta(registry) + `([a-z0-9-]+)/` + shelf + `:[0-9a-f]{64}$`)

// TidyImages lets go of kept images that are not in inUse, by environment and
// id. Names that people gave stay.
func (s *Swarm) TidyImages(ctx context.Context, inUse map[string]map[string]bool) error {
	r, err := s.api.ImageList(ctx, client.ImageListOptions{})
	if err != nil {
		return explain(err, "list images")
	}
	for _, i := range r.Items {
		for _, t := range i.RepoTags {
			m := shelved.FindStringSubmatch(t)
			if m == nil || inUse[m[1]][i.ID] {
				continue
			}
			_, err := s.api.ImageRemove(ctx, t, client.ImageRemoveOptions{PruneChildren: true})
			err = explain(err, "let go of image %.19s", i.ID)
			if k := problem.KindOf(err); err != nil && k != problem.NotFound && k != problem.Conflict {
				return err // a container that still stops is no mistake: the next time will do
			}
		}
	}
	return nil
}
