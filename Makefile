# Each target sets up what it needs first; a second run starts in seconds.
PYTHON := .venv/bin/python

.PHONY: demo simulated test soak check lint bench bundle clean setup setup-check

demo:
	@./setup.sh --demo
	@$(PYTHON) -m console.cli demo

simulated:
	@./setup.sh --simulated
	@$(PYTHON) -m console.cli demo --simulated

# The tests on real hosts wait more than they work: one process runs them, another all others.
test: setup lint
	$(PYTHON) -m pytest --numprocesses 2 --dist loadgroup

soak: setup
	$(PYTHON) -m pytest -m soak tests/soak tests/lab

check: setup-check lint
	$(PYTHON) -m pytest -q -m "not lab" tests/house/test_budgets.py tests/house/test_imports.py tests/policy tests/sim

lint:
	.venv/bin/ruff check --quiet .
	.venv/bin/ruff format --quiet --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

bench: setup
	$(PYTHON) -m tests.bench

bundle: setup-check
	./bundle.sh

setup:
	@./setup.sh

setup-check:
	@./setup.sh --without-lab

clean:
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
