# Everything here works in a fresh clone with python3 (3.11 or newer), git and make.
# Another Python: make PYTHON=python3.13 …     More arguments: make test ARGS='-k kubectl'

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# pip obeys its own environment and files (an index, a proxy, certificates), but installs into .venv whatever they say.
export PIP_USER := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PYTHONPATH PYTHONHOME

# .venv is made anew for another Python, and installed into anew when the *content* of what is installed has changed.
BASE := base-$(shell $(PYTHON) -c 'import sys; print(sys.version, sys.base_prefix)' 2>&1 | cksum | cut -d' ' -f1)
CONTENT := $(shell { ls LICENSE README.md; \
	find pyproject.toml setup.cfg credential_helper -type f ! -name '*.pyc' | LC_ALL=C sort | xargs cksum; } 2>&1 \
	| cksum | cut -d' ' -f1)
RUNTIME := $(VENV)/runtime-$(CONTENT)
DEVELOPMENT := $(VENV)/development-$(CONTENT)
MEASURED := $(VENV)/measured/$(CONTENT)

.PHONY: help demo test test-providers check bench clean python
.NOTPARALLEL:
.DEFAULT_GOAL := help

help: ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile | expand -t 22

demo: python $(RUNTIME) ## see it work: a sign-in, a cached answer, a machine; leaves nothing behind
	@$(BIN)/python -m integration.demo $(ARGS)

# Tests wait more than they work: more workers than processors. One process, for a debugger: make test ARGS=-n0
# Each worker reads all the tests, which takes seconds unless they are kept compiled.
test: export PYTEST_XDIST_AUTO_NUM_WORKERS ?= $(shell $(PYTHON) -c 'import os; print(2 * min(os.cpu_count() or 1, 7) + 1)')
test: $(DEVELOPMENT) ## run every test that this machine can run
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

# First everything is fetched and built, which takes minutes once; then each provider has a worker of its own.
test-providers: $(DEVELOPMENT) ## run the tests with Keycloak, Ory Hydra and Dex, for which Java, Maven and Go are needed
	@$(BIN)/python -m integration.servers.providers.made
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n 3 --dist loadgroup integration/providers $(ARGS)

check: $(DEVELOPMENT) ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(MEASURED) ## measure what users wait for against the bare interpreter, with goals and peers: ARGS=-h
	@$(VENV)/measured/bin/python -m integration.bench $(ARGS)

clean: ## remove what was made here
	rm -rf $(VENV) build dist artefacts *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find credential_helper tests integration -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	@if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "$(PYTHON) should be Python 3.11 or newer; it is: $$($(PYTHON) -V 2>&1 | head -n 1)" >&2; \
	elif ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$(PYTHON) is $$($(PYTHON) -V), but has no venv or no ensurepip" >&2; \
	else \
		echo "$(PYTHON): $$($(PYTHON) -V) with venv, good"; exit 0; \
	fi; \
	echo "  Debian, Ubuntu: apt install python3-venv   Fedora: dnf install python3   macOS: brew install python" >&2; \
	echo "  or name another one: make PYTHON=/path/to/python3.13" >&2; exit 1

$(VENV)/$(BASE):
	@$(MAKE) --no-print-directory python >/dev/null
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# build/ may hold modules of yesterday, which setuptools would put into the wheel.
$(RUNTIME): $(VENV)/$(BASE)
	@echo "installing into $(VENV) (the first time takes a minute)"
	@rm -rf build
	@$(BIN)/python -m pip install -qq .
	@rm -rf build *.egg-info $(VENV)/runtime-* $(VENV)/development-*
	@touch $@

$(DEVELOPMENT): $(VENV)/$(BASE)
	@echo "installing into $(VENV), with what tests need (the first time takes a minute)"
	@rm -rf build
	@$(BIN)/python -m pip install -qq '.[dev]'
	@rm -rf build *.egg-info $(VENV)/runtime-* $(VENV)/development-*
	@touch $(RUNTIME) $@

# An environment of its own: the program is slower beside what tests need, as msgspec loads typing_extensions if it can.
$(MEASURED): $(VENV)/$(BASE)
	@echo "installing into $(VENV)/measured (the first time takes a minute)"
	@rm -rf build
	@$(PYTHON) -m venv --clear $(VENV)/measured
	@$(VENV)/measured/bin/python -m pip install -qq '.[fleet]'
	@rm -rf build *.egg-info
	@touch $@
