# `make demo` and `make test` need Python 3.11 or newer and nothing else: the environment is made on first use.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: help setup demo test quick check e2e up down logs bundle bench clean

help:
	@echo "make demo [DATA=folder]  load a season, break it, find and repair the damage, check the result"
	@echo "make up                  the whole system on this machine: warehouse, Pub/Sub, functions, scheduler"
	@echo "make down                stop it; make logs: what all of it wrote, in order of time"
	@echo "make test                every test but those of the whole system"
	@echo "make quick               those of them that need no warehouse: units, simulation, architecture"
	@echo "make e2e                 those: events and scans, kills and restarts, on a local stack of their own"
	@echo "make check               lint, types, import contract"
	@echo "make bench [DATA=folder] the benchmark: a table, and JSON in bench/results"
	@echo "make bundle              what is deployed: build/bundle for Terraform, build/gapless.zip"
	@echo "make clean               remove the environment and the embedded warehouse"

$(READY): pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[cli,local,dev]'
	@touch $(READY)

setup: $(READY)

demo: $(READY)
	$(BIN)/gapless demo $(if $(DATA),--data "$(DATA)")

test: $(READY)
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --ignore=tests/e2e

quick: $(READY)
	$(BIN)/python -m pytest -n 2 tests/unit tests/simulation tests/architecture

e2e: $(READY)
	$(BIN)/python -m pytest tests/e2e -ra

up: $(READY)
	@$(BIN)/python -m gapless.stack up

down: $(READY)
	@$(BIN)/python -m gapless.stack down

logs: $(READY)
	@$(BIN)/python -m gapless.stack logs

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bundle: $(READY)
	@$(BIN)/python -m gapless.deploy.bundle

bench: $(READY)
	$(BIN)/python -m bench $(if $(DATA),--data "$(DATA)")

clean:
	-@[ ! -x $(BIN)/gapless ] || { $(BIN)/python -m gapless.stack down; $(BIN)/gapless stop; $(BIN)/gapless stop --home .gapless/demo; }
	rm -rf $(VENV) .gapless
