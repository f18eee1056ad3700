# The newcomer's whole interface. `make help` lists it.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test test-all check docs ui clean install lock

PYTHON ?= python3
PORT ?= 3000
UV_VERSION := 0.13.9
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)
BIN := .venv/bin
STAMP := .venv/.installed
# Three on two cores: some tests wait for a process, a disk or a lock.
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

export PATH := $(CURDIR)/.venv/bin:$(PATH)
# The Python that is here, and nothing from anywhere but the package index.
export UV_PYTHON_DOWNLOADS := never
export UV_LINK_MODE ?= copy
# Python keeps what it compiles, whatever the environment says: compiling is half of each start.
export PYTHONDONTWRITEBYTECODE :=

help:  ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP)  ## Install everything into .venv (the other commands do it by themselves)

demo: $(STAMP)  ## Materialize the whole graph on the sample and say where to look
	@dvc pull --quiet
	@iip refresh

test: $(STAMP)  ## Run the tests
	@$(PYTEST) -m "not exhaustive"

test-all: $(STAMP)  ## Run those too of which `make test` runs one of a family
	@$(PYTEST)

check: $(STAMP)  ## Lint, format, types, import contracts, the documentation
	ruff check
	ruff format --check
	mypy
	lint-imports --no-cache
	$(MAKE) --no-print-directory docs

docs: $(STAMP)  ## Build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 mkdocs build --quiet
	@echo "The documentation is in site/index.html"

ui: $(STAMP)  ## Start Dagster on http://127.0.0.1:3000 with this workspace; PORT=3001 is another port
	@dvc pull --quiet
	@iip ui --port $(PORT)

clean:  ## Remove what was computed and cached (not .venv, data/ or the prediction log)
	test ! -d .iip || find .iip -mindepth 1 -maxdepth 1 ! -name prediction_log -exec rm -rf {} +
	rm -rf site .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -type d -exec rm -rf {} +

lock: .uv/bin/uv  ## Choose versions anew, within pyproject.toml
	$(UV) pip compile --quiet --universal --generate-hashes --no-annotate --no-header --upgrade \
	  --group dev pyproject.toml -o requirements.lock

$(STAMP): requirements.lock pyproject.toml | $(UV)
	@$(UV) --version >/dev/null
	@test -x $(BIN)/python || $(UV) venv --quiet --python "$(PYTHON)" .venv
	@echo "Installing into .venv (about 7 GB, PyTorch for the most part)…"
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c "from pathlib import Path; from iip_assets.ingest.merge_driver import set_up_merges; set_up_merges(Path('.'))"
	@PATH="$(CURDIR)/.uv/bin:$$PATH" $(BIN)/python -m iip_assets.statistics.landmark_install || true
	@touch $(STAMP)

.uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv .uv
	@.uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
