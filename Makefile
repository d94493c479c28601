# `make help` lists the targets. Everything is installed into $(VENV); nothing outside this folder is touched.
VENV ?= .venv
EXTRAS ?= wheels,plot,images,test
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

# On two ranks in three sessions: MPICH has 2,048 communicators, and problems that are dropped without `destroy` keep theirs.
MPI_SESSIONS = $(foreach part,a-h i-l m-z,$(HEADLESS) scripts/mpi-pytest -n 2 tests/test_[$(part)]*.py &&) true

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test lint demos-quick bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14
	@echo
	@echo 'Variables: PYTHON (the interpreter to use), VENV=$(VENV), RANKS=$(RANKS), ARGS (for the demo or pytest)'

setup: ## make $(VENV) and install everything, when something has changed
	@scripts/setup-venv '$(VENV)' '$(EXTRAS)'

demo: setup ## run the main demo on RANKS ranks
	$(if $(filter 1,$(RANKS)),,$(BIN)/mpirun -n $(RANKS) )$(BIN)/python $(MAIN_DEMO) $(ARGS)

test: setup ## run the tests serially, then on 2 ranks
	$(HEADLESS) $(BIN)/python -m pytest $(ARGS)
	$(if $(ARGS),$(HEADLESS) scripts/mpi-pytest -n 2 $(ARGS),$(MPI_SESSIONS))

lint: setup ## ruff check, ruff format --check, mypy, layers of packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

demos-quick: setup ## run every demo with --quick, the main one on 2 ranks too
	@$(HEADLESS) scripts/run-demos $(MAIN_DEMO)

bench: setup ## measure side by side (ARGS: names of benchmarks; takes a quarter of an hour)
	$(BIN)/python benchmarks $(ARGS)

clean: ## remove $(VENV) if make made it, and the caches of the tools
	@if [ -e '$(VENV)/.hmm-environment' ]; then rm -rf '$(VENV)'; fi
	rm -rf .pytest_cache .mypy_cache .ruff_cache build dist
	find hmm tests demos -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
