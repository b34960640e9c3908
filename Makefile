# One command each: make demo, make test. Everything else is a part of these.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
PEERS  := postfix swaks pflogsumm python3 python3-venv \
  postfix-cdb postfix-ldap postfix-lmdb postfix-mysql postfix-pcre postfix-pgsql postfix-sqlite \
  slapd ldap-utils ypserv yp-tools postgresql mariadb-server memcached postsrsd postfix-mta-sts-resolver amavisd-new \
  postgrey postfix-policyd-spf-python postfwd policyd-rate-limit
# What drivers without a wheel are compiled with.
HEADERS := gcc python3-dev libdb5.3-dev libldap-dev libsasl2-dev

export PYTHONDONTWRITEBYTECODE = 1

.PHONY: demo test check lint types layers unit bench faults peers format clean

demo: $(VENV)/.installed
	$(BIN)/python -I contrib/demo/demo.py

test: peers $(VENV)/.installed-drivers check

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

bench: peers $(VENV)/.installed-bench
	$(BIN)/python -m bench

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

$(VENV)/.installed-bench: pyproject.toml $(VENV)/.installed
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev,bench]'
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist build

.PHONY: hooks-doc parameters-doc
hooks-doc:
	$(BIN)/python -Im gateway.hooks.document > docs/hooks.md

parameters-doc:
	$(BIN)/python -Im gateway.config.document > docs/parameters.md
