# Skein. `make` prints what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build test unit race sim soak e2e bench fuzz mutants lint demo demo-down tools go

GO       ?= go
BIN      := bin/skein
VERSION  ?= $(shell git describe --always --dirty 2>/dev/null || echo dev)
STATIC   := $(GO) build -ldflags "-s -w -X main.version=$(VERSION)"
SUITE    := packaging/make/suite
FUZZTIME ?= 10s
SEEDS    ?= 700
DEMO     ?= demo
N        ?= 100
SEED     ?= 1
# Packages with tests of the agent that is to come, which the build tag nextformat makes.
NEXT     := ./raftfsm/fleet/... ./agent/plan/placement ./agent/peer/stream
# What lint asks for beyond go vet and staticcheck: packaging/tools/lint.
CHECKS   := -exhaustive -errorlint -sloglint -shadow -sleep -width

# One set of flags for all but the race detector, so that a new machine compiles
# every dependency twice and not four times.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

go:
	@packaging/make/need-go go.mod

build: go ## the one static binary, bin/skein
	@$(STATIC) -o $(BIN) ./cmd/skein

demo: go ## three hosts on this machine, a service on them, their status pages (as root)
	@packaging/make/install demo
	@$(MAKE) --no-print-directory build
	@$(BIN) lab demo --lab $(DEMO)

demo-down: ## remove every trace of the demo
	@if [ -x $(BIN) ]; then $(BIN) lab down --lab $(DEMO); else $(MAKE) --no-print-directory build && $(BIN) lab down --lab $(DEMO); fi

test: go ## everything: lint, unit tests with race and fuzz seeds, simulation, real containers (as root)
	@packaging/make/install test
	@$(SUITE) lint $(MAKE) --no-print-directory lint
	@$(SUITE) race $(MAKE) --no-print-directory race
	@$(SUITE) sim  $(MAKE) --no-print-directory sim
	@$(SUITE) e2e  $(MAKE) --no-print-directory e2e
	@$(SUITE) --summary

unit: go ## unit tests alone, quick
	@$(GO) test ./...

race: go ## unit tests, contract suites against twins, fuzz seeds, all with -race
	@CGO_ENABLED=1 packaging/make/race $(GO) test -race -timeout 15m ./...
	@$(GO) test -tags nextformat -run NextFormat $(NEXT)

sim: go ## whole fleets in virtual time: a fixed set of seeds, systematic faults, mutations
	@$(GO) test -count=1 -timeout 20m ./agent/sim -seeds $(SEEDS) -every 1

soak: build ## fresh seeds until interrupted; failures, made small, go to bin/soak
	@$(BIN) sim --soak bin/soak

e2e: build ## real containerd, real network namespaces, whole labs (as root); E2E_OLD=commit has its agent in a fleet with this one
	@$(GO) build -tags nextformat -ldflags "-s -w -X main.version=next" -o $(BIN)-next ./cmd/skein
	@old=$$(packaging/make/build-old $(CURDIR)/$(BIN)-old $(E2E_OLD)); \
	SKEIN_BINARY=$(CURDIR)/$(BIN) SKEIN_NEXT=$(CURDIR)/$(BIN)-next SKEIN_OLD=$$old $(GO) test -tags e2e -p 1 -timeout 20m ./runtime/... ./agent/api ./cmd/skein/... ./packaging/...

bench: go ## benchmarks, each beside a floor or peer of the same run (starts of containers: as root)
	@packaging/make/install bench
	@$(GO) test -run '^$$' -bench . -benchmem ./raftfsm/... ./agent/... ./runtime/... ./gossip/...
	@$(GO) test -tags e2e -run '^$$' -bench Converge -benchtime 5x ./runtime/containerd
	@$(MAKE) --no-print-directory build
	@SKEIN_BINARY=$(CURDIR)/$(BIN) $(GO) test -tags e2e -run '^$$' -bench 'Idle|WeightChange' -benchtime 1x ./cmd/skein

fuzz: go ## every fuzz target for FUZZTIME each (default 10s)
	@packaging/make/fuzz $(FUZZTIME)

mutants: go ## break N rules drawn by SEED, one at a time, and count which tests notice (hours)
	@$(GO) build -o bin/mutants ./packaging/mutants
	@bin/mutants -n $(N) -seed $(SEED) $(MUTANTS)

lint: go ## gofmt, vet, staticcheck, our own checks (packaging/tools/lint), shell syntax
	@unformatted=$$(gofmt -l agent raftfsm runtime gossip cmd packaging); if [ -n "$$unformatted" ]; then echo "run gofmt -w on: $$unformatted"; exit 1; fi
	@$(GO) vet ./...
	@$(GO) vet -tags e2e ./...
	@$(GO) tool -modfile=packaging/tools/go.mod staticcheck ./...
	@$(GO) -C packaging/tools build -o $(CURDIR)/bin/lint ./lint
	@$(GO) vet -vettool=$(CURDIR)/bin/lint $(CHECKS) ./...
	@$(GO) vet -vettool=$(CURDIR)/bin/lint $(CHECKS) -tags e2e ./...
	@for f in packaging/make/*; do bash -n $$f; done
