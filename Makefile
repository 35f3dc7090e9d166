# Works with make and Python 3.11 or newer, and nothing else installed. `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# Tests wait for processes and pages about a third of the time: one more than the two cores that CI has.
WORKERS ?= 3
BENCHMARKS ?= startup decode encode index search shapes token_wise_training interactions pidro found small_updates serve \
	evaluate data_cache training_step training_memory chunked_training real_size

LOWEST := .venv-lowest/bin
# For instance --torch-backend cpu, where PyTorch's own packages without CUDA can be reached.
UV_FLAGS ?=

.PHONY: help setup demo test test-lowest check format lint types bench docs soak clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

setup: $(STAMP)  ## create .venv and install vidsift into it

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("vidsift needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; name a newer one: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: setup  ## render a small library of videos, index it, search it
	$(BIN)/vidsift demo

test: setup  ## run all tests
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile

test-lowest:  ## run all tests with the lowest versions that pyproject.toml names, in .venv-lowest
	$(PYTHON) -m venv .venv-lowest
	$(LOWEST)/pip install --quiet uv
	$(LOWEST)/uv pip install --quiet --python $(LOWEST)/python --resolution lowest-direct $(UV_FLAGS) -e '.[dev]'
	VIDSIFT_LOWEST=1 $(LOWEST)/python -m pytest -q -n $(WORKERS) --dist loadfile

check: setup  ## format check, lint, types, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile

format: setup  ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup  ## run the benchmarks, write results/ (BENCHMARKS names some; interactions and pidro take 8 minutes each)
	for one in $(BENCHMARKS); do $(BIN)/python benchmarks/$$one.py || exit 1; done

docs: setup  ## draw the pictures of docs/, write the table of methods
	$(BIN)/python docs/make_pictures.py
	$(BIN)/python docs/make_methods.py
	$(BIN)/python docs/make_page_pictures.py

soak: setup  ## long fault and stress runs, kept out of CI
	$(BIN)/pytest -q -p no:cacheprovider tests/soak --soak

clean:  ## remove what the targets made
	rm -rf .venv .venv-lowest demo build dist .mypy_cache .pytest_cache .ruff_cache
