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
DATA    ?= $(if $(filter tiny,$(PROFILE)),$(OUT)/tiny/data,$(or $(XLT_DATA),data))
CACHE   ?= $(or $(XLT_CACHE),$(OUT)/cache)
RESULTS ?= results# recorded runs, which count as done
LAUNCH  ?=
SBATCH  ?=
PER_GPU ?= 1
PROCESSES ?= 1# that train and predict one run together, each on a GPU of its own where there are GPUs
TABLE   ?= table2
ROWS    ?=
FAST    ?= 1
DETERMINISTIC ?= 0
PRECISION ?= $(if $(filter tiny,$(PROFILE)),float32,auto)# auto: bfloat16 where a GPU has it or a CPU is faster with it
JOBS    ?= $(shell echo $$(( $(SLOTS) / $(PROCESSES) > 0 ? $(SLOTS) / $(PROCESSES) : 1 )))
THREADS ?= $(shell echo $$(( $(CORES) / $(JOBS) / $(PROCESSES) > 0 ? $(CORES) / $(JOBS) / $(PROCESSES) : 1 )))# of each process
CHECKPOINT ?= 300# least seconds between two checkpoints of a training

# What make or the shell cannot carry is refused here, before any of it stands in a command.
EMPTY  :=
COMMA  := ,
HASH   := \#
UNSAFE := ' " ` $$ \$(EMPTY) $(HASH) ; & | < > ( ) * ? [ ] { } ! % : = ~ ^
DIGITS := 0 1 2 3 4 5 6 7 8 9
refuse  = $(error $1: expected $2, got '$(strip $(value $1))')
given   = $(filter-out file undefined,$(origin $1))
without = $(if $1,$(call without,$(wordlist 2,99,$1),$(subst $(firstword $1),,$2)),$2)
spaced  = $(if $1,$(call spaced,$(wordlist 2,99,$1),$(subst $(firstword $1),$(firstword $1) ,$2)),$2)
literal = $(if $(call given,$1),$(if $(findstring $$,$(value $1)),$(call refuse,$1,no $$ in it)))
path    = $(call literal,$1)$(if $(filter 1,$(words |$($1)|)),,$(call refuse,$1,no spaces in it))$(if \
	$(filter -%,$($1)),$(call refuse,$1,no - before it))$(foreach character,$(UNSAFE),$(if \
	$(findstring $(character),$($1)),$(call refuse,$1,no $(character) in it)))
whole   = $(and $($1),$(filter 1,$(words |$($1)|)),$(if $(call without,$(DIGITS),$($1))$(filter 0%,$($1)),,1),$(if \
	$(word $2,$(call spaced,$(DIGITS),$($1))),,1))
number  = $(call literal,$1)$(if $(call given,$1),$(if $(call whole,$1,$2),,$(call refuse,$1,a whole number above 0 \
	of fewer than $2 digits)))
$(foreach name,XLT_PROFILE XLT_DATA XLT_CACHE XLT_PYTHON BASE_PYTHON PROFILE OUT DATA CACHE RESULTS MODEL TABLE RUN FROM SEED GPU COUNT,$(call path,$(name)))
$(foreach name,PROFILE OUT DATA CACHE,$(if $($(name)),,$(call refuse,$(name),a name)))
$(foreach name,THREADS JOBS PROCESSES PER_GPU,$(call number,$(name),4))
$(call number,CHECKPOINT,8)
$(call literal,SEEDS)$(if $(call without,$(DIGITS) $(COMMA),$(subst $(EMPTY) $(EMPTY),,$(SEEDS))),$(call refuse,SEEDS,whole \
	numbers such as 1 2 3))
