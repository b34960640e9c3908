# One command each: make demo, make test. Everything else is a part of these.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
# The same gateway, its hot modules compiled to C: what is measured, and what a busy machine should run.
COMPILED := .venv-compiled
# By Debian's own Python, where its headers are: faster than most others, and so both are tested where there is another one.
DEBIAN_PYTHON := $(and $(wildcard /usr/include/python3.11/Python.h),$(wildcard /usr/lib/python3.11/ensurepip),$(wildcard /usr/bin/python3.11))
COMPILED_PYTHON ?= $(or $(DEBIAN_PYTHON),$(PYTHON))
PEERS  := postfix swaks pflogsumm python3 python3-venv \
  postfix-cdb postfix-ldap postfix-lmdb postfix-mysql postfix-pcre postfix-pgsql postfix-sqlite \
  slapd ldap-utils ypserv yp-tools postgresql mariadb-server memcached postsrsd postfix-mta-sts-resolver amavisd-new \
  postgrey postfix-policyd-spf-python postfwd policyd-rate-limit
# What drivers without a wheel are compiled with.
HEADERS := gcc python3-dev libdb5.3-dev libldap-dev libsasl2-dev

export PYTHONDONTWRITEBYTECODE = 1

.PHONY: demo test check lint types layers unit bench compiled compiled-tests faults peers format clean

demo: $(VENV)/.installed
	$(BIN)/python -I contrib/demo/demo.py

# The wheel is compiled beside the checks, for that takes minutes. Without a compiler it is left out; in CI that is a failure.
test: peers $(VENV)/.installed-drivers
	@if command -v cc >/dev/null; then \
	  $(MAKE) --no-print-directory -j2 check compiled && $(MAKE) --no-print-directory compiled-tests; \
	else \
	  $(MAKE) --no-print-directory check && echo 'SKIPPED: tests of the compiled wheel: no C compiler' && test -z "$$CI"; \
	fi

check: lint types layers unit

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types:
	$(BIN)/mypy

layers:
	$(BIN)/lint-imports

unit:
	$(BIN)/python -Im pytest

bench: peers $(COMPILED)/.installed
	$(COMPILED)/bin/python -m bench

compiled: $(COMPILED)/.installed

compiled-tests: $(COMPILED)/.installed
	$(COMPILED)/bin/python -Im pytest tests/unit tests/dialogues tests/faults

faults: $(VENV)/.installed
	$(BIN)/python tests/faults/kill_rounds.py --rounds 200

format:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The real peers of the tests, installed without starting the servers (RUNLEVEL=1). Without root or apt they are left out, and their tests say so.
peers:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  missing=""; for p in $(PEERS) $(HEADERS); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	  if [ -n "$$missing" ]; then \
	    apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	  fi; \
	fi

$(VENV)/bin/python:
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv; \
	  else echo 'python3-venv is missing: apt-get install python3-venv'; exit 1; fi; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	touch $@

# Without a compiler the compiled drivers are left out, and their tests say so.
$(VENV)/.installed-drivers: pyproject.toml $(VENV)/.installed
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev,drivers]'
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[compiled-drivers]' || \
	  echo 'compiled drivers left out: apt-get install $(HEADERS)'
	touch $@

# Some minutes of mypyc and gcc. An installed wheel, not the tree: make it again after a change.
$(COMPILED)/.installed: pyproject.toml contrib/compiled/hook.py $(shell find gateway plugins -name '*.py')
	@command -v cc >/dev/null || { echo 'a C compiler is missing: apt-get install gcc python3-dev'; exit 1; }
	rm -rf $(COMPILED)
	$(COMPILED_PYTHON) -m venv $(COMPILED)
	rm -rf build/compiled
	HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 $(COMPILED)/bin/python -m pip wheel -q --disable-pip-version-check --no-deps -w build/compiled .
	$(COMPILED)/bin/python -m pip install -q --disable-pip-version-check "$$(ls build/compiled/*.whl)[dev,drivers,bench]"
	$(COMPILED)/bin/python -m pip install -q --disable-pip-version-check "$$(ls build/compiled/*.whl)[compiled-drivers]" || \
	  echo 'compiled drivers left out: apt-get install $(HEADERS)'
	touch $@

clean:
	rm -rf $(VENV) $(COMPILED) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist build

.PHONY: hooks-doc parameters-doc
hooks-doc:
	$(BIN)/python -Im gateway.hooks.document > docs/hooks.md

parameters-doc:
	$(BIN)/python -Im gateway.config.document > docs/parameters.md
