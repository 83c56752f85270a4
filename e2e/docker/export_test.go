package docker_test

import (
	"strings"
	"testing"
)

// What is exported and applied again starts nothing anew.
func TestExportedProjectIsNoChange(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.write(t, "exported/conf/a.conf", "price 5$ ${NOT}\n")
	h.apply(t, "exported", `
services:
  web:
    image: app:1
    ports: ["18055:8080", "127.0.0.1:18056:8080"]
    volumes: ["data:/vol/rw", "./conf:/etc/conf:ro"]
    environment: {VERSION: "a$$b"}
    links: [db]
    x-havre: {domains: ["exported.example.org:8080"]}
  db: {image: 'app:1', tmpfs: [/run], deploy: {replicas: 2}}
volumes: {data: {}}
`)
	h.must(t, "scale", "exported.db", "1")
	text := h.must(t, "export", "exported")
	has(t, "export", text, "# project exported", "x-havre")
	file := h.write(t, "exported-again/compose.yml", text)
	has(t, "plan", h.must(t, "plan", "-f", file, "--exit-code"), "nothing to change")
	if was := h.must(t, "export", "exported"); was != text || strings.Contains(was, "replicas: 2") {
		t.Errorf("exported twice:\n%s\n%s", text, was)
	}
}
