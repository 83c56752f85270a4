package cli

import (
	"archive/tar"
	"context"
	"io"
	"slices"

	"havre/internal/api"
	"havre/internal/client"
	"havre/internal/dialect"
	"havre/internal/problem"
)

// offered are the directories that new volumes may begin with.
func offered(fills []dialect.Fill) []api.Fill {
	var all []api.Fill
	for _, f := range fills {
		all = append(all, api.Fill{Volume: f.Volume, From: f.From, Files: f.Files, Bytes: f.Bytes})
	}
	return all
}

// unreadable finds directories that are to be sent and cannot be read whole.
// Errors: a problem.List of Invalid problems.
func (w wish) unreadable(p api.Plan) error {
	var wrong problem.List
	for _, f := range w.fills {
		due := slices.ContainsFunc(p.Fills, func(d api.Fill) bool { return d.Volume == f.Volume })
		if due && f.Broken != "" {
			wrong = append(wrong, problem.New(problem.Invalid, "%s, with which the volume %s begins, cannot be read whole: %s", f.From, f.Volume, f.Broken).
				With("apply as a user who may read it: sudo havre apply; or move it away, and the volume begins empty").At(f.Where))
		}
	}
	return wrong.AsError()
}

// filling shows what new volumes begin with.
func filling(p api.Plan, to io.Writer) {
	for _, f := range p.Fills {
		line(to, "  fill    volume %s with what %s has: %d files, %s", f.Volume, f.From, f.Files, bytesize(f.Bytes))
	}
}

// fill sends what the new volumes of a plan begin with, owners and all: that is
// what a mounted directory would show.
func (c *console) fill(ctx context.Context, cl *client.Client, want wish, p api.Plan) error {
	for _, due := range p.Fills {
		i := slices.IndexFunc(want.fills, func(f dialect.Fill) bool { return f.Volume == due.Volume })
		if i < 0 {
			continue
		}
		tells := *c
		tells.format = "text" // with -o json the output is one step a line, and this is none
		x := &copying{console: &tells, cl: cl, archive: true}
		t := api.Target{Name: p.Project + "/" + due.Volume, Environment: p.Environment}
		err := x.send(func(w *tar.Writer) error { return x.pack(w, want.fills[i].Dir, "") }, func(r io.Reader) error { return cl.Fill(ctx, t, r) }, copyEnd{t.Name, "/"})
		if err != nil {
			return problem.Of(err).With("apply again: its services wait for the volume %s", due.Volume)
		}
	}
	return nil
}
