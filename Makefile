# Two commands do everything on a machine that has Python (3.11 or later) and make:
#   make demo    makes the environment, runs the main job on a simulated recording, prints where the report is
#   make test    makes the environment with the test tools, checks style and types, runs every test
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
  BIN := .venv/Scripts
  EXE := .exe
else
  BIN := .venv/bin
  EXE :=
endif
VENV_PYTHON := $(BIN)/python$(EXE)

.PHONY: env test-env demo test lint docs-figures clean

env: .venv/made
test-env: .venv/made-test

.venv/made: pyproject.toml
	$(PYTHON) -m venv .venv
	$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --editable .
	$(VENV_PYTHON) -c "open('.venv/made', 'w').close()"

.venv/made-test: .venv/made
	$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	$(VENV_PYTHON) -c "open('.venv/made-test', 'w').close()"

demo: env
	$(BIN)/myodrive demo

lint: test-env
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/mypy

test: lint
	$(VENV_PYTHON) -m pytest -n 2

clean:
	$(PYTHON) -c "import shutil; [shutil.rmtree(p, ignore_errors=True) for p in ('.venv', 'build', 'dist')]"
