# make setup | demo | test | check | bench: each does its own set-up; on a second call they start at once.
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
  command -v $$p >/dev/null 2>&1 && $$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
  && echo $$p && break; done)
UV_VERSION := 0.13.9
BIN := .venv/bin
export UV_LINK_MODE ?= copy

.PHONY: setup demo test check format fuzz bench lock

setup: .venv/.ready

.venv/bin/uv:
	@if [ -z "$(PYTHON)" ]; then echo "triage needs Python 3.11 or newer with its venv module" >&2; exit 1; fi
	@echo "setting up .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.ready: .venv/bin/uv requirements.lock pyproject.toml
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

.venv/.ready-dev: .venv/.ready requirements-dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@touch $@

demo: .venv/.ready
	@$(BIN)/triage demo

test: .venv/.ready-dev
	@$(BIN)/pytest -n 3 --dist loadfile

check: .venv/.ready-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

format: .venv/.ready-dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# The mutation fuzzer over the parser in full: ten minutes; `make test` runs a second of it.
fuzz: .venv/.ready-dev
	@TRIAGE_TEST_FUZZ_SECONDS=600 $(BIN)/pytest tests/ingest/test_fuzz_parse.py --timeout=1200

bench: .venv/.ready-dev
	@$(BIN)/python -m tests.bench

lock: .venv/bin/uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes --no-emit-index-url --no-header -c requirements.lock pyproject.toml -o requirements-dev.lock
