// Command mutation takes promises out of the code, one after the other, and
// tells which are missed by the test that should turn red. It changes no file
// of the tree: the compiler reads the broken ones from elsewhere. It exits with
// 1 when any test stayed green, or a list no longer fits the code.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// patience is how long the tests of one package may take. One that waits for
// ever has noticed, too.
const (
	patience       = "90s"
	enginePatience = "8m"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	}
}

func run() error {
	list := flag.String("list", "e2e/mutation/testdata/*.txt", "the lists of what to break")
	only := flag.String("run", "", "break only what matches this expression")
	engine := flag.Bool("engine", false, "also break what only a real engine notices")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	all, err := lists(*list)
	if err != nil {
		return err
	}
	var missed []error
	for _, m := range all {
		if !match.MatchString(m.says) {
			continue
		}
		if !*engine && m.onlyEngine() {
			fmt.Println("left ", m.says, "(only an engine notices: -engine)")
			continue
		}
		begun := time.Now()
		if err := m.try(context.Background(), *engine); err != nil {
			missed = append(missed, fmt.Errorf("%s: %s: %w", m.place, m.says, err))
			said, _, _ := strings.Cut(err.Error(), "\n")
			fmt.Println("NOT RED", m.says+":", said)
			continue
		}
		fmt.Printf("red   %s (%.0fs)\n", m.says, time.Since(begun).Seconds())
	}
	return errors.Join(missed...)
}

// try breaks the code and asks the tests. It fails when one of them is content.
func (m mutation) try(ctx context.Context, engine bool) error {
	dir, err := os.MkdirTemp("", "havre-mutation-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // the roles of the broken binary run as users of their own
		return err
	}
	overlay, err := m.overlay(dir)
	if err != nil {
		return err
	}
	if tree := filepath.Join(dir, "tree"); slices.ContainsFunc(m.tests, func(a ask) bool { return m.inTree(a) }) {
		if err := m.copyTree(".", tree); err != nil {
			return err
		}
	}
	for _, a := range m.tests {
		if a.engine && !engine {
			continue
		}
		a.tree = m.inTree(a)
		if err := a.try(ctx, dir, overlay); err != nil {
			return err
		}
	}
	return nil
}

// inTree tells whether tests run in a copy of the tree: those that read it, and
// those that ask an engine about what no compiler reads, as the mail server.
func (m mutation) inTree(a ask) bool {
	return a.tree || a.engine && slices.ContainsFunc(m.edits, func(e edit) bool { return !strings.HasSuffix(e.file, ".go") })
}

// overlay writes the broken files and what tells the compiler of them.
func (m mutation) overlay(dir string) (string, error) {
	root, err := os.Getwd()
	if err != nil {
		return "", err
	}
	files, err := m.broken(root)
	if err != nil {
		return "", err
	}
	instead := map[string]string{}
	for file, text := range files {
		to := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		instead[filepath.Join(root, file)] = to
	}
	text, err := json.Marshal(map[string]any{"Replace": instead})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}

// try asks the tests, each by its own name, which may be a subtest's.
func (a ask) try(ctx context.Context, dir, overlay string) error {
	env, flags, in := os.Environ(), []string{"test", "-vet=off", "-overlay", overlay, "-timeout", patience}, "."
	if a.tree {
		flags, in = []string{"test", "-vet=off", "-timeout", patience}, filepath.Join(dir, "tree")
	}
	if a.engine {
		bin, err := build(ctx, dir, overlay)
		if err != nil {
			return err
		}
		flags[len(flags)-1] = enginePatience
		needs := []string{"HAVRE_BIN=" + bin, "HAVRE_NEED=docker"}
		if env = append(env, needs...); os.Geteuid() != 0 {
			flags = append(flags, "-exec", "sudo env PATH="+os.Getenv("PATH")+" "+strings.Join(needs, " "))
		}
	}
	for _, name := range a.names {
		test := exec.CommandContext(ctx, "go", append(slices.Clone(flags), "-run", expression(name), a.pkg)...)
		test.Dir, test.Env = in, env
		out, err := test.CombinedOutput()
		switch said := string(out); {
		case err == nil:
			return fmt.Errorf("%s %s stays green\n%s", a.pkg, name, said)
		case !noticed(said, name):
			return fmt.Errorf("%s did not come to %s: %w\n%s", a.pkg, name, err, said)
		case a.engine: // a world of its own can fail for reasons of its own: somebody should read why
			fmt.Println("     ", name, reason(said))
			for _, part := range parts(said) {
				fmt.Println("       ", part)
			}
		}
	}
	return nil
}

// build makes the program of the broken code.
func build(ctx context.Context, dir, overlay string) (bin string, err error) {
	bin = filepath.Join(dir, "havre")
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", bin, "./cmd/havre")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the broken code cannot be built: %w\n%s", err, out)
	}
	return bin, nil
}

// expression is for -run: the test, not those whose names begin alike.
func expression(name string) string {
	return "^" + strings.ReplaceAll(name, "/", "$/^") + "$"
}

// reason is the first thing that a failed test said.
func reason(said string) string {
	return strings.TrimSpace(regexp.MustCompile(`(?m)^\s+\w+\.go:\d+: .*$`).FindString(said))
}

// parts are the subtests that failed.
func parts(said string) []string {
	var all []string
	for _, line := range regexp.MustCompile(`(?m)^\s*--- FAIL: \S+/\S+`).FindAllString(said, -1) {
		all = append(all, strings.TrimPrefix(strings.TrimSpace(line), "--- FAIL: "))
	}
	return all
}

// noticed tells whether the test itself failed, which a program that could not
// be built, another test's failure or a machine without an engine is not.
func noticed(said, name string) bool {
	if strings.Contains(said, ", as HAVRE_NEED says") { // lab.Need
		return false
	}
	failed := regexp.MustCompile(`(?m)^\s*--- FAIL: ` + regexp.QuoteMeta(name) + `( |$)`)
	return failed.MatchString(said) || strings.Contains(said, "\npanic: ") || strings.HasPrefix(said, "panic: ")
}
