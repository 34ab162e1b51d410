# Everything runs from a virtual environment beside this file; no target needs root.
#   make demo ARGS="--duration 240"     make test     make check
# PYTHON names the interpreter to begin with, VENV the directory of the environment.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
# Tests start hundreds of processes; each would compile the project anew where this is set.
unexport PYTHONDONTWRITEBYTECODE
# Integration tests wait more than they compute, so more of them than processors run at once.
WORKERS ?= 4
# The longest tests go first, and a worker without any left takes over from another's end.
SHARED = -n $(WORKERS) --dist worksteal
TOGETHER = $(SHARED) tests/faults tests/integration tests/unit
# The demo mostly waits, and must not be kept waiting. These compute, mind no neighbour and give
# way; each file stays with one worker, for what it sets up. All that is not named here runs
# afterwards.
CALM = tests/unit $(wildcard $(addprefix tests/integration/test_,alerts_explain.py alerts_links.py \
  alerts_pages.py alerts_promtool.py browser_checks.py dashboards_*.py runbook_expressions.py \
  runbook_sql.py schema.py tracing_searches.py tracing_store.py))
# Where somebody chooses tests, a part may have none of them.
SOME = $(if $(ARGS),|| test $$? -eq 5)
FAULT_TABLE ?= fault-table.md
LEDGER ?= alerts/mutation.json
FRESH ?= --fresh

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PEERS := $(VENV)/.peers
PACKAGES := outbound_slo sender exporter tracing alerts dashboards operations benchmarks tests

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-demo test-calm test-all coverage check static unit generate mutate mutate-changed bench-tracing bench-sender bench-exporter bench-exporter-faults bench-soak bench-detection bench-rules bench-preview incidents constraints clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

venv: $(INSTALLED) ## Make the virtual environment

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, and '$(PYTHON)' is not one. Name one: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) can't make virtual environments. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the project and what it needs into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

demo: $(INSTALLED) ## Run the whole stack on this machine through an incident; ARGS="--duration S"
	@$(BIN)/outbound-slo demo $(ARGS)

generate: $(INSTALLED) ## Write all generated files again
	$(BIN)/outbound-slo generate

static: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/outbound-slo generate --check

unit: $(INSTALLED)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/unit $(ARGS)

check: static unit ## Linters, types, import layers, generated files, unit tests: under a minute

# Outcomes of rules and tests that are as they were come from the ledger.
mutate-changed: $(INSTALLED)
	$(BIN)/outbound-slo alerts mutate --ledger $(LEDGER) --argued

mutate: $(INSTALLED) ## Change every alert rule in every way and see whether its tests notice; FRESH= goes on with a run
	$(BIN)/outbound-slo alerts mutate --ledger $(LEDGER) $(FRESH) --save --argued $(ARGS)

test: static mutate-changed ## All checks and all tests on real parts
	@echo "The demo, and beside it tests that compute: three minutes, then what each has to say"
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-demo test-calm
	$(BIN)/python -m pytest $(SHARED) tests/faults tests/integration $(addprefix --ignore=,$(CALM)) $(ARGS) $(SOME)

test-demo: $(INSTALLED)
	$(BIN)/python -m pytest tests/acceptance $(ARGS) $(SOME)

test-calm: $(INSTALLED)
	nice $(BIN)/python -m pytest -n 2 --dist loadfile $(CALM) $(ARGS) $(SOME)

# Every process that a test starts is traced too, which costs half as much again.
coverage: $(INSTALLED) ## All tests, thoroughly, with the coverage of every process
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest tests/acceptance $(ARGS)
	$(BIN)/coverage run -m pytest $(TOGETHER) --thorough $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-all: static mutate coverage ## That, then the whole campaign of faults; its table goes to FAULT_TABLE too
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/faults --campaign --fault-table $(FAULT_TABLE) $(ARGS)

bench-tracing: $(INSTALLED) ## What tracing costs beside the stock OpenTelemetry SDK; ARGS="--rounds N"
	@$(BIN)/python -m benchmarks.tracing $(ARGS)

$(PEERS): $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@touch $@

bench-sender: $(PEERS) ## The sender beside its peers and under burdens, about an hour; ARGS="--only wake"
	@$(BIN)/python -m benchmarks.sender $(ARGS)

bench-exporter: $(PEERS) ## The exporter beside its peers, to ten million messages; ARGS="--sizes 100000"
	@$(BIN)/python -m benchmarks.exporter $(ARGS)

bench-exporter-faults: $(PEERS) ## What exporters show when the database fails; ARGS="--only NULL"
	@$(BIN)/python -m benchmarks.exporter_faults $(ARGS)

bench-soak: $(INSTALLED) ## A million messages through one sender; ARGS="--messages N"
	@$(BIN)/python -m benchmarks.soak $(ARGS)

bench-detection: $(INSTALLED) ## How soon alerts tell of an outage, beside burn rates alone; ARGS="--share 50"
	@$(BIN)/python -m benchmarks.detection $(ARGS)

incidents: $(INSTALLED) ## The runbooks' incidents and a healthy week, replayed on the rules; ARGS="--only quota"
	@$(BIN)/outbound-slo alerts incidents --quiet-days 7 $(ARGS)

bench-rules: $(INSTALLED) ## Evaluation of all rules at thirty days of data; ARGS="--rounds N"
	@$(BIN)/python -m benchmarks.rules $(ARGS)

bench-preview: $(INSTALLED) ## Load time of previews with a day of data; ARGS="--rounds N"
	@$(BIN)/python -m benchmarks.preview $(ARGS)

constraints: ## Pin what the environment holds now
	@$(BIN)/python -m pip freeze --exclude-editable | sort -f > constraints.txt

clean: ## Remove the environment, caches and what the demo left
	rm -rf $(VENV) .cache demo-data fault-table.md htmlcov .coverage .coverage.* .mypy_cache .ruff_cache \
	  .pytest_cache .hypothesis .import_linter_cache
	find $(PACKAGES) -name __pycache__ -type d -prune -exec rm -rf {} +
