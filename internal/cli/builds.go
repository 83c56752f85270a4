package cli

import (
	"context"
	"fmt"
	"slices"

	"havre/internal/api"
	"havre/internal/client"
	"havre/internal/dialect"
	"havre/internal/problem"
)

// wish is what files declare, and how images are made that it needs.
type wish struct {
	api.Apply
	read   dialect.Result
	builds []dialect.Build
	anew   bool // build all of them, there or not
}

// draft is the wish as a plan is asked for it, before anything is built.
func (w wish) draft() api.Apply {
	a := w.Apply
	for _, b := range w.builds {
		if !slices.Contains(a.Building, b.Image) {
			a.Building = append(a.Building, b.Image)
		}
	}
	return a
}

// due are the builds that an apply begins with, one for each image.
func (w wish) due(p api.Plan) []dialect.Build {
	var all []dialect.Build
	for _, b := range w.builds {
		again := slices.ContainsFunc(all, func(o dialect.Build) bool { return o.Image == b.Image })
		if !again && (w.anew || b.Always || slices.Contains(p.Unbuilt, b.Image)) {
			all = append(all, b)
		}
	}
	return all
}

// building shows what is to be built.
func (c *console) building(due []dialect.Build, say func(format string, args ...any)) {
	for _, b := range due {
		say("build image %s from %s", b.Image, b.Context())
	}
}

// make builds images, one after the other. Nothing that runs is touched by it.
func (c *console) make(ctx context.Context, cl *client.Client, environment string, due []dialect.Build) error {
	for _, b := range due {
		o := api.BuildOptions{Environment: environment, Name: b.Image, Target: b.Target, Args: b.Args, NoCache: b.NoCache}
		var err error
		if o.Dockerfile, err = inContext(b.Dir, b.Dockerfile); err == nil {
			_, err = c.send(ctx, cl, b.Dir, o)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return problem.Of(fmt.Errorf("service %s: %w", b.Service, err)).At(b.Where)
		}
	}
	return nil
}
