package cli_test

import (
	"strings"
	"testing"

	"havre/internal/cli"
)

func TestTableFitsTheTerminal(t *testing.T) {
	rows := func() [][]string {
		return [][]string{
			{"NAME", "STATE", "IMAGE", "PORTS", "AGE"},
			{"a-project.and-its-service", "healthy", "registry.example.org/of/somebody/app:1.2.3", "8080->80/tcp public, https://www.example.org/", "5s"},
			{"shop.web", "failing", "é", "-", "-"},
		}
	}
	for width, want := range map[int]string{
		300: "a-project.and-its-service|healthy|registry.example.org/of/somebody/app:1.2.3|8080->80/tcp public, https://www.example.org/|5s",
		80:  "a-project.and-its-service|healthy|registry.example.…|8080->80/tcp publi…|5s",
		60:  "a-project.and-its-service|healthy|registry.e…|8080->80/t…",
		10:  "a-project.and-its-service",
	} {
		got := cli.Fit(rows(), width)
		if line := strings.Join(got[1], "|"); line != want {
			t.Errorf("%d: %q, want %q", width, line, want)
		}
		for _, r := range got {
			if n := len([]rune(strings.Join(r, "  "))); n > width && len(r) > 1 {
				t.Errorf("%d: %q is %d wide", width, r, n)
			}
		}
		if got[0][0] != "NAME" || got[2][0] != "shop.web" {
			t.Errorf("%d: %q", width, got)
		}
	}
}
