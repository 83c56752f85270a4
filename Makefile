# make = build. "make help" lists the rest.
.DEFAULT_GOAL := build
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# Debian keeps these from the path of ordinary users.
export PATH := $(PATH):/usr/sbin:/sbin
# A clone that belongs to another user has no version for Go, and needs none.
export GOFLAGS := $(filter-out -buildvcs%,$(GOFLAGS)) -buildvcs=false

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 10s
OFFSET ?= 0

STATIC := CGO_ENABLED=0 go build -trimpath
TEST := go test -race -shuffle=on -vet=off
# Worlds are for root. Tests are compiled by whoever calls.
AS_ROOT := $(if $(filter-out 0,$(shell id -u)),-exec 'sudo env PATH=$(PATH) HOME=/root HAVRE_NEED=$(HAVRE_NEED) HAVRE_BIN=$(CURDIR)/bin/havre')
# The packages with a test that makes a world; and for who is not root, those
# whose tests for root were skipped by check.
LAB = $(sort $(dir $(shell git ls-files --cached --others --exclude-standard '*_test.go' | xargs -r grep -l -e '"havre/internal/lab"' $(if $(AS_ROOT),-e '"HAVRE_NEED"') /dev/null)))

.PHONY: build
build: portal ## bin/havre, static, with the portal in it
	$(STATIC) -ldflags '-s -w -X havre/internal/cli.version=$(VERSION)' -o bin/havre ./cmd/havre
	@chmod 0755 bin/havre # whatever the umask: its parts run as users of their own

.PHONY: portal
portal:
	@$(STATIC) -ldflags '-s -w' -o internal/portal/embedded/havre-portal ./cmd/havre-portal

.PHONY: check
check: portal ## the quick loop: format, vet, staticcheck, tests that need nothing
	@script/check-format.sh
	go vet ./...
	go run $(STATICCHECK) ./...
	HAVRE_NEED= $(TEST) -short ./...

.PHONY: docker-test
docker-test: build ## tests that need an engine; each makes worlds of its own, and mostly waits
	HAVRE_BIN=$(CURDIR)/bin/havre $(TEST) -timeout 40m -parallel 5 $(AS_ROOT) $(addprefix ./,$(LAB))

.PHONY: test
test: ## everything, after installing what it needs
	@script/test.sh

.PHONY: test-long
test-long: build ## the engine tests with 52 seeds of chaos, and the mutations; about three hours
	go run ./e2e/mutation -engine
	HAVRE_LONG=1 HAVRE_BIN=$(CURDIR)/bin/havre $(TEST) -timeout 110m -parallel 5 $(AS_ROOT) $(addprefix ./,$(LAB))

.PHONY: mutation
mutation: portal ## take promises out of the code, one by one: each must turn its test red; test-long asks engines, too
	go run ./e2e/mutation

.PHONY: bench
bench: ## Havre beside nginx, Caddy, HAProxy and plain Docker; writes docs/reference/benchmarks.md
	@script/setup.sh base engine
	@$(MAKE) --no-print-directory build
	HAVRE_BIN=$(CURDIR)/bin/havre go test -vet=off -run '^$$' -bench . -benchtime 1x -timeout 110m $(AS_ROOT) ./e2e/bench -write $(CURDIR)/docs/reference/benchmarks.md

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME each
	script/fuzz.sh $(FUZZTIME)

.PHONY: gen
gen: ## write the generated files again
	go generate ./...

.PHONY: demo
demo: ## a mail server with webmail on this machine; OFFSET=10000 moves its ports
	@script/setup.sh base engine
	@echo "==> building bin/havre"
	@$(MAKE) --silent --no-print-directory build
	@$(STATIC) -o bin/prove ./e2e/prove
	@script/engine.sh
	@OFFSET=$(OFFSET) script/demo.sh

.PHONY: demo-down
demo-down: ## remove everything that the demo made
	@[ -x bin/havre ] || $(MAKE) --no-print-directory build
	@script/demo-down.sh

.PHONY: deb
deb: ## Debian packages for amd64 and arm64, in bin
	@script/deb.sh bin

.PHONY: clean
clean: ## remove what build made
	rm -rf bin internal/portal/embedded/havre-portal

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14
