# Everything is set up when it is first wanted; a second call does no set-up.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
RUN := $(VENV)/bin/python
# Other packages, which Nightshelf is compared with, and which want older libraries.
COMPARE := build/compare
PIP := $(RUN) -m pip --disable-pip-version-check --no-input
# Where the state lives, as the settings have it.
HOME_DIR = $(or $(value NIGHTSHELF_HOME),var)
# Values of variables for the shell, as they were given: $(call quote,TEXT); $(call given,NAME) is a variable's value and $(call
# option,--name,NAME) that with an option before it, both nothing where the variable is empty.
quote = '$(subst ','\'',$(1))'
given = $(if $(value $(1)),$(call quote,$(value $(1))))
option = $(if $(value $(2)),$(1) $(call given,$(2)))

.PHONY: help
help: ## Show what there is to do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: nightly
nightly: $(VENV)/.installed ## Run one whole night, SOURCE= DATA= AS_OF= for another shop than the demo
	@echo "Running one night through the Airflow DAG in this process; state lives in" $(call quote,$(HOME_DIR))"."
	@$(RUN) -m include.airflow_local nightly $(call option,--source,SOURCE) $(call option,--data,DATA) $(call option,--as-of,AS_OF)

.PHONY: tune
tune: $(VENV)/.installed ## Search for better settings on the latest night, SOURCE= DATA= as that night, MINUTES=60
	@echo "Searching for better settings of the recommender through the Airflow DAG in this process; stopped, it goes on next time."
	@$(RUN) -m include.airflow_local tune $(call option,--source,SOURCE) $(call option,--data,DATA) $(call option,--minutes,MINUTES)

.PHONY: ui
ui: $(VENV)/.installed ## Start Airflow with its web page on this machine, PORT=8080
	@echo "Starting Airflow's scheduler, DAG processor, triggerer and web page on this machine."
	@exec $(RUN) -m include.airflow_local ui $(call option,--port,PORT)

.PHONY: check-source
check-source: $(VENV)/.installed ## Read a shop's folder, DATA=, as SOURCE=files and AS_OF= now, and say what would be refused and why
	@$(if $(value SOURCE)$(value DATA),,echo "Say which folder: make check-source [SOURCE=<name>] DATA=<folder> [AS_OF=<date>]" >&2; exit 2;) \
	$(RUN) -m include.sources.check $(call option,--source,SOURCE) $(call option,--data,DATA) $(call option,--as-of,AS_OF)

.PHONY: rollback
rollback: $(VENV)/.installed ## Put the release before the current one back, or RELEASE=<release_id>
	@$(RUN) -m include.publish.rollback $(call option,--release,RELEASE)

# A worker of the tests takes up to 3 GB. The tests of one file share what they set up, so a file stays with one worker. Idle threads of
# torch sleep: busily waiting they would take the cores from the other worker.
WORKERS ?= 2
.PHONY: test
test: $(VENV)/.installed-test ## Run all tests, WORKERS=2 at once
	@echo "Running all tests."
	@OMP_WAIT_POLICY=PASSIVE $(RUN) -m pytest --numprocesses=$(WORKERS) --dist=loadfile $(TESTS)

.PHONY: test-fast
test-fast: $(VENV)/.installed-test ## Run the tests that take seconds: no whole night, no gate, no long training
	@echo "Running the tests that take seconds."
	@OMP_WAIT_POLICY=PASSIVE $(RUN) -m pytest --numprocesses=$(WORKERS) --dist=loadfile -m "not slow" $(TESTS)

.PHONY: check
check: $(VENV)/.installed-test ## Lint and type-check
	@echo "Checking style (ruff), types (mypy) and SQL (sqlfluff)."
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/sqlfluff lint --disable-progress-bar dbt_project/models include/sources

.PHONY: bench
bench: $(VENV)/.installed-test ## Measure what the README quotes, ONLY=<name> for one
	@echo "Measuring; this takes a while."
	@$(RUN) -m tests.benchmarks $(call given,ONLY)

