# The commands of this house; `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
FOR_DEMO := $(VENV)/.installed-for-demo
FOR_TESTS := $(VENV)/.installed-for-tests

.PHONY: help demo check test soak bench docs format lock clean venv

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\n  PYTHON=python3.12 picks the interpreter (3.11 or newer), ARGS=… goes to the command.\n'

demo: $(FOR_DEMO) ## Set up .venv, then train a few small models under Tallystick (ARGS=--exit ends it)
	@$(BIN)/tally demo $(ARGS)

check: $(FOR_TESTS) ## The two-minute part: format, lint, types, unit tests, house rules
	@$(BIN)/python tests/run_suites.py check $(ARGS)

test: $(FOR_TESTS) ## Everything that must hold before a change lands (ARGS="unit docs" picks suites)
	@$(BIN)/python tests/run_suites.py test $(ARGS)

soak: $(FOR_TESTS) ## The long forms of the property, fault and end-to-end tests; run by hand
	@$(BIN)/python tests/run_suites.py soak $(ARGS)

bench: $(FOR_TESTS) ## Measure beside floors and peers, by hand (ARGS=peers first; ARGS="creates --quick")
	@$(BIN)/python -m bench $(ARGS)

docs: $(FOR_TESTS) ## Write the pages of docs/reference that are made from the code
	@$(BIN)/python -m docs.generate

format: $(FOR_TESTS) ## Format the code, and mend what the linter can mend by itself
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

venv: $(FOR_TESTS) ## Set up .venv with everything that developers need

lock: ## Resolve the dependencies again (ARGS=--upgrade takes newer versions); needs the registry
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip --disable-pip-version-check --quiet --quiet install pip-tools
	@build/lock/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
		--extra demo --extra postgres --extra test $(ARGS) \
		--output-file requirements.lock pyproject.toml

clean: ## Remove .venv, caches and build output
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests docs examples -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Tallystick needs Python 3.11 or newer, and '$(PYTHON)' is not that." >&2; \
		echo "Name another one:  make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

# The demo takes the locked versions without the test tools; the tests check every hash.
$(FOR_DEMO): pyproject.toml requirements.lock | $(BIN)/python
	@echo "Setting up $(VENV) (only this once, about a minute) ..." >&2
	@sed -nE 's/^([A-Za-z0-9._-]+==[^ ;]+).*/\1/p' requirements.lock > $(VENV)/constraints.txt
	@$(PIP) install --constraint $(VENV)/constraints.txt --editable '.[demo]'
	@touch $@

$(FOR_TESTS): pyproject.toml requirements.lock | $(BIN)/python
	@echo "Setting up $(VENV) for tests (only this once, a minute or two) ..." >&2
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --editable .
	@touch $@ $(FOR_DEMO)
