package deploy_test

import (
	"context"
	"slices"
	"testing"

	"havre/internal/api"
	"havre/internal/deploy"
	"havre/internal/service"
	"havre/internal/spec"
)

// counted tells which images were looked up since it was cleared.
type counted struct {
	deploy.Images
	asked []string
}

func (c *counted) Image(ctx context.Context, environment, name string) (service.Image, error) {
	c.asked = append(c.asked, name)
	return c.Images.Image(ctx, environment, name)
}

// Each look is a question to the engine, of which the person waits for every
// single one.
func TestImageIsLookedUpOnceForAllServicesThatShareIt(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		c := &counted{Images: w.Images}
		w.Images = c
		all := []spec.Service{app("a", "good"), app("b", "better"), app("c", "good")}
		if _, err := w.Plan(t.Context(), api.Apply{Project: shop(all...)}); err != nil || !slices.Equal(c.asked, []string{"good", "better"}) {
			t.Errorf("a plan looks up %q, %v", c.asked, err)
		}
		w.must("shop", all...)
		c.asked = nil
		if w.must("shop", all...); !slices.Equal(c.asked, []string{"good", "better"}) {
			t.Errorf("an apply that changes nothing looks up %q", c.asked)
		}
		c.asked, all[0].Command = nil, []string{"/other"}
		if w.must("shop", all...); !slices.Equal(c.asked, []string{"good", "better", "good", "better"}) {
			t.Errorf("an apply that changes something looks up %q: once for the person, once when it is saved", c.asked)
		}
	})
}