.PHONY: bench-recommend
bench-recommend: $(VENV)/.installed-test ## Leave-one-out on a file of sequences, SEQUENCES=<file> [ATTRIBUTES=<json>]
	@$(if $(value SEQUENCES),,echo "Say which file: make bench-recommend SEQUENCES=<file> [ATTRIBUTES=<json>]" >&2; exit 2;) \
	$(RUN) -m tests.benchmarks.bench_sequences $(call given,SEQUENCES) $(call option,--attributes,ATTRIBUTES)

.PHONY: bench-side-by-side
bench-side-by-side: $(VENV)/.installed-test $(COMPARE)/.installed ## Other packages beside Nightshelf, SEQUENCES=<file> [USERS=<first so many>] [EPOCHS=3]
	@$(if $(value SEQUENCES),,echo "Say which file: make bench-side-by-side SEQUENCES=<file> [USERS=<first so many>] [EPOCHS=3]" >&2; exit 2;) \
	$(RUN) -m tests.benchmarks.bench_side_by_side $(call given,SEQUENCES) $(call option,--users,USERS) $(call option,--epochs,EPOCHS)
.PHONY: bench-sentiment
bench-sentiment: $(VENV)/.installed-test ## Sentiment on a file of reviews, REVIEWS=<file> TEXT=<column> LABEL=<column> [TIME=<column>]
	@$(if $(and $(value REVIEWS),$(value TEXT),$(value LABEL)),,echo "Say what to read: make bench-sentiment REVIEWS=<file> TEXT=<column> LABEL=<column> [TIME=<column>]" >&2; exit 2;) \
	$(RUN) -m tests.benchmarks.bench_sentiment $(call given,REVIEWS) $(call option,--text,TEXT) $(call option,--label,LABEL) $(call option,--time,TIME)

.PHONY: lock
lock: ## Resolve requirements*.in anew into requirements*.txt
	@echo "Resolving the requirements in a clean environment."
	@rm -rf build/lock && $(PYTHON) -m venv build/lock
	@build/lock/bin/pip --disable-pip-version-check install -q -r requirements.in
	@{ head -1 requirements.txt; build/lock/bin/pip freeze | sed 's/+cpu$$//' | LC_ALL=C sort -f; } > build/requirements.txt
	@build/lock/bin/pip --disable-pip-version-check install -q -r requirements-test.in -c build/requirements.txt
	@{ head -1 requirements-test.txt; build/lock/bin/pip freeze | sed 's/+cpu$$//' | LC_ALL=C sort -f | grep -vxFf build/requirements.txt; } > build/requirements-test.txt
	@build/lock/bin/pip check && mv build/requirements.txt build/requirements-test.txt . && rm -rf build/lock
	@$(PYTHON) -m venv build/lock && build/lock/bin/pip --disable-pip-version-check install -q -r requirements-compare.in
	@{ head -1 requirements-compare.txt; build/lock/bin/pip freeze | sed 's/+cpu$$//' | LC_ALL=C sort -f; } > build/requirements-compare.txt
	@build/lock/bin/pip check && mv build/requirements-compare.txt . && rm -rf build/lock

.PHONY: clean
clean: ## Remove what was installed and built; the state in NIGHTSHELF_HOME stays
	@echo "Removing $(VENV), build outputs and caches;" $(call quote,$(HOME_DIR)) "stays."
	@rm -rf $(VENV) build dbt_project/target dbt_project/logs .mypy_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Nightshelf needs Python 3.11, found " + sys.version + "; name one with PYTHON=")'
	@echo "Installing requirements.txt into $(VENV), about 2 minutes."
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@$(PIP) install -q -r requirements.txt
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed requirements-test.txt
	@echo "Installing requirements-test.txt, what tests and checks need on top."
	@$(PIP) install -q -r requirements-test.txt
	@touch $@

$(COMPARE)/.installed: requirements-compare.txt
	@echo "Installing requirements-compare.txt into $(COMPARE), about 4 minutes."
	@test -x $(COMPARE)/bin/python || $(PYTHON) -m venv $(COMPARE)
	@$(COMPARE)/bin/python -m pip --disable-pip-version-check --no-input install -q -r requirements-compare.txt
	@touch $@
