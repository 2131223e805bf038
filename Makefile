# Needs Python >= 3.11 with venv, make and git; everything else comes from the lock files by pip.
#   make demo       the app on a small data set that it writes itself; prints the report to open
#   make test       the whole test suite without the slow statistics
#   make test-slow  those
#   make mutants    deliberate faults, one at a time: which ones do the tests notice?
#   make test-reference  of `make test`, what needs the folder that TASKGLM_REFERENCE names (../shared)
# VENV, DEMO and PYTHON can be set: `make VENV=/tmp/venv demo`; SAMPLE and SEED, for the faults.

VENV ?= .venv
DEMO ?= demo
SAMPLE ?= 150
SEED ?= 0
# A test file keeps to one process: it shares datasets.
SIDE_BY_SIDE = -n logical --dist loadfile
CANDIDATES = python3 python3.13 python3.12 python3.11 python3.14 python
PYTHON ?= $(shell for python in $(CANDIDATES); do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo $$python; break; }; done)

PY = $(VENV)/bin/python
# With --no-deps: the locks are complete but for what pyproject.toml takes out.
PIP = $(PY) -m pip --disable-pip-version-check install --quiet --no-build-isolation --use-pep517
ENVIRONMENT = $(VENV)/.environment
APP = $(VENV)/.app
TEST = $(VENV)/.test
DATA = $(DEMO)/data
OUT = $(DEMO)/out

.PHONY: help demo test test-slow test-reference mutants bench docs gallery lint lock clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

$(ENVIRONMENT): requirements-build.lock
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 with venv and ensurepip was found among $(CANDIDATES)." \
		"Install one (Debian, Ubuntu: apt install python3-venv) or name it: make PYTHON=/path/to/python." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) --require-hashes -r requirements-build.lock
	@touch $@

$(APP): $(ENVIRONMENT) requirements.lock pyproject.toml
	@echo "Installing the app and its pinned packages into $(VENV)"
	$(PIP) --no-deps --require-hashes -r requirements.lock
	$(PIP) --no-deps --editable .
	@touch $@

$(TEST): $(APP) requirements-test.lock
	@echo "Installing the pinned test packages into $(VENV)"
	$(PIP) --no-deps --require-hashes -r requirements-test.lock
	@touch $@

$(DATA)/dataset_description.json: bidsapp/demo.py | $(APP)
	rm -rf $(DATA) $(OUT)
	$(PY) -m bidsapp.demo $(DATA)

demo: $(APP) $(DATA)/dataset_description.json
	$(PY) run.py $(DATA) $(OUT) participant
	$(PY) run.py $(DATA) $(OUT) group
	@echo
	@echo "Open the report: $(abspath $(OUT))/group.html"

test: $(TEST)
	$(PY) -m pytest -m "not slow" $(SIDE_BY_SIDE) $(PYTEST_ARGS)

test-slow: $(TEST)
	$(PY) -m pytest -m slow $(PYTEST_ARGS)

test-reference: $(TEST)
	$(PY) -m pytest -m "reference and not slow" $(SIDE_BY_SIDE) $(PYTEST_ARGS)

# Not of the tests: what makes the drawn faults.
mutants: $(TEST) requirements-mutants.lock
	$(PIP) --no-deps --require-hashes -r requirements-mutants.lock
	$(PY) .ci/mutants
	$(PY) .ci/mutants --sample $(SAMPLE) --seed $(SEED)

bench: $(TEST)
	@for script in benchmarks/*.py; do echo "== $$script"; $(PY) "$$script" || exit 1; done

# docs/usage.md and descriptor.json, made from the command line itself.
docs: $(APP)
	PYTHONPATH=. $(PY) docs/write_usage.py

# docs/gallery.md and its pictures: a report of each kind of design. Needs Chromium.
gallery: $(TEST)
	PYTHONPATH=. $(PY) docs/write_gallery.py

lint: $(TEST)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/codespell
	$(VENV)/bin/mypy

# For those who change the dependencies: needs uv.
# One version of each package for every Python: the same numbers everywhere.
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-header
lock:
	printf 'setuptools>=77\nwheel\n' | $(COMPILE) - -o requirements-build.lock
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) pyproject.toml --extra dask -c requirements.lock -o requirements-dask.lock
	$(COMPILE) pyproject.toml --extra test --extra dask -c requirements-dask.lock -o requirements-test.lock
	printf 'cosmic-ray>=8.7\n' | $(COMPILE) -c requirements-test.lock - -o requirements-mutants.lock

clean:
	rm -rf $(VENV) $(DEMO)
