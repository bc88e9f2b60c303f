# Two commands matter: `make demo` shows the operator at work, `make test` proves it. Both do all their own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 3
READY := $(VENV)/.ready

.PHONY: all demo test bench check lint types contracts crds reference argocd proto pure clean help
.DEFAULT_GOAL := all

all: $(READY) ## make the virtual environment with everything in it

$(READY): pyproject.toml .constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than Python 3.11: install a newer one, or name it: make PYTHON=python3.12" >&2; exit 2; }
	@test -x $(BIN)/python || { echo "==> a virtual environment in $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "==> the project and its tools, as pinned in .constraints.txt"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY) ## a corrupted run comes back by itself; KEEP=1 leaves everything up
	@$(BIN)/tinker-playground demo $(if $(KEEP),--keep)

test: $(READY) ## every test: pure, over HTTP, and on a real API server
	@$(BIN)/tinker-playground warm --helm --prometheus --scores
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

bench: $(READY) ## measure for hours against named baselines and write docs/bench.md; ARGS=--short only sees that it works
	@$(BIN)/tinker-playground warm
	@$(BIN)/python -m tests.bench --date $(or $(DATE),$(shell date -u +%Y-%m-%d)) $(ARGS)

check: lint types contracts pure ## what answers within a minute, for every save

lint: $(READY) ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY) ## mypy --strict
	@$(BIN)/mypy

contracts: $(READY) ## imports point one way; generated files are what their sources say
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m tinker_operator.api.crd crds --check
	@$(BIN)/python -m tinker_operator.api.reference docs/reference.md --check
	@$(BIN)/python -m tinker_operator.tinker.proto.generate --check
	@$(BIN)/python -m playground.argocd deploy/argocd --check

pure: $(READY) ## the tests without a process or a socket
	@$(BIN)/python -m pytest -q -m pure $(ARGS)

crds: $(READY) ## write crds/ from the types
	@$(BIN)/python -m tinker_operator.api.crd crds

reference: $(READY) ## write docs/reference.md from the types
	@$(BIN)/python -m tinker_operator.api.reference docs/reference.md

argocd: $(READY) ## write Argo CD's ConfigMap from the scripts
	@$(BIN)/python -m playground.argocd deploy/argocd

proto: $(READY) ## write the protobuf modules from the .proto
	@$(BIN)/python -m tinker_operator.tinker.proto.generate

clean: ## remove what the build made; the cache of binaries stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12
