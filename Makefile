# Every target sets itself up from a bare checkout: a virtual environment with the pinned packages.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Real corpora for the long benchmarks; see benchmarks/README.md.
DATA ?= ../shared/data

.PHONY: demo test check coverage mutants pages docs wheel bench bench-full bench-peers lock clean

demo: $(READY)
	$(BIN)/crossloss run --demo --out runs/demo

test: $(READY) docs
	$(BIN)/pytest -m "not slow and not browser"
	$(BIN)/pytest -m "slow or browser"

check: $(READY)
	$(BIN)/ruff format --check src studies tests benchmarks docs
	$(BIN)/ruff check src studies tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/pytest -m "not slow and not browser"

# Lines and branches of src that the fast tests run, by folder: see docs/testing.md.
coverage: $(READY)
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps coverage==7.17.4
	$(BIN)/python benchmarks/covered.py

# Small faults in core, the fields and the estimators that no test catches; goes on where it stopped (hours).
mutants: coverage
	$(BIN)/python benchmarks/mutants.py

# docs/commands.md, api.md, reference.md and capabilities.md, from the commands' own help, docstrings and tests.
pages: $(READY)
	$(BIN)/python docs/generate.py

# The documentation as a site, into site/; a link that leads nowhere fails. In an environment of its own: no test needs it.
docs:
	test -x $(VENV)-docs/bin/mkdocs || $(PYTHON) -m venv $(VENV)-docs
	$(VENV)-docs/bin/python -m pip install --disable-pip-version-check -q -r docs/requirements.txt
	NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/mkdocs build --strict

# Sdist, and the wheel made of it, into dist/; then what is in the wheel, and tests of it as installed (without src).
wheel:
	rm -rf dist
	$(PYTHON) -m venv --clear $(VENV)-wheel
	$(VENV)-wheel/bin/python -m pip install --disable-pip-version-check -q build
	$(VENV)-wheel/bin/python -m build
	$(VENV)-wheel/bin/python -m pip install --disable-pip-version-check -q --no-deps -r requirements.lock
	$(VENV)-wheel/bin/python -m pip install --disable-pip-version-check -q --no-deps dist/*.whl
	$(VENV)-wheel/bin/python tests/wheel.py dist
	$(VENV)-wheel/bin/pytest -m "not browser" tests/docs tests/report tests/objectives

# Ratio to the floor; and, where the corpora are, seconds to gensim's quality at V 4,337 (both in the same run).
bench: $(READY)
	$(BIN)/python benchmarks/passes.py
	test ! -d $(DATA) || $(BIN)/python benchmarks/gensim_curves.py $(DATA) --case 4337

bench-full: bench
	$(BIN)/python benchmarks/passes.py --corpus $(DATA)/wikipedia-180k.tsv.gz --out benchmarks/results/passes-180k.json
	$(BIN)/python benchmarks/gensim_curves.py $(DATA) --case 25074 25074-drawn 67108
	$(BIN)/python benchmarks/gensim_quality.py $(DATA)/wikipedia-180k.tsv.gz
	$(BIN)/python benchmarks/fidelity_grid.py $(DATA)/wikipedia-180k.tsv.gz
	PYTHONPATH=. $(BIN)/python benchmarks/mixture.py --run runs/mixture
	$(BIN)/python benchmarks/gensim_fidelity.py $(DATA)/wikipedia-20k.tsv.gz --kept runs/gensim.json

# Other packages, each with its own pinned venv (they conflict): about 5 GB under benchmarks/peers/.venvs.
PEERS := benchmarks/peers
PEER_VENVS := $(patsubst %,$(PEERS)/.venvs/%/.ready,dattri pydvl captum kronfluence)

bench-peers: $(READY) $(PEER_VENVS)
	$(PEERS)/.venvs/pydvl/bin/python $(PEERS)/load_digits.py
	for problem in mixture words digits; do $(BIN)/python $(PEERS)/prepare.py $$problem || exit 1; done
	$(BIN)/python $(PEERS)/run.py
	$(BIN)/python $(PEERS)/tables.py

$(PEERS)/.venvs/%/.ready: $(PEERS)/requirements/%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --disable-pip-version-check -q -r $<
	touch $@

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -e .
	touch $(READY)

# (What nothing here imports is left out, hence --no-deps above: backpack's torchvision, and Playwright and its own.)
lock:
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q torch==2.13.0 -e ".[dev]"
	(echo "# What make installs: every package pinned. After a change of pyproject.toml: make lock."; \
	 $(BIN)/python -m pip freeze --exclude-editable | grep -Ev '^(torchvision|playwright|pyee|greenlet)=' | \
	 sed 's/^\(torch==[0-9.]*\)+.*/\1/') > requirements.lock

clean:
	rm -rf $(VENV) $(VENV)-docs $(VENV)-wheel dist site runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
