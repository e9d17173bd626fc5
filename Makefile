# All that is needed is Python >= 3.11 and make; the rest is installed into .venv at the first run.
#   make demo            the app of celery_app.py with servers, workers and panel; FRESH=1 starts anew
#   make test            every check, in the order format, lint, types, import contracts, tests
#   make soak-transport  20,000 random histories of a fair queue, scripts against model; a long hour
#   make bench           what jobmonitor costs against plain Celery; a quarter of an hour
#   make bench-fair      what the fair order gives and costs beside plain Celery; twenty minutes
#   make bench-scale     what many roots, messages and consumers cost Redis alone; ten minutes
#   make browser         chromium, if there is none; `make test` does it
#   make format, lint    the first four of these: repaired, or only checked
#   make lock            requirements.lock anew from pyproject.toml; UPGRADE=1 takes newer versions
#   make clean           remove what make installed and the caches, not the data of the demo

PYTHON ?= python3
# For two cores: tests wait for workers and servers a good part of their time.
PYTEST_WORKERS ?= 3

BIN := .venv/bin
UV := $(BIN)/uv --quiet
ROOT := $(if $(filter-out 0,$(shell id -u)),sudo -n)
SOURCES := $(wildcard jobmonitor flask_panel celery_app.py)

.PHONY: demo test soak-transport bench bench-fair bench-scale browser format lint lock clean

demo: .venv/installed
	$(BIN)/celery -A celery_app jobs demo $(if $(filter-out 0,$(FRESH)),--fresh)

test: lint browser
	$(BIN)/pytest -n $(PYTEST_WORKERS) --dist loadfile

soak-transport: .venv/installed
	JOBMONITOR_ORDER_EXAMPLES=20000 $(BIN)/pytest -n $(PYTEST_WORKERS) --dist load \
	    tests/transport/test_order.py

bench: .venv/installed
	$(BIN)/python -m tests.benchmarks

bench-fair: .venv/installed
	$(BIN)/python -m tests.benchmarks.fair

bench-scale: .venv/installed
	$(BIN)/python -m tests.benchmarks.scale

# Any chromium, from CHROMIUM or the PATH; where there is none Debian's without windows, which needs a
# third of the processor. Without one browser tests are skipped, in CI they fail.
browser:
	@for name in $(CHROMIUM) chromium-headless-shell chromium chromium-browser google-chrome; do \
	    command -v "$$name" > /dev/null && exit; done; \
	echo "installing chromium for the browser tests"; export DEBIAN_FRONTEND=noninteractive; \
	install="$(ROOT) apt-get install -y -qq --no-install-recommends"; \
	$(ROOT) apt-get update -qq && \
	{ $$install chromium-headless-shell 2> /dev/null || $$install chromium; } > /dev/null || \
	    echo "no browser, and it could not be installed: apt-get install chromium"

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports --no-logo

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(BIN)/uv
	@$(UV) pip compile --universal --python-version 3.11 --fork-strategy fewest --all-extras \
	    --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	    $(call as_option,--default-index,index-url) $(if $(UPGRADE),--upgrade) \
	    --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

# uv does not read the settings of pip, so it is told them. Every file must have a locked hash,
# so it does not matter which index it comes from. Where uv fails, pip does the same, slowly.
pip_setting = $(shell $(BIN)/pip config list | sed -n "s/^[^=]*\.$(1)='\(.*\)'$$/\1/p" | \
    sed 's/\\n/ /g' | head -n 1)
as_option = $(foreach value,$(call pip_setting,$(2)),'$(1)=$(value)')
INDEXES = --index-strategy=unsafe-best-match $(call as_option,--default-index,index-url) \
    $(call as_option,--index,extra-index-url) $(call as_option,--find-links,find-links)

.venv/installed: $(BIN)/uv requirements.lock pyproject.toml
	@echo "installing requirements.lock"
	@$(UV) pip install --python $(BIN)/python --compile-bytecode $(INDEXES) --require-hashes -r requirements.lock \
	    || $(BIN)/pip install --quiet --require-hashes -r requirements.lock
	@$(UV) pip install --python $(BIN)/python --no-deps --no-build-isolation --no-index -e . \
	    || $(BIN)/pip install --quiet --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	    "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.lock
	@$(BIN)/pip install -qq --require-hashes -r .venv/uv.lock
