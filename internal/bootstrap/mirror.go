package bootstrap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"havre/internal/problem"
)

// official is Debian's own mirror.
const official = "http://deb.debian.org/debian"

// aptHelper downloads as apt does, through the machine's proxies.
const aptHelper = "/usr/lib/apt/apt-helper"

// mergedHooks make /usr merged from the start where the release wants it so;
// else a package does that, and brings all of Perl along.
const mergedHooks = "/usr/share/mmdebstrap/hooks/maybe-merged-usr"

// grace is how long mmdebstrap may clean up when it is told to stop.
const grace = 15 * time.Second

// without names what goes into no container: manuals and translations.
// Copyright files have to stay.
var without = []string{
	"path-exclude=/usr/share/man/*",
	"path-exclude=/usr/share/info/*",
	"path-exclude=/usr/share/groff/*",
	"path-exclude=/usr/share/lintian/*",
	"path-exclude=/usr/share/doc/*",
	"path-include=/usr/share/doc/*/copyright",
	"path-exclude=/usr/share/locale/*",
	"path-include=/usr/share/locale/locale.alias",
}

// The hooks that change the system. In the first, no package may start what
// it brings, now or in a build upon the image (Debian policy, 9.3.3.1); in the
// second, nothing of this machine, nothing outdated, and no setting that only
// concerns us stays.
const (
	noServices = `printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d" && chmod 0755 "$1/usr/sbin/policy-rc.d"`
	noTraces   = `sed -i /Install-Recommends/d "$1"/etc/apt/apt.conf.d/99mmdebstrap && rm -f "$1"/etc/resolv.conf "$1"/etc/hostname "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old`
)

// mirror is where a request's packages come from.
type mirror struct {
	request *Request
	dir     string
}

// date is when the mirror's suite last changed. It dates the image, so that
// the same packages give the same image. Asking for it also shows early
// whether the mirror can be reached and has the suite.
func (m mirror) date(ctx context.Context) (time.Time, error) {
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		return time.Time{}, m.missing("mmdebstrap")
	}
	m.request.Progress("asking the mirror for " + m.request.Suite)
	base := m.request.Mirror
	if base == "" {
		base = official
	}
	file := filepath.Join(m.dir, "InRelease")
	url := strings.TrimSuffix(base, "/") + "/dists/" + m.request.Suite + "/InRelease"
	if err := m.run(ctx, exec.CommandContext(ctx, aptHelper, "-o", "Acquire::Retries=1", "download-file", url, file)); err != nil {
		return time.Time{}, err
	}
	f, err := os.Open(file)
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if text, found := strings.CutPrefix(lines.Text(), "Date: "); found {
			return time.Parse(time.RFC1123, text)
		}
	}
	return time.Time{}, problem.New(problem.Failed, "make image %s: %s has no date", m.request.Name, url)
}

func (m mirror) missing(tool string) error {
	return problem.New(problem.Unavailable, "make image %s: there is no %s on this machine", m.request.Name, filepath.Base(tool)).
		With("install it: apt-get install mmdebstrap")
}

// debootstrap writes the system, dated made, to out.
func (m mirror) debootstrap(ctx context.Context, made time.Time, out *os.File) error {
	mode := "root"
	if os.Geteuid() != 0 {
		mode = "unshare"
	}
	args := []string{
		"--variant=minbase", "--mode=" + mode, "--format=tar", "--skip=output/dev", "--skip=chroot/policy-rc.d",
		"--essential-hook=" + noServices, "--customize-hook=" + noTraces,
		`--aptopt=Acquire::Languages "none"`, `--aptopt=APT::Install-Recommends "false"`,
	}
	for _, option := range without {
		args = append(args, "--dpkgopt="+option)
	}
	if _, err := os.Stat(mergedHooks); err == nil {
		args = append(args, "--hook-dir="+mergedHooks)
	}
	if len(m.request.Packages) > 0 {
		args = append(args, "--include="+strings.Join(m.request.Packages, ","))
	}
	args = append(args, m.request.Suite, "-")
	if m.request.Mirror != "" {
		args = append(args, m.request.Mirror)
	}
	cmd := exec.CommandContext(ctx, "mmdebstrap", args...)
	cmd.Stdout = out
	cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", made.Unix()))
	if mode == "root" {
		// What is mounted below the new system must not be seen from here:
		// were mmdebstrap killed, removing our directory would reach into it.
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	}
	return m.run(ctx, cmd)
}

// run runs a command as the leader of its own process group, which ends with
// ctx, and tells what went wrong by what it said.
func (m mirror) run(ctx context.Context, cmd *exec.Cmd) error {
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C.UTF-8", "TMPDIR="+m.dir, "DEBIAN_FRONTEND=noninteractive")
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	heard := &listener{progress: m.request.Progress}
	cmd.Stderr = heard
	err := cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whoever did not listen; usually nobody is left
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("make image %s: %w", m.request.Name, ctx.Err())
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return m.missing(cmd.Path)
	}
	return m.explain(heard.last)
}
