# Two commands matter: `make demo` and `make test`. Both do all their set-up.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
SETUP = $(PYTHON) -m tools.setup
# Tests of one file stay together: they share a cluster. More processes than four gain nothing.
JOBS ?= $(shell n=$$(nproc); echo $$((n < 4 ? n : 4)))
PYTEST = $(BIN)/python -m pytest -q
PARALLEL = -n $(JOBS) --dist loadfile
CORE := src/sealflow/wire/*,src/sealflow/openinfer/*,src/sealflow/attest/*,src/sealflow/seal/*,src/sealflow/package/*,src/sealflow/documents/*

.DEFAULT_GOAL := help
.PHONY: help python setup flink tools demo test check fmt lint types arch unit e2e coverage images e2e-images e2e-gramine chaos bench docs site mutate fuzz audit lock previous newcomer clean

help: ## Say what there is
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

python:
	@command -v $(PYTHON) >/dev/null || { echo "error: no $(PYTHON) here: install Python 3.11 or newer" >&2; exit 1; }

setup: python ## Make .venv with everything in it, from hash-pinned lists
	@$(SETUP) dev

flink: python ## Make .venv-flink: Apache Flink, Java and the host's code
	@$(SETUP) dev flink

tools: python # All environments and programs that the tests use.
	@$(SETUP) dev flink audit site pyright helm wheels node

demo: setup ## Serve a real classifier, print the top 5 of three photos and the benchmark
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

test: tools system-redis system-chromium ## Run all tests
	@$(PYTEST) $(PARALLEL)

check: setup lint types arch unit ## What every commit passes

fmt: setup ## Format
	@$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix .

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check -q . && $(BIN)/python tools/english.py

types: setup
	@$(BIN)/mypy

arch: setup
	@report=$$($(BIN)/lint-imports --no-cache) && echo "$$report" | tail -1 || { echo "$$report"; exit 1; }

# Quick tests also wait: one process more than there are cores. `make test` alone runs the vectors and the slowest rooms.
SLOW := tests/unit/operator tests/unit/host/gateway
unit: setup
	@$(PYTEST) -n $$(($(JOBS) + 1)) --dist loadfile -x $(addprefix --ignore=,$(SLOW)) tests/unit tests/architecture tests/setup/test_lists.py

e2e: tools pod-tools ## Run the tests that start whole clusters, and the chart's pods
	@$(PYTEST) tests/e2e
	@$(PYTEST) -m pods tests/e2e

images: ## Build the container images with buildah
	@$(PYTHON) -m tools.images

e2e-images: setup image-tools ## Build the images on a base of Debian's own packages and run them
	@$(PYTEST) -m images tests/images

e2e-gramine: setup ## Sign, start and attack enclaves with the Gramine of this machine, without SGX hardware
	@$(PYTEST) -m gramine tests/gramine

chaos: flink system-redis ## Kill, pause, starve and cut off everything under load; writes bench/results/chaos.md
	@$(PYTEST) -m chaos --timeout 400 tests/chaos

coverage: tools system-redis system-chromium ## Run all tests; the core is covered whole, the rest to 90 %
	@$(PYTEST) --cov --cov-report=
	@$(BIN)/python -m coverage report --include='src/sealflow/errors.py,$(CORE)' --fail-under=100 --show-missing --skip-covered
	@$(BIN)/python -m coverage report --omit='src/sealflow/errors.py,$(CORE)' --fail-under=90 --skip-covered

bench: setup ## Compare the cluster with an in-process loop; writes bench/results
	@$(BIN)/python -m bench.compare

docs: setup ## Write docs/tcb.md, the Python reference and the chart's README anew
	@$(BIN)/python tools/tcb.py
	@$(BIN)/python tools/python_reference.py
	@$(BIN)/python tools/chart_readme.py

site: setup ## Build the documentation site into build/site; asks no network
	@$(SETUP) site
	@$(BIN)/python tools/build_site.py

mutate: setup ## Switch off each check of the verifiers; a vector or an attack test must fail
	@$(BIN)/python -m tools.mutate $(MUTATE)

FUZZ_S ?= 300
DIFFERENTIAL_S ?= 600
fuzz: setup ## Compare the parsers with JavaScript's, DIFFERENTIAL_S seconds; search for inputs that take long or break one, FUZZ_S each (x86-64, CPython 3.11 or 3.12)
	@$(SETUP) fuzz node
	@$(BIN)/python -m tests.fuzz.differential --seconds $(DIFFERENTIAL_S)
	@$(BIN)/python -m tests.fuzz.cpu_time --seconds $(FUZZ_S)
	@for target in envelope infer_request evidence quote bundle directory passport token; do \
	  echo "$$target" && $(BIN)/python -m tests.fuzz.search $$target build/fuzz/$$target \
	    -max_total_time=$(FUZZ_S) -artifact_prefix=build/fuzz/ || exit 1; done

lock: setup ## Renew all lists of packages to the newest releases; KEEP=1 keeps pins that still fit
	@$(PYTHON) -m tools.lock $(if $(KEEP),--keep)

COMMIT ?= HEAD
previous: setup ## Keep the wheel of COMMIT, a release, for the tests of the next one
	@$(BIN)/python -m tools.previous $(COMMIT)

SUITES ?= bookworm trixie
COMMANDS ?= demo
newcomer: python ## Try COMMANDS="demo test" as a new user in fresh SUITES="bookworm trixie"; needs root
	@$(PYTHON) -m tools.newcomer --suites $(SUITES) --commands $(COMMANDS)

audit: python ## Look for known vulnerabilities of all that is pinned; asks an advisory service
	@$(SETUP) dev audit
	@$(PYTHON) tools/audit.py $(AUDIT)

clean: ## Delete what make made
	@rm -rf $(VENV) .venv-flink .venv-audit .venv-site .venv-pyright .tools .images .sealflow .mypy_cache .ruff_cache .pytest_cache .cache build dist

# The contract tests also run over a system Redis; without one they say that they skip.
.PHONY: system-redis
system-redis:
	@command -v redis-server >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq redis-server; } >/dev/null 2>&1 || \
	  echo "no redis-server: its contract tests will skip"

# The JavaScript client is tried in a browser; without one that test says that it skips.
.PHONY: system-chromium
system-chromium:
	@command -v chromium >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 || \
	  echo "no chromium: the test of the JavaScript client in a browser will skip"

.PHONY: pod-tools
pod-tools: system-redis
	@$(call installed,podman runc nft nsenter ip,podman runc catatonit nftables iproute2 util-linux)

.PHONY: image-tools
image-tools:
	@$(call installed,buildah mmdebstrap podman runc newuidmap,buildah catatonit mmdebstrap podman runc uidmap)

# Install packages of Debian (the second argument) unless each program (the first) is there.
installed = missing=; for each in $(1); do command -v $$each >/dev/null || missing="$$missing $$each"; done; \
  [ -z "$$missing" ] || { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
  apt-get install -y -qq --no-install-recommends $(2); } >/dev/null || \
  { echo "error: not installed:$$missing; as root: apt-get install $(2)" >&2; exit 1; }
