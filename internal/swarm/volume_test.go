package swarm_test

import (
	"context"
	"slices"
	"testing"

	"havre/internal/lab"
	"havre/internal/service"
	"havre/internal/spec"
	"havre/internal/swarm"
)

func TestFilesAndVolumesArriveInContainers(t *testing.T) {
	w := open(t)
	d := w.project(t, "config22", "10.87.26.0/24")
	ctx := t.Context()
	use := swarm.VolumeUse{Volume: swarm.Volume{Environment: "prod", Project: d.Project, Name: "data"}, Image: w.image, Path: "/vol/rw", User: "77:88"}
	var source string
	for range 2 {
		again, fresh, err := w.swarm.EnsureVolume(ctx, use)
		if err != nil || !fresh || source != "" && source != again {
			t.Fatalf("%s, then %s, %v", source, again, err)
		}
		source = again
	}
	file := config(t, w, d.Project, "kept in the swarm\n")
	if config(t, w, d.Project, "kept in the swarm\n").ConfigID != file.ConfigID {
		t.Error("the same content was kept twice")
	}
	other := config(t, w, d.Project, "of no use\n")
	d.Files = []service.File{file}
	d.Binds = []service.Bind{{Source: source, Target: "/vol/rw"}}
	d.Spec.User = "77:88"
	d.Spec.Mounts = append(d.Spec.Mounts, tmpfs)
	box := w.running(t, d)

	for _, c := range []swarm.ExecRequest{
		{Cmd: []string{"/app", "cat", "/etc/app.conf"}},
		{Cmd: []string{"/app", "write", "/vol/rw/log", "kept in the volume"}},
		{Cmd: []string{"/app", "cat", "/vol/rw/log"}},
		{Cmd: []string{"/app", "ls", "/memory"}},
	} {
		c.Container = box
		code, out, errs := w.exec(t, c)
		if want := map[string]string{"/etc/app.conf": "kept in the swarm\n", "/vol/rw/log": "kept in the volume\n"}[c.Cmd[2]]; code != 0 || c.Cmd[1] == "cat" && out != want {
			t.Errorf("%v: %d, %q, %q", c.Cmd, code, out, errs)
		}
	}
	if all, err := w.swarm.Volumes(ctx, "prod", d.Project); err != nil || !slices.Equal(all, []swarm.Volume{use.Volume}) {
		t.Errorf("volumes are %v, %v", all, err)
	}
	if err := w.swarm.RemoveVolume(ctx, use.Volume); err == nil {
		t.Error("a volume was removed that is mounted")
	}
	if err := w.swarm.TidyConfigs(ctx); err != nil {
		t.Error(err)
	}
	if config(t, w, d.Project, "kept in the swarm\n").ConfigID != file.ConfigID {
		t.Error("a config in use was removed")
	}
	if config(t, w, d.Project, "of no use\n").ConfigID == other.ConfigID {
		t.Error("a config that nobody uses was kept")
	}
	o, err := w.observe(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.swarm.RemoveService(ctx, o.SwarmID); err != nil {
		t.Fatal(err)
	}
	gone(t, w, d)
	for range 2 {
		lab.Eventually(t, "the volume's removal", func(ctx context.Context) error { return w.swarm.RemoveVolume(ctx, use.Volume) })
	}
	if err := w.swarm.TidyConfigs(ctx); err != nil {
		t.Error(err)
	}
}

var tmpfs = spec.Mount{Kind: spec.Tmpfs, Target: "/memory", Size: 1 << 20}

func config(t *testing.T, w world, p spec.ProjectID, text string) service.File {
	t.Helper()
	f := service.File{Target: "/etc/app.conf", Content: []byte(text)}
	var err error
	if f.ConfigID, f.ConfigName, err = w.swarm.EnsureConfig(t.Context(), "prod", p, f); err != nil {
		t.Fatal(err)
	}
	return f
}
