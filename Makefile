# Everything runs in .venv, which the first target that needs it builds from nothing.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test test-all check format clean

help:
	@echo "make demo      derive, compile, search and report: a page of results in minutes"
	@echo "make test      lint, types, layers and the tests (minutes)"
	@echo "make test-all  the same with the slow tests"
	@echo "make format    format the code"
	@echo "make clean     remove what the targets above made"

.venv.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[cuda,frame]" --group dev
	@touch .venv.stamp

demo: .venv.stamp
	$(BIN)/eafo demo

check: .venv.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup

test-all: check
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup -m "slow or not slow"

format: .venv.stamp
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv.stamp demo studies build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
