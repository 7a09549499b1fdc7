# Every target sets up what it needs in .venv; only Python >= 3.11 with venv, and make, must be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SCALE ?= default
RESULTS ?= results
OUT ?= figures/out
# pip would compile to bytecode on one core, which takes as long as all else that it does.
INSTALL = $(BIN)/pip install -q --no-compile -c constraints.txt -e
BYTECODE = $(BIN)/python -m compileall -q -j 0 $(VENV)/lib
# Tests of one file share what they compile and simulate.
PYTEST = $(BIN)/python -m pytest -n auto --dist loadfile
THEORY := $(shell find theory twolayer/host -name '*.py')
SIMS := $(shell find sims -name '*.py')
# What takes minutes and is about code alone is left out of a smoke run.
VERDICTS := $(if $(filter smoke,$(SCALE)),,$(RESULTS)/theorems.json)
MEASURED := $(if $(filter smoke,$(SCALE)),,$(RESULTS)/attacks.json $(RESULTS)/bench.json)

.PHONY: reproduce paper test test-all baseline fuzz mutants torture audit browser lint typecheck bench verify falsify clean

reproduce: $(VENV)/.runtime
	$(BIN)/twolayer run all --scale $(SCALE) --results $(RESULTS)
	$(if $(VERDICTS),$(MAKE) --no-print-directory $(VERDICTS))
	$(BIN)/twolayer report --scale $(SCALE) --results $(RESULTS) --out $(OUT)

# LaTeX is looked for first, so that nobody learns after half an hour that it is not there.
paper:
	@$(MAKE) --no-print-directory -C paper needs
	$(if $(MEASURED),$(MAKE) --no-print-directory $(MEASURED))
	$(MAKE) --no-print-directory reproduce
	$(BIN)/twolayer numbers --scale $(SCALE) --results $(RESULTS) --out $(OUT)
	$(MAKE) --no-print-directory -C paper OUT=$(abspath $(OUT))

# Verdicts for the report; `make verify` checks on more instances.
$(RESULTS)/theorems.json: $(THEORY) | $(VENV)/.runtime
	mkdir -p $(RESULTS)
	$(BIN)/twolayer verify --instances 1000 --json $@ --save $(RESULTS)/counterexamples

# A short search for counterexamples; `make falsify` searches longer.
$(RESULTS)/attacks.json: $(THEORY) | $(VENV)/.runtime
	mkdir -p $(RESULTS)
	$(BIN)/twolayer falsify --budget 5 --json $@ --save $(RESULTS)/counterexamples

# A ratio that this machine misses is shown as missed; only `make bench` fails on it.
$(RESULTS)/bench.json: $(THEORY) $(SIMS) | $(VENV)/.test
	mkdir -p $(RESULTS)
	$(BIN)/python -m tests.benchmarks --json $@ || test -f $@

test: $(VENV)/.test
	$(PYTEST) -m "not slow" -q

test-all: $(VENV)/.test
	$(PYTEST) -q

# The report in a headless browser: Chromium must be installed.
browser: $(VENV)/.test
	$(INSTALL) '.[test,browser]'
	$(BIN)/python -m pytest -q tests/figures/test_report.py

# Records of what verification finds of every theorem; some minutes.
baseline: $(VENV)/.test
	$(BIN)/python -m tests.theory.baseline

# Every public function in every way: valid and invalid arguments, and values that must agree; minutes.
fuzz: $(VENV)/.test
	$(BIN)/python -m pytest -n auto -m slow tests/robustness/fuzz/test_fuzz.py

# Whether changes of the code of theory are noticed by verification and tests; about an hour.
mutants: $(VENV)/.dev
	mkdir -p $(RESULTS)
	$(BIN)/python -m tests.robustness.mutation --json $(RESULTS)/mutants.json

# Kills, full disks, damaged files and other faults; takes most of half an hour.
torture: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 -q tests/robustness/crash

# Are weaknesses known of the pinned versions? Status 3 where the service that knows is out of reach.
audit: $(VENV)/.dev
	@$(BIN)/python -m tests.audit

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

typecheck: $(VENV)/.dev
	$(BIN)/mypy

verify: $(VENV)/.runtime
	$(BIN)/twolayer verify --instances 10000 --save $(RESULTS)/counterexamples

falsify: $(VENV)/.runtime
	mkdir -p $(RESULTS)
	$(BIN)/twolayer falsify --budget 60 --json $(RESULTS)/attacks.json --save $(RESULTS)/counterexamples

bench: $(VENV)/.test
	mkdir -p $(RESULTS)
	$(BIN)/python -m tests.benchmarks --json $(RESULTS)/bench.json

clean:
	rm -rf build *.egg-info figures/out paper/build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "twolayer needs Python 3.11 or newer: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) .
	$(BYTECODE)
	touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) '.[test]'
	$(BYTECODE)
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) '.[dev]'
	$(BYTECODE)
	touch $@