$(call literal,ROWS)$(if $(filter-out all,$(ROWS)),$(call refuse,ROWS,all or nothing))
$(if $(filter auto float32 bfloat16,$(PRECISION)),,$(call refuse,PRECISION,one of auto float32 bfloat16))
PROFILES := $(basename $(notdir $(wildcard configs/profiles/*.yaml)))
$(if $(filter $(PROFILE),$(PROFILES)),,$(call refuse,PROFILE,one of $(PROFILES)))

CORES   := $(shell env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2>/dev/null || echo 1)  # nproc heeds OMP_NUM_THREADS, exported below
GPUS    := $(shell nvidia-smi -L 2>/dev/null | grep -c ^GPU)
SLOTS   := $(shell if [ $(GPUS) -gt 0 ]; then echo $$(( $(GPUS) * $(PER_GPU) )); else echo $$(( $(CORES) < 4 ? $(CORES) : 4 )); fi)

# Where things are. XLT_PYTHON names an interpreter that has everything installed; otherwise .venv is made from the lock.
BASE_PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV   := .venv
PYTHON := $(if $(XLT_PYTHON),$(XLT_PYTHON),$(VENV)/bin/python)
READY  := $(if $(XLT_PYTHON),,$(VENV)/.ready)
FOLDERS := PYTHONPATH=src $(or $(XLT_PYTHON),$(BASE_PYTHON)) -m xlt.folders# needs no environment
MEANT   := $(or $(MODEL),$(shell sed -n 's/^model: *//p' configs/profiles/$(PROFILE).yaml))
MODEL_NAME := $(if $(MODEL)$(findstring /,$(MEANT)),$(shell $(FOLDERS) name $(MEANT)),$(MEANT))
$(if $(MEANT),$(if $(MODEL_NAME),,$(error MODEL: expected Python 3.11 or 3.12 to name the folders of '$(MEANT)'; set BASE_PYTHON)))
OURS    := $(OUT)/.made-by-xlt
ROOT    := $(OUT)/$(PROFILE)/$(MODEL_NAME)
PLAN    := $(ROOT)/plan.mk
RECORDS := $(RESULTS)/$(PROFILE)/$(MODEL_NAME)
RECORDED := $(if $(RESULTS),$(wildcard $(RECORDS)/plan.tar.xz))
SHOWN   := $(if $(RECORDED),$(if $(wildcard $(DATA)),,1))# without data: tables from the records alone
WORLD   := $(if $(filter tiny,$(PROFILE)),$(DATA),$(OUT)/tiny/data)/babel.stamp.json
ENCODER := $(CACHE)/$(MODEL_NAME)/prepared.json
TABLES  := $(basename $(notdir $(wildcard configs/tables/*.yaml)))
REGIMES := $(basename $(notdir $(wildcard configs/regimes/*.yaml)))
GOALS   := $(TABLES) $(REGIMES)
TARGETS := help cite kernels fuzz soak audit status lock docker docker-test bench submission smoke tiny-all test language-adapters plan verify expectations faults claims report record data encoder lint docs archive keep pages rescore recheck carry clean clean-cache clean-all data-pack verify-data FORCE
$(foreach piece,$(filter-out configs/tables/%.yaml configs/regimes/%.yaml,$(wildcard configs/tables/*.yaml configs/regimes/*.yaml)),$(error \
	configs: expected names without spaces, got one with '$(piece)'))
$(foreach name,$(GOALS),$(foreach character,$(UNSAFE),$(if $(findstring $(character),$(name)),$(error configs: expected \
	names of letters, digits, . _ and -, got '$(name)'))))
UNKNOWN := $(if $(findstring --eval,$(MAKEFLAGS)),,$(firstword $(foreach goal,$(filter-out $(TARGETS) $(GOALS) kernel-%,$(MAKECMDGOALS)),$(if $(findstring /,$(goal)),,$(goal)))))
$(call path,UNKNOWN)
$(if $(UNKNOWN),$(error $(shell $(FOLDERS) nearest '$(UNKNOWN)' $(GOALS) $(TARGETS))))
$(foreach name,$(filter $(TARGETS),$(GOALS)),$(error configs: '$(name)' is a target of make; give the table or regime another name))
$(foreach name,$(filter $(TABLES),$(REGIMES)),$(error configs: '$(name)' is a table and a regime; give one another name))

export OMP_NUM_THREADS := $(THREADS)
export TOKENIZERS_PARALLELISM := false
export PYTHONHASHSEED := 0
export XLT_FAST := $(FAST)
export XLT_DETERMINISTIC := $(DETERMINISTIC)
export XLT_PRECISION := $(PRECISION)
export XLT_FEATURES := $(CACHE)/features
export PYTHONPATH := src

.PHONY: $(TARGETS) $(GOALS)

HEADINGS := start here|results|data and encoders|records|packing and cleaning|developers# what stands before the first colon after \#\#

help:
	@echo "usage: make TARGET [PROFILE=tiny|pilot|study|paper] [MODEL=name] [SEEDS='1 2'] [DATA=folder] [OUT=out] [ROWS=all] [-n] [-j N]"
	@sed -nE 's/^(# )?([A-Za-z0-9-]+):.*## ([a-z ]+): (.*)/\3|\2|\4/p' Makefile | awk -F'|' -v headings='$(HEADINGS)' \
		'{ lines[$$1] = lines[$$1] sprintf("  %-17s %s\n", $$2, $$3) } \
		END { for (i = 1; i <= split(headings, names, "|"); i++) printf "\n%s\n%s", names[i], lines[names[i]] }'
	@echo
	@echo "TABLE is one of: $(TABLES)"
	@echo "REGIME is one of: $(REGIMES)"
	@echo "now: PROFILE=$(PROFILE) MODEL=$(MODEL_NAME) DATA=$(DATA) OUT=$(OUT) JOBS=$(JOBS) THREADS=$(THREADS) LAUNCH='$(LAUNCH)'"

smoke: ## start here: see it work: everything on the generated world, on a CPU, without a download, in minutes
	+@$(MAKE) PROFILE=tiny MODEL= DATA=$(OUT)/tiny/data table2
	@echo && cat $(OUT)/tiny/babel/tables/table2.md && echo
	+@$(MAKE) PROFILE=tiny MODEL= DATA=$(OUT)/tiny/data TABLE=table2 verify

# One machine plays several: the instructions that torch's own kernels, oneDNN's and MKL's may use.
KERNELS ?= default avx2$(if $(shell grep -m1 -w avx512f /proc/cpuinfo), avx512)
INSTRUCTIONS_default := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2
INSTRUCTIONS_avx2    := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2
INSTRUCTIONS_avx512  := ATEN_CPU_CAPABILITY=avx512 ONEDNN_MAX_CPU_ISA=AVX512_CORE MKL_ENABLE_INSTRUCTIONS=AVX512
OF_KERNEL = PROFILE=tiny MODEL= TABLE=table2 DATA=$(OUT)/tiny/data CACHE=$(CACHE) OUT=$(OUT)/kernels/$(1)

kernels: $(addprefix kernel-,$(KERNELS)) ## results: table 2 of the generated world under each of KERNELS, verified, and side by side
	@$(PYTHON) reproduce/table.py --table table2 --side-by-side $(foreach kernel,$(KERNELS),$(kernel)=$(OUT)/kernels/$(kernel)/tiny/babel)
	+@$(foreach kernel,$(KERNELS),$(MAKE) $(call OF_KERNEL,$(kernel)) verify &&) true

kernel-%:
	+@$(INSTRUCTIONS_$*) $(MAKE) $(call OF_KERNEL,$*) table2

tiny-all: ## results: every row of every table on the generated world: CPU, under an hour
	+@$(MAKE) PROFILE=tiny MODEL= DATA=$(OUT)/tiny/data ROWS=all $(TABLES)

test: XLT_FEATURES :=
test: OMP_NUM_THREADS := 1
test: $(READY) ## start here: the tests, on up to four cores
	$(PYTHON) -m pytest -q -n $(shell echo $$(( $(CORES) < 4 ? $(CORES) : 4 ))) --dist loadscope --no-loadscope-reorder

plan: $(READY) $(if $(filter tiny,$(PROFILE)),$(WORLD)) ## start here: what TABLE (or a regime) would run and cost, what is done; nothing is trained (GPU=a100: hours on one)
	@$(PYTHON) reproduce/plan.py $(PLAN_ARGUMENTS) --show $(TABLE) \
		--jobs $(JOBS) --threads $(THREADS) $(if $(GPU),--gpu $(GPU))

# table2: ## start here: plan, train what is missing, and write the table of the regimes (PROFILE=pilot or paper: real data)
# TABLE: ## results: the same for another table
# REGIME: ## results: the same for one regime, with its reported numbers

data: $(READY) $(if $(filter tiny,$(PROFILE)),$(WORLD)) ## data and encoders: fetch what PROFILE reads (DRY=1: only list it); FROM=folder or pack: import it (LINK=1: hard links)
ifdef FROM
	$(PYTHON) reproduce/data.py import --source $(FROM) --data $(DATA) --cache $(CACHE) $(if $(LINK),--link)
else
	$(if $(filter tiny,$(PROFILE)),,$(PYTHON) reproduce/data.py fetch --profile $(PROFILE) --data $(DATA) $(if $(DRY),--dry-run))
	$(if $(DRY),,$(PYTHON) reproduce/prepare_model.py --data $(DATA))
endif

data-pack: $(READY) ## data and encoders: one archive of DATA and of MODEL's encoder, if it is prepared, for a machine without network: data.tar in OUT
	$(PYTHON) reproduce/data.py pack --data $(DATA) --output $(OUT)/data.tar --model $(patsubst %/prepared.json,%,$(wildcard $(ENCODER)))

verify-data: $(READY) ## data and encoders: hashes, sizes against published ones, labels, duplicate ids, overlap; exit status 0, 1 (wrong), 2 (missing)
	$(PYTHON) reproduce/data.py verify --profile $(PROFILE) --data $(DATA) --output $(OUT)/$(PROFILE)/data-report

ifdef REBUILD
encoder: $(READY) ## data and encoders: prepare MODEL: a config, a folder or owner/name[@commit] (CONVERT=1: also if it is a pickle; REBUILD=1: pre-train the generated world's again)
	OMP_NUM_THREADS=2 $(PYTHON) reproduce/job.py encoder
else
encoder: $(ENCODER)
endif

bench: $(READY) ## developers: speed and memory beside what people use today and beside the limit (QUICK=1: that it runs; ONLY='part ...')
	$(PYTHON) reproduce/bench.py $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) --threads $(CORES) --output $(OUT)/bench.json

status: $(PLAN) ## results: which runs of TABLE are done, running, queued or failed, and why
	@$(PYTHON) reproduce/status.py --root $(ROOT) -- $(PLAN_MAKE) $(TABLE)

submission: $(PLAN) ## results: predictions of RUN (a regime or a run folder) and SEED in the leaderboards' layout, scored again
	@$(PYTHON) reproduce/submission.py --run $(or $(RUN),$(error give RUN=<regime or run folder>)) $(if $(SEED),--seed $(SEED)) \
		--root $(ROOT) --data $(DATA)

verify: $(PLAN) ## results: verdict on every cell of TABLE against its reported number; exit status 0, 1 (lower or failed), 2 (incomplete)
	@$(PYTHON) reproduce/verify.py --table $(TABLE) --root $(ROOT) $(if $(filter tiny,$(PROFILE)),--world $(DATA))

expectations: $(READY) ## developers: record what PROFILE=tiny scores in TABLE, from the finished runs below OUTS="out1 out2", for make verify
	@$(PYTHON) reproduce/expectations.py --table $(TABLE) --world $(DATA) --encoder $(dir $(ENCODER)) \
		--root $(foreach out,$(or $(OUTS),$(OUT)),$(out)/$(PROFILE)/$(MODEL_NAME))

faults: $(PLAN) ## developers: faulty pages from the finished table 2, honest ones drawn from the recorded runs; then make docs
	$(PYTHON) -m tests.faults --root $(ROOT) --data $(DATA) --encoder $(dir $(ENCODER)) --jobs $(CORES)
	$(PYTHON) -m tests.honest_pages

claims: $(PLAN) ## results: each claim of the papers beside the effect found in the finished runs, with a verdict
	@$(PYTHON) reproduce/claims.py --root $(ROOT)

cite: $(PLAN) ## results: the BibTeX of what TABLE (or a regime) uses: data sets, encoder, this artifact
	@$(PYTHON) reproduce/table.py $(if $(filter $(TABLE),$(TABLES)),--table,--regime) $(TABLE) --root $(ROOT) --cite \
		$(if $(filter tiny,$(PROFILE)),--languages $(DATA)/languages.yaml) $(if $(filter $(TABLE),$(SIZES)),--data $(DATA))

report: $(PLAN) ## start here: one HTML page of all that has finished: tables, charts, claims, and the evidence behind every score
	@$(PYTHON) reproduce/report.py --root $(ROOT) $(if $(wildcard $(DATA)),--data $(DATA)) $(if $(filter tiny,$(PROFILE)),--world $(DATA))

language-adapters: $(PLAN) $(ENCODER) ## data and encoders: make MODEL's language adapters: from raw text in DATA, or ready-made from the hub
	+@if [ -e $(PLAN) ]; then exec $(CARRY_OUT) $@; else echo "(the plan itself is made first; run without -n once)"; fi

fuzz: $(READY) ## developers: COUNT damaged files (20000) through every reader: each is read or refused in one line
	$(PYTHON) -m tests.fuzz --count $(or $(COUNT),20000) --seed $(or $(SEED),1)

soak: $(READY) ## developers: memory over 1,000 evaluation batches and 50 runs, about 20 minutes (QUICK=1: a minute or two)
	$(PYTHON) -m tests.soak $(if $(QUICK),--quick) --output $(OUT)/soak.json

audit: ## developers: known vulnerabilities of the locked packages (pip-audit; asks the network)
	$(BASE_PYTHON) -m venv $(OUT)/audit
	$(OUT)/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(OUT)/audit/bin/pip-audit --strict --disable-pip --no-deps --requirement docker/requirements.lock

lint: $(READY) ## developers: ruff, mypy
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

record: $(PLAN) ## developers: minutes of the tables and effects of the claims, from the finished runs of PROFILE=tiny; then make docs
	@$(PYTHON) reproduce/docs.py record --root $(ROOT) --data $(DATA)

docs: $(READY) ## developers: write docs/regimes.md, REPRODUCE.md and the recorded figures in README.md and docs again, from configs and recorded files
	$(PYTHON) -m xlt.results.regime_page
	$(PYTHON) reproduce/docs.py
	$(PYTHON) -m tests.verification_page

archive: $(READY) ## packing and cleaning: source, image recipe, locks and results with checksums in one file, for a DOI (ALLOW_DIRTY=1: the last commit)
	$(PYTHON) reproduce/records.py deposit --out $(OUT) $(if $(ALLOW_DIRTY),--allow-dirty)

KEPT ?= table2 table3 table4 table6 table7 table9
keep: $(PLAN) ## records: record the finished runs of PROFILE and MODEL in RESULTS, and the pages of KEPT made from the records alone
	$(PYTHON) reproduce/records.py keep --root $(ROOT) --records $(RECORDS)
	+@$(MAKE) DATA=$(OUT)/no-data OUT=$(OUT)/kept clean pages
	$(PYTHON) reproduce/records.py pages --root $(OUT)/kept/$(PROFILE)/$(MODEL_NAME) --records $(RECORDS)

pages: $(KEPT) claims report ## records: the pages of KEPT, the claims and the report

rescore: $(READY) ## records: every recorded score anew, from the predictions in RESULTS and the gold labels in DATA
	$(PYTHON) reproduce/records.py rescore --records $(RECORDS) --data $(DATA)

recheck: ## records: train the recorded RUN (regime/recipe/seed-n) again, and hold it against its records
	+@$(MAKE) OUT=$(OUT)/recheck DATA=$(DATA) CACHE=$(CACHE) RESULTS= CARRY='$(OUT)/recheck/$(PROFILE)/$(MODEL_NAME)/runs/$(RUN)/scores.json' carry
	@$(PYTHON) reproduce/records.py recheck --root $(OUT)/recheck/$(PROFILE)/$(MODEL_NAME) --records $(RECORDS) --run $(or $(RUN),$(error give RUN=<regime>/<recipe>/seed-<n>))

carry: $(ENCODER) $(PLAN)
	+@$(HERE) $(CARRY)

lock: ## developers: write the image's hash-locked requirement files again (needs uv)
	docker/lock

docker: ## packing and cleaning: build the image xlt (CUDA); docker/compose.yaml has the slim one too
	docker build --build-arg REVISION="$$(git rev-parse HEAD 2>/dev/null || echo unknown)" --tag xlt .

docker-test: ## packing and cleaning: build the image on a base that is at hand and use it in four ways; docker/test says how
	docker/test

clean: ## packing and cleaning: remove the runs and tables of PROFILE and MODEL (keeps data, encoder and environment)
	@$(FOLDERS) remove '$(ROOT)' --below '$(OUT)'

clean-cache: ## packing and cleaning: remove the tokenised data that runs share (in CACHE; make writes them again)
	@$(FOLDERS) remove '$(CACHE)/features' --below '$(CACHE)'

clean-all: ## packing and cleaning: remove everything that was made, the environment too
	@$(FOLDERS) remove '$(OUT)' --below '$(OUT)'
	@$(FOLDERS) remove '$(VENV)' --below .

# Environment: the torch pin first, so that nothing resolves another build of it.
$(VENV)/.ready: docker/requirements.lock pyproject.toml
	PYTHONPATH=src $(BASE_PYTHON) -m xlt.folders make $(VENV)
	$(BASE_PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' docker/requirements.lock)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r docker/requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(OURS):  # so that make clean-all knows the folder; order-only: a folder of the user's does not get it
	+@$(FOLDERS) make $(OUT)

# The generated world.
$(WORLD): configs/babel.yaml $(wildcard src/xlt/babel/*.py) | $(READY) $(OURS)
	$(PYTHON) reproduce/data.py generate --data $(@D)

# Asked at every call: is it still the encoder that MODEL names? prepared.json is only written when it was not.
$(CACHE)/%/prepared.json: FORCE | $(READY) $(OURS)
	@$(PYTHON) reproduce/prepare_model.py --model $(if $(filter $*,$(MODEL_NAME)),$(MEANT),$*) --cache $(CACHE) $(if $(CONVERT),--convert)

# The planner runs at every call (also under -n: it only rewrites what changed), then make carries the plan out.
PLAN_ARGUMENTS = --profile $(PROFILE) --root $(ROOT) --data $(DATA) --encoder $(dir $(ENCODER)) $(if $(MODEL),--model $(MODEL)) $(if $(SEEDS),--seeds "$(SEEDS)") \
	$(if $(filter all,$(ROWS)),--all-rows)
FORCE:
$(PLAN): FORCE $(READY) $(if $(filter tiny,$(PROFILE)),$(WORLD)) | $(OURS)
	+@if [ -x "$$(command -v $(PYTHON))" ]; then $(if $(SHOWN),$(PYTHON) reproduce/records.py restore --root $(ROOT) --records \
		$(RECORDS),$(PYTHON) reproduce/plan.py $(PLAN_ARGUMENTS) $(if $(RECORDED),--records $(RECORDS) --goals $(filter $(GOALS),$(MAKECMDGOALS)))); fi

PLAN_MAKE = -f $(PLAN) LAUNCH= PYTHON=$(PYTHON) ENCODER=$(ENCODER) REPORTED="$(wildcard configs/reported/*.yaml configs/tables/notes/*.yaml)" \
	RUN="--data $(DATA) --encoder $(dir $(ENCODER)) --threads $(THREADS) --checkpoint-every $(CHECKPOINT)" $(if $(filter-out 1,$(PROCESSES)),PROCESSES=$(PROCESSES))
IN_MAKE = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS)) $(PLAN_MAKE) \
	LAUNCH='$(or $(LAUNCH),$(if $(filter-out 0,$(GPUS)),$(PYTHON) reproduce/gpu_lock.py --each $(PER_GPU)$(if $(filter-out 1,$(PROCESSES)), --gpus $(PROCESSES)) --))'
HERE = $(MAKE) $(IN_MAKE)
SUBMIT = $(PYTHON) reproduce/slurm.py --root $(ROOT) --options='$(SBATCH)' --threads $(shell echo $$(( $(THREADS) * $(PROCESSES) ))) \
	$(if $(findstring n,$(LETTERS)),--dry-run) -- $(PLAN_MAKE)
LETTERS = $(filter-out --%,$(firstword -$(MAKEFLAGS)))# letters of make's own options: n, q and t carry nothing out
ESTIMATE = $(PYTHON) reproduce/plan.py $(PLAN_ARGUMENTS) --encoder $(dir $(ENCODER)) --threads $(THREADS) $(if $(GPU),--gpu $(GPU)) --seconds --show
WATCHED = $(PYTHON) reproduce/status.py --root $(ROOT) --carry-out $(JOBS) --estimate='$(ESTIMATE)' \
	$(if $(GPU),,$(if $(LAUNCH)$(filter-out 0,$(GPUS)),--relative)) -- $(IN_MAKE)
CARRY_OUT = $(if $(filter slurm,$(LAUNCH)),$(SUBMIT),$(if $(findstring n,$(LETTERS))$(findstring q,$(LETTERS))$(findstring t,$(LETTERS)),$(HERE),$(WATCHED)))

SIZES := $(basename $(notdir $(shell grep -l '^kind: sizes' configs/tables/*.yaml)))  # tables without runs
$(if $(SHOWN),,$(filter-out $(SIZES),$(GOALS)): $(ENCODER))
$(GOALS): $(PLAN)
	+@if [ -n "$(SHOWN)" ]; then $(PYTHON) reproduce/table.py $(if $(filter $@,$(TABLES)),--table,--regime) $@ --root $(ROOT); \
	elif [ -e $(PLAN) ]; then exec $(CARRY_OUT) $@; else echo "(the plan itself is made first; run without -n once)"; fi
