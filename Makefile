# One command for each verb, the same at home and in CI. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.NOTPARALLEL:

VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python
# The first of these that exists; `make PYTHON=/path/to/python` names another
PYTHON := $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))

# A change of these files, or of the folder, installs anew; the stamp's name is their checksum
KEY := $(shell { pwd; cat pyproject.toml constraints.txt; } | cksum | cut -d' ' -f1)
BASE := $(VENV)/.base-$(KEY)
DEV := $(VENV)/.dev-$(KEY)
INSTALL := $(RUN) -m pip install --no-input --disable-pip-version-check -c constraints.txt

# Bounds-checked kernels have a cache of their own: Numba would take the unchecked ones for them
CHECKED := NUMBA_BOUNDSCHECK=1 SHADOWBOOK_CACHE=$(CURDIR)/.cache/bounds-checked
INTERPRETED := NUMBA_DISABLE_JIT=1
PYTEST := $(RUN) -m pytest
SIM := tests/sim tests/reference
WORKERS ?= 2
say = @printf '\n== %s\n' "$(1)"

# One thread a process: parallel test workers do not fight, and results do not depend on the number of cores
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export NUMBA_NUM_THREADS := 1
export MPLBACKEND := Agg
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: help setup train tables fmt check lint types imports test checked interpreted compiled warm proofs bench docs clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(DEV) ## make .venv with everything that development needs
	@echo '$(VENV) is ready'

train: $(BASE) ## install what is missing, then train, judge and report: python train.py [ARGS="seed=3 total_steps=1e6"]
	$(RUN) train.py $(ARGS)

# Checks and compilers use one core each, and run side by side
test: $(DEV) ## every check: lint, types, import rules, tests three ways
	@$(MAKE) check & checks=$$!; $(MAKE) warm; wait $$checks
	@$(MAKE) checked interpreted compiled WARM=

fmt: $(DEV) ## format and fix what can be fixed
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

check: lint types imports ## lint, types and import rules, without tests

lint: $(DEV)
	$(call say,lint and format)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(DEV)
	$(call say,types)
	$(RUN) -m mypy

imports: $(DEV)
	$(call say,import rules)
	$(RUN) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

# Numba compiles on one core: the two caches are filled side by side
WARM := warm
warm: $(DEV)
	$(call say,compile the kernels with and without bounds checks)
	$(CHECKED) $(RUN) -m tests.warm sim & checked=$$!; $(RUN) -m tests.warm && wait $$checked

checked: $(DEV) $(WARM) ## the simulator's tests with bounds-checked kernels
	$(call say,sim with bounds-checked kernels)
	$(CHECKED) $(PYTEST) -n $(WORKERS) $(SIM)

interpreted: $(DEV) ## the simulator's tests without the compiler, with coverage
	$(call say,sim interpreted with coverage)
	$(INTERPRETED) $(PYTEST) -n $(WORKERS) --cov --cov-report=term:skip-covered $(SIM)

compiled: $(DEV) $(WARM) ## all tests
	$(call say,all tests)
	$(PYTEST) -n $(WORKERS) --durations=10

proofs: $(BASE) ## every claim at its full length: the market's laws, learning, a published result
	$(RUN) -m benchmarks laws
	$(RUN) -m benchmarks resolvedkit
	$(RUN) -m benchmarks learning
	$(RUN) -m benchmarks curriculum
	$(RUN) -m benchmarks transfer
	$(RUN) -m benchmarks cluster
	$(RUN) -m benchmarks adversary
	$(RUN) -m benchmarks coverage
	$(RUN) -m benchmarks recorder_kill
	$(RUN) -m benchmarks frames
	$(RUN) -m benchmarks order_faults
	$(RUN) -m benchmarks order_kill

bench: $(BASE) ## speed: environment, replay and training, one JSON line each
	$(RUN) -m benchmarks env
	$(RUN) -m benchmarks replay
	$(RUN) -m benchmarks scale
	$(RUN) -m benchmarks train
	$(RUN) -m benchmarks decide
	$(RUN) -m benchmarks presign
	$(RUN) -m benchmarks recorder --seconds 300

# One table after the other, at one budget, until one fails; DATA is the folder of recordings, TABLES where the tables go
KINDS ?= kalshi_crypto kalshi_sports kalshi_weather polymarket_crypto polymarket_sports
TABLES ?= sim/scenarios/tables
TRIALS ?= 500
tables: $(BASE) ## fit the scenario tables anew: make tables DATA=... [KINDS=... TRIALS=500 TABLES=folder]
	@test -n "$(DATA)" || { echo 'make tables DATA=folder of recordings'; exit 2; }
	set -e; for kind in $(KINDS); do \
	  $(RUN) -m sim.scenarios.calibrate $(DATA) --kind $$kind --trials $(TRIALS) --out $(TABLES)/$$kind.toml --overwrite; \
	  if test $$kind = kalshi_crypto; then \
	    $(RUN) -m sim.scenarios.markouts $(TABLES)/$$kind.toml $(DATA)/kalshi_real_fills_markouts.parquet \
	      --out $(TABLES)/$$kind.toml --overwrite; \
	  fi; \
	done

docs: $(DEV) ## rewrite the generated pages, then check links and run the examples
	$(RUN) -m envs.features
	$(RUN) -m sim.venues.page
	$(PYTEST) tests/test_project.py tests/test_readme.py

clean: ## remove what was built; .venv and checkpoints/ stay
	rm -rf .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage build dist *.egg-info
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

$(BASE):
	$(call venv)
	$(INSTALL) -e .
	@rm -f $(VENV)/.base-* $(VENV)/.dev-*
	@touch $@

$(DEV):
	$(call venv)
	$(INSTALL) -e '.[dev]'
	@rm -f $(VENV)/.base-* $(VENV)/.dev-*
	@touch $(BASE) $@

# Makes .venv where there is none, or one without pip, as an interrupted run leaves it
define venv
	@$(RUN) -m pip --version >/dev/null 2>&1 && exit 0; \
	for python in $(PYTHON); do \
	  if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
	    echo "$$python -m venv $(VENV)"; exec "$$python" -m venv --clear $(VENV); \
	  fi; \
	done; \
	echo "No Python 3.11 to 3.13 among: $(PYTHON). Name one: make PYTHON=/path/to/python3.11" >&2; exit 1
endef
