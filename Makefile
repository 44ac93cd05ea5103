# What a person or CI does with a checkout; every target sets up .venv by itself when it is missing or stale.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: help setup run demo test exact lint bench locale schema demo-models clean

help:
	@echo "make demo    bake the sample dataset on the embedded base model"
	@echo "make run     open the app"
	@echo "make test    run the test suite"
	@echo "make exact   every cell of the matrix of interrupted bakes: hours"
	@echo "make lint    ruff, mypy, import walls"
	@echo "make bench   timings, side by side"
	@echo "make setup   only install into .venv"

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

setup: $(STAMP)

run: $(STAMP)
	$(BIN)/lorabake

demo: $(STAMP)
	$(BIN)/lorabake demo

test: $(STAMP)
	$(BIN)/python -m pytest

exact: $(STAMP)
	$(BIN)/python -m pytest --full tests/train/test_exactness_matrix.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m tools.bench

locale: $(STAMP)
	$(BIN)/python -m tools.locale

schema: $(STAMP)
	$(BIN)/python -m engine.protocol.schema

demo-models: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo-models]'
	$(BIN)/python -m tools.demo_models

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
