# Every target does its own set-up, once: all it needs is make and Python 3.11 or later. PYTHON=python3.13 makes it that one.
PYTHON ?= python3

# One environment a version of Python: .venv is of the first that was asked for, .venv-3.13 of another. A python3 that is too old or not there
# does no harm to those who have made .venv with PYTHON=...
VERSION := $(shell $(PYTHON) -c 'import sys; sys.version_info >= (3, 11) and print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
FIRST := $(shell sed -nE 's/^version(_info)? *= *([0-9]+\.[0-9]+).*/\2/p' .venv/pyvenv.cfg 2>/dev/null)
VENV := .venv
ifneq ($(FIRST),)
ifneq ($(VERSION)$(filter-out file,$(origin PYTHON)),)
ifneq ($(VERSION),$(FIRST))
VENV := .venv-$(VERSION)
endif
endif
endif
BIN := $(VENV)/bin
export BENCH := build/bench$(VENV:.venv%=%)
PIP := $(BIN)/python -m pip --disable-pip-version-check

export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: help demo test soak peer month check docs fuzz generate spec-update format bench clean
.DELETE_ON_ERROR:

help: ## show the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(VENV)/.demo ## run the main job: a campaign of 500 calls on the embedded sandbox, no account and no network
	$(BIN)/python -m retell_async.sandbox.demo

test: $(VENV)/.dev ## run the tests: four minutes on two cores, without a socket
	@echo "All tests that need no socket: four minutes on two cores. What else there is: make help"
	$(BIN)/python -m pytest -m 'not soak' -n auto --dist worksteal

soak: $(VENV)/.dev ## run what takes sockets, kills, others' packages or minutes: what bounds a time one by one, a process for each folder, then all else side by side
	@status=0; set -x; \
	for folder in tests/[!_]*/; do \
		$(BIN)/python -m pytest -m 'soak and not parallel' $$folder || [ $$? = 5 ] || status=1; \
	done; \
	$(BIN)/python -m pytest -m 'soak and parallel' -n 3 --dist loadscope || status=1; \
	exit $$status

peer: $(VENV)/.dev ## run the official SDK's own tests, fetched from the index, against this package: four minutes
	$(BIN)/python -m tests.peer tests

month: $(VENV)/.dev ## move a copy of the tree to the next month's document and run check, test and demo there: ten minutes
	$(BIN)/python -m tests.soak.month

check: $(VENV)/.dev ## format, lint, generated code up to date, layers, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m codegen check
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

fuzz: $(VENV)/.dev ## a long run of made-up requests against the sandbox
	SCHEMATHESIS_EXAMPLES=100 $(BIN)/python -m pytest tests/sandbox/test_schemathesis.py

docs: $(VENV)/.dev ## build the documentation into build/docs, which takes minutes; a warning is an error
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --jobs auto --doctree-dir build/doctrees docs build/docs

generate: $(VENV)/.dev ## make the generated code anew from the pinned document
	$(BIN)/python -m codegen generate

spec-update: $(VENV)/.dev ## pin another revision of the document, SPEC=<path or URL>, and generate from it
	$(BIN)/python -m codegen update $(if $(SPEC),'$(SPEC)')

format: $(VENV)/.dev ## format the code and mend what the linter can mend
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(BENCH)/ours/.made $(BENCH)/trio/.made $(BENCH)/peer/.made $(BENCH)/limits/.made $(BENCH)/telemetry/.made ## measure against the official SDK, each in an environment of its own: all, or NAMES="cost decode"
	for side in ours trio telemetry; do $(PIP) --python $(BENCH)/$$side install --quiet --force-reinstall --no-deps . || exit 1; done
	$(BIN)/python -m benchmarks $(NAMES)

clean: ## remove everything that the targets above made, generated code aside
	rm -rf .venv .venv-[0-9]* build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed, $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.demo: pyproject.toml | $(VENV)/.made
	$(PIP) install --quiet --editable '.[sandbox]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.made
	$(PIP) install --quiet --editable '.[aiohttp,archive,campaigns,cli,config,fastapi,http2,llm,mcp,parquet,sandbox,telemetry]' --group dev
	@$(BIN)/pyright --version >/dev/null # fetches what it needs, once
	@touch $@ $(VENV)/.demo

$(BENCH)/ours/.made: pyproject.toml | $(VENV)/.made
	$(PYTHON) -m venv --clear --without-pip $(@D)
	$(PIP) --python $(@D) install --quiet '.[aiohttp]' uvloop
	@touch $@

$(BENCH)/trio/.made: pyproject.toml | $(VENV)/.made
	$(PYTHON) -m venv --clear --without-pip $(@D)
	$(PIP) --python $(@D) install --quiet . trio
	@touch $@

$(BENCH)/telemetry/.made: pyproject.toml | $(VENV)/.made
	$(PYTHON) -m venv --clear --without-pip $(@D)
	$(PIP) --python $(@D) install --quiet '.[telemetry]' opentelemetry-sdk
	@touch $@

$(BENCH)/peer/.made $(BENCH)/limits/.made: $(BENCH)/%/.made: pyproject.toml | $(VENV)/.made
	$(PYTHON) -m venv --clear --without-pip $(@D)
	$(PIP) --python $(@D) install --quiet --group $*
	@touch $@
