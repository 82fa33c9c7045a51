# Everything happens in .venv, made from the Python named here (3.11 to 3.13).
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
PIP    := $(RUN) -m pip --disable-pip-version-check install --quiet --constraint requirements/constraints.txt
CT     ?=
SERIES ?=
OUT    ?= demo
WORKERS ?= 2

export QT_QPA_PLATFORM ?= offscreen

.PHONY: help demo test test-long test-gpu test-versions lint screenshot tables clean

help:
	@echo "make demo [CT=path] [SERIES=n] [OUT=folder]  simulate the sample CT, or yours, and write pictures and data to demo/"
	@echo "make test [WORKERS=n]             run the tests in n processes, by default 2 (test-long: with full counts)"
	@echo "make test-gpu | test-versions     run the tests that need an NVIDIA card; those of the panel on other versions"
	@echo "make screenshot                   draw the Slicer panel and its views to screenshot.png"
	@echo "make lint | tables | clean        check style, regenerate the physics tables, remove what was made"

$(VENV)/demo.stamp: requirements/demo.txt requirements/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else \
	  "Python 3.11 to 3.13 is needed, not " + sys.version.split()[0] + "; name one as make PYTHON=python3.12 ...")'
	@$(RUN) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing the demo's packages into $(VENV) (about 350 MB to download, once) ..."
	@$(PIP) --requirement requirements/demo.txt
	@touch $@

$(VENV)/test.stamp: $(VENV)/demo.stamp requirements/test.txt
	@echo "Installing the tests' packages into $(VENV) ..."
	@$(PIP) --requirement requirements/test.txt
	@touch $@

demo: $(VENV)/demo.stamp
	@$(RUN) Testing/demo.py --output "$(OUT)" $(if $(CT),--ct "$(CT)") $(if $(SERIES),--series "$(SERIES)")

# As many processes as WORKERS says; tests of one file stay together, since they share what is dear to make. Each
# process leaves the other cores alone where numpy and torch would take them all.
PYTEST = OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(RUN) -m pytest Testing -n $(WORKERS) --dist loadfile

test: $(VENV)/test.stamp
	@$(PYTEST) -m "not long and not gpu"

test-long: $(VENV)/test.stamp
	@$(PYTEST) -m "not gpu"

# The kernels on the card itself, where there is one.
test-gpu: $(VENV)/test.stamp
	@$(RUN) Testing/card_there.py
	@$(RUN) -m pytest Testing -m gpu

# On the oldest and the newest versions of what the extension stands on, each in an environment of its own.
test-versions: $(VENV)/test.stamp
	@$(RUN) Testing/versions.py

lint: $(VENV)/test.stamp
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) Testing/pythonqt_check
	@$(RUN) -m mypy

screenshot: $(VENV)/test.stamp
	@$(RUN) Testing/screenshot.py

tables: $(VENV)/demo.stamp
	@$(PIP) --requirement requirements/tables.txt
	@$(RUN) Utilities/make_physics_tables.py

clean:
	rm -rf $(VENV) demo build dist DeepDRRSlicer/*.egg-info
