# make study   the default study, from nothing to the report      make test   lint, types and tests
# make setup   only the environment, in .venv                     make lock   renew requirements/lock.txt (needs uv)
# make pull    the results of this commit, from DVC's remote             make push   results to it (docs/dvc.md)
# make types   type errors, by mypy
# make schema  config/schema and docs/configuration.md anew, after a change of what a YAML file may say
# make benchmark   what the measurement costs, into docs/benchmark (25 to 40 minutes on two quiet cores)
PYTHON ?= python3
TORCH  := $(shell grep -o "torch==[0-9.]*" pyproject.toml)
BIN    := .venv/bin

.PHONY: setup study pull push benchmark schema test test-all lint types lock

setup: .venv/.ready

# The lock is complete but for torch (hence --no-deps): what torch shares with it is pinned by then, and pip takes the
# build of torch that the machine's package index offers.
.venv/.ready: requirements/lock.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "layergrad needs Python 3.11 or newer; choose one with: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/lock.txt
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

study: setup
	@$(BIN)/layergrad estimate config/config.yaml
	@PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores all
	@echo "The report: results/default/report/index.html"

# What was pulled is as old as the pull, so Snakemake would make it again. The touch says that it is what the
# configuration asks for; only with --forceall does it note of what, so that a later change is seen.
pull: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" dvc pull
	@PATH="$(CURDIR)/$(BIN):$$PATH" dvc status -q || { echo "results/ is not what dvc.lock and the configuration say; make it so with: dvc repro"; exit 2; }
	@PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores 1 --touch --forceall --quiet all

push: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" dvc push

benchmark: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores all results/default/models/smollm2-135m-instruct/card.json data
	$(BIN)/python -m benchmarks docs/benchmark

schema: setup
	$(BIN)/python -m layergrad.contracts.config.schemas config/schema
	$(BIN)/python -m layergrad.contracts.config.reference docs/configuration.md

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy

test: lint types
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -m "not slow" --numprocesses auto --maxprocesses 4 \
	  --dist loadfile --no-loadscope-reorder

test-all: lint types
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest

lock:
	uv pip compile pyproject.toml requirements/torch.in --extra dev --universal --python-version 3.11 --generate-hashes \
	  --override requirements/torch.override --custom-compile-command "make lock" --quiet -o requirements/lock.txt
