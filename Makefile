# Everything runs in a virtual environment that is made here; a machine needs Python 3.10 or newer, and make.

PYTHON ?= python3
VENV ?= .venv
INSTALLED = $(VENV)/installed

.PHONY: help setup test train lint

help:
	@echo "make test                      set up, then run the tests"
	@echo "make train DATASET=folder      set up, then train on a dataset; more options of train.py in ARGS='...'"
	@echo "make setup                     set up only"
	@echo "make lint                      check style"

$(INSTALLED): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 10) else "Python 3.10 or newer is needed, this is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

setup: $(INSTALLED)

test: $(INSTALLED)
	$(VENV)/bin/python -m pytest

train: $(INSTALLED)
	@test -n "$(DATASET)" || { echo "name a dataset: make train DATASET=folder (its layout is in README.md)"; exit 2; }
	$(VENV)/bin/python train.py "$(DATASET)" $(ARGS)

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
