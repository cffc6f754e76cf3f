# Each target sets up what it needs first; a second run starts in seconds.
PYTHON := .venv/bin/python

.PHONY: demo test check bench clean setup setup-check

demo: setup
	$(PYTHON) -m console.cli demo

test: setup
	$(PYTHON) -m pytest

check: setup-check
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PYTHON) -m pytest -q -m "not lab" tests/house tests/policy tests/sim

bench: setup
	$(PYTHON) -m tests.bench

setup:
	@./setup.sh

setup-check:
	@./setup.sh --without-lab

clean:
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
