# ksim. `make` alone lists the targets.

GO ?= go

# Two packages at a time: broker, tap and subjects are processes of their own and want the
# second core too. No -parallel: Ginkgo suites refuse to run with it.
TEST_P        ?= 2
TEST_TIMEOUT  ?= 40m
PKG           ?= ./...
ARGS          ?=

TEST = $(GO) test -json -count=1 -p $(TEST_P) -timeout $(TEST_TIMEOUT)
GOLANGCI = $(GO) tool -modfile=tools/go.mod golangci-lint
# Packages that have benchmarks; go test ./... would name all the others too.
BENCH_PKGS = $(shell grep -rl --include='*_test.go' '^func Benchmark' cmd consumer harness internal reports scenarios 2>/dev/null | xargs -r -n1 dirname | sort -u | sed 's|^|./|')

.DEFAULT_GOAL := help
.PHONY: help build run test race lint docker kafka-image registry postgres chromium vega examples docs bench bench-consumer clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/ksim
	$(GO) build -trimpath -o bin/ksim ./cmd/ksim

run: ## run the main job: make run ARGS='--kafka containers -- python3 worker.py'
	$(GO) run ./cmd/ksim run $(ARGS)

# Packages that judge whole consumers, for minutes and by their timing, run without the race
# detector: it slows the harness down tenfold, and they would judge that. The catalogue runs once under
# it (scenarios/spec), and so does the code that they share. One at a time: each makes full use of the machine. The mutants of cmd/ksim belong to them,
# and the tests of reports in a browser, which has nothing to race with.
WHOLE = ./scenarios ./examples ./examples/mutants ./examples/python
RACED = $(filter-out $(WHOLE:./%=github.com/ksim-dev/ksim/%),$(shell $(GO) list ./...))

# Never from the cache: what a test does depends on Docker, which go test cannot see.
# consumer/bench is a module of its own; so is examples/sarama, which is judged as a program.
test: ## test everything, under the race detector but for what judges whole consumers; what needs Docker, PostgreSQL or a registry runs where they are
	@if [ "$$KSIM_REQUIRE_CONTAINERS" = 1 ] && ! timeout 10 docker info >/dev/null 2>&1; then \
		echo "KSIM_REQUIRE_CONTAINERS=1, but no Docker answers. On Debian, as root: make docker kafka-image" >&2; exit 1; fi
	@$(if $(filter ./...,$(PKG)),cd consumer/bench && $(GO) test -race ./...)
	@$(GO) run ./internal/testsummary $(if $(filter ./...,$(PKG)),\
		$(TEST) -race -skip '^Test(Mutants$$|Browser)' $(RACED) -- $(TEST) -p 1 $(WHOLE) -- $(TEST) -p 1 -run '^Test(Mutants$$|Browser)' ./cmd/ksim ./reports, \
		$(TEST) -race $(PKG))

race: ## repeat tests under the race detector to find rare failures: make race PKG=./harness/tap COUNT=50
	$(GO) test -race -count=$(or $(COUNT),10) -p 1 -failfast -timeout 60m $(PKG)

lint: ## gofmt, go vet, golangci-lint (its first build takes over a minute)
	@unformatted=$$(gofmt -l .); \
		if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:" >&2; echo "$$unformatted" >&2; exit 1; fi
	$(GO) vet ./...
	cd consumer/bench && $(GO) vet ./...
	cd examples/sarama && $(GO) vet ./...
	cd examples/field/go && $(GO) vet ./...
	$(GOLANGCI) run ./...

docker: ## install and start Docker (Debian, as root); does nothing where Docker answers
	deploy/docker/start.sh

kafka-image: ## build the Kafka image from Maven Central's jars, for machines that reach no registry
	deploy/kafka-image/build.sh

registry: ## fetch the Schema Registry that tests start, from Maven Central (needs Java 21 or newer)
	deploy/registry/fetch.sh

postgres: ## install PostgreSQL's programs (Debian, as root); tests start servers of their own
	deploy/postgres/install.sh

chromium: ## install Chromium (Debian, as root); a test looks at report.html in it
	deploy/chromium/install.sh

vega: ## fetch the programs that draw the charts of report.html again, and their licences (needs npm)
	reports/vega/vendor.sh

examples: ## build the examples in Java, Node, Go (sarama) and Rust, as far as their tools are there: ARGS='java node'
	examples/build.sh $(ARGS)

docs: ## write the reference docs from the registries
	$(GO) run ./cmd/ksim docs --out docs
	$(GO) test ./consumer -run TestDocsAreCurrent -count=1 -update

bench: ## run the benchmarks, one package at a time
	$(if $(BENCH_PKGS),$(GO) test -run '^$$' -bench . -benchmem -benchtime 1s -count 3 -p 1 -timeout 30m $(BENCH_PKGS),@echo no benchmarks)

bench-consumer: ## measure the consumer library beside others on a real broker, 5 minutes: ARGS=-h for what can be chosen
	cd consumer/bench && $(GO) run . -out ../../docs/consumer-benchmarks.md $(ARGS)

clean: ## remove what builds and runs leave behind
	rm -rf bin dist ksim-out ksim-runs coverage.out
