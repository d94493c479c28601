# `make help` lists the targets. Everything is installed into $(VENV); nothing outside this folder is changed.
VENV ?= .venv
EXTRAS ?= wheels,plot,images,test,lint
ALL_EXTRAS := $(EXTRAS),docs,jupyter
PEERS := sfepy fedoo pypardiso muspectre
PEERS_PYTHON ?= python3
MAIN_DEMO := demos/demo_fe2_beam.py
CORES := $(shell env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2>/dev/null || echo 1)
RANKS ?= $(if $(filter 1,$(CORES)),1,2)
ARGS ?=

# One thread per MPI rank; another Python's packages must not shadow this environment's.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export VENV
unexport PYTHONPATH PYTHONHOME

BIN := $(VENV)/bin
HEADLESS := MPLBACKEND=Agg PYVISTA_OFF_SCREEN=true

# One worker for each core, at most 8. Each runs neighbouring tests, which share fixtures, and then tests of others.
WORKERS := $(shell n=$(CORES); echo $$((n < 8 ? n : 8)))
SERIAL = $(HEADLESS) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
# On two ranks: all tests of the packages for parallel runs, and of the others the tests marked `mpi`. There are several
# sessions, since MPICH has 2,048 communicators per process and a problem keeps its own until `destroy`.
ON_RANKS = $(HEADLESS) scripts/mpi-pytest -n 2
MACRO := $(addprefix tests/,foundation models fe2)
SPREAD := $(addprefix tests/,parallel checks study jobs)
RUNS := tests/runs
OTHERS := $(filter-out $(MACRO) $(SPREAD) $(RUNS) tests/data tests/support tests/__pycache__,$(patsubst %/,%,$(wildcard tests/*/)))

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test test-all lint demos-quick bench verify verify-peers docs dist docker docker-test apptainer slurm-test clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14
	@echo
	@echo 'Variables: PYTHON (the interpreter to use), VENV=$(VENV), RANKS=$(RANKS), ARGS (for the demo or pytest)'

setup: ## create $(VENV) and install everything, if something has changed
	@scripts/setup-venv '$(VENV)' '$(EXTRAS)'

demo: setup ## run the main demo on RANKS ranks
	$(if $(filter 1,$(RANKS)),,$(BIN)/mpirun -n $(RANKS) )$(BIN)/python $(MAIN_DEMO) $(ARGS)

ifneq ($(ARGS),)
test: setup
	$(HEADLESS) $(BIN)/python -m pytest $(ARGS)
	$(ON_RANKS) $(ARGS)
else
test: setup ## run all tests except the slow ones, serially on all cores, then on 2 ranks
	$(SERIAL) -m 'not slow'
	$(ON_RANKS) -m 'not slow' $(MACRO)
	$(ON_RANKS) -m 'not slow' $(SPREAD)
	$(ON_RANKS) -m 'not slow' $(RUNS)
	$(ON_RANKS) -m 'mpi and not slow' $(OTHERS)
endif

# To skip the tests that `make test` has run: make test-all AFTER=test
test-all: EXTRAS := $(ALL_EXTRAS)
test-all: setup ## install every extra and run all tests (AFTER=test: only those that `make test` omits)
	$(if $(AFTER),,$(MAKE) test EXTRAS='$(ALL_EXTRAS)' ARGS=)
	$(SERIAL) -m slow
	$(ON_RANKS) -m slow

lint: setup ## ruff check, ruff format --check, mypy, layers of packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

demos-quick: setup ## run every demo with --quick, the main one on 2 ranks too
	@$(HEADLESS) scripts/run-demos $(MAIN_DEMO)

bench: setup ## run the benchmarks (ARGS: their names; takes a quarter of an hour)
	$(BIN)/python benchmarks $(ARGS)

verify: setup ## compare answers with references and write docs/verification.md (ARGS: --only NAME)
	$(HEADLESS) $(BIN)/python benchmarks verify $(ARGS)

verify-peers: setup ## solve the same cells by SfePy, fedoo and muSpectre, installed into .venv-peers (PEERS_PYTHON)
	@[ -x .venv-peers/bin/python ] || $(PEERS_PYTHON) -m venv .venv-peers
	@for package in $(PEERS); do .venv-peers/bin/python -m pip install -q $$package || echo "$$package cannot be installed: left out"; done
	$(BIN)/python benchmarks verify-peers $(ARGS)

docs: EXTRAS := $(ALL_EXTRAS)
docs: setup ## build the documentation site in docs/_build/html, with the tutorials executed, and check its links
	$(HEADLESS) $(BIN)/python -m sphinx -q -W --keep-going -b html -d docs/_build/doctrees docs docs/_build/html
	$(BIN)/python scripts/check_site.py docs/_build/html

dist: EXTRAS := $(EXTRAS),release
dist: setup ## build wheel and source archive in dist, check them, and use the wheel in an empty environment
	scripts/make-dist $(BIN)/python

# Quick tests of all that an image can get wrong: libraries, compiler, pictures, the command, ranks.
SMOKE := $(addprefix tests/,command/test_cli.py command/test_distribution.py foundation plotting micro/test_laminate.py micro/test_tangent.py)

docker: ## build the image fenicsx-hmm with docker, podman or buildah (ARGS: --build-arg EXTRAS=...; ENGINE) and try it
	scripts/image build $(ARGS)
	scripts/image run mpirun -n 2 python scripts/smoke.py

docker-test: ## run the main demo on 2 ranks and a part of the tests in the image
	scripts/image run mpirun -n 2 python $(MAIN_DEMO)
	scripts/image run python -m pytest -q -p no:cacheprovider -m 'not slow' $(SMOKE)
	scripts/image run scripts/mpi-pytest -n 2 -q -m 'mpi and not slow' $(SMOKE)

apptainer: ## build fenicsx-hmm.sif with Apptainer (ARGS: --build-arg EXTRAS=...)
	scripts/image apptainer $(ARGS)

slurm-test: setup ## start a Slurm of one node and run the batch scripts of the docs in it (needs slurm-wlm and munge)
	$(BIN)/python scripts/slurm_test.py

clean: ## remove $(VENV) if make created it, and the caches of the tools
	@if [ -e '$(VENV)/.hmm-environment' ]; then rm -rf '$(VENV)'; fi
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build dist docs/_build docs/reference/generated
	find hmm tests demos -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
