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
	fills  []dialect.Fill
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

// kept refuses to remove services that the files still declare, when only
// their profile was not chosen: docker compose lets them run.
func (w wish) kept(p api.Plan) error {
	var wrong problem.List
	for _, ch := range p.Changes {
		if ch.Verb == "remove" && slices.Contains(w.read.LeftOut, ch.Service) {
			wrong = append(wrong, problem.New(problem.Invalid, "%s would be removed: none of its profiles is chosen", ch.Service).
				With("choose one by COMPOSE_PROFILES, as when it was applied; or remove it first: havre rm %s.%s", p.Project, ch.Service))
		}
	}
	if len(wrong) > 0 {
		return coded{exitInput, wrong}
	}
	return nil
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
		err := inRepository(ctx, b, func(dir string) (err error) {
			if o.Dockerfile, err = inContext(dir, b.Dockerfile); err == nil {
				_, err = c.send(ctx, cl, dir, o)
			}
			return err
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return problem.Of(fmt.Errorf("service %s: %w", b.Service, err)).At(b.Where)
		}
	}
	return nil
}
