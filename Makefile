# make demo   the whole experiment at x2 and x4, on photographs that need no download
# make check  style, types, import contracts and unit tests: at most two minutes
# make test   the same, and all other tests but for
# make exhaustive   further cases of what they show
# make site   the pages of docs/ as a site, in site/
# make weights   train the weights that ship with the package anew (about six hours; it goes on where it was stopped)
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

# `mlflow run --env-manager local` looks for `python` on the path.
export PATH := $(CURDIR)/$(BIN):$(PATH)

SHELL := /bin/bash
export TIMEFORMAT := that took %0R seconds
# Tests wait for servers and kills half of the time, so one more at once than there are cores.
PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder \
  --numprocesses $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
STYLE := $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports


.PHONY: demo check test exhaustive install site weights clean

demo: .venv/installed
	$(BIN)/mlflow run . --env-manager local --experiment-name srcnn -e main -P scale=2
	$(BIN)/mlflow run . --env-manager local --experiment-name srcnn -e main -P scale=4
	$(BIN)/python -m srcnn_mlflow results

check test exhaustive: export OMP_NUM_THREADS := 1

check: .venv/installed-test
	time { $(STYLE) && $(PYTEST) -m "not slow and not exhaustive"; }

# Style and types are checked beside the tests, and once more, to be read, where they fail.
test: .venv/installed-test
	time { { $(STYLE); } > /dev/null & $(PYTEST) -m "not exhaustive" && { wait $$! || { $(STYLE); }; }; }

exhaustive: .venv/installed-test
	time $(PYTEST) -m exhaustive

install: .venv/installed

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: requirements.txt pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

.venv/installed-test: requirements-test.txt .venv/installed
	$(BIN)/python -m pip install --quiet -r requirements-test.txt
	touch $@

site: .venv/installed-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

weights: .venv/installed
	$(BIN)/python tools/records.py
	$(BIN)/python tools/ship_weights.py

clean:
	rm -rf .venv data/prepared site
