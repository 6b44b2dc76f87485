# Set-up happens by itself: the first target that needs the packages installs them into .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test slow check format lock clean
.DEFAULT_GOAL := help

help: ## say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: .venv/ready ## install mien and everything it can use into .venv

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("mien needs Python 3.11 or later; type: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: .venv/ready ## draw happy and sad people, train on them, judge others
	$(BIN)/mien demo

test: .venv/ready ## run the tests that take seconds
	$(BIN)/pytest -m "not slow"

slow: .venv/ready ## run the tests that take minutes
	$(BIN)/pytest -m slow

check: .venv/ready ## format, lint and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: .venv/ready ## put the code in its form
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock: ## work out requirements.lock anew (needs uv)
	uv pip compile --universal --generate-hashes --all-extras --group dev --python-version 3.11 \
		--no-header --no-emit-index-url --upgrade pyproject.toml --output-file requirements.lock

clean: ## remove what make has made
	rm -rf .venv mien-demo runs .pytest_cache .mypy_cache .ruff_cache
