# Everything happens in .venv, made from the Python named here (3.11 to 3.13).
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
PIP    := $(RUN) -m pip --disable-pip-version-check install --quiet --constraint requirements/constraints.txt
CT     ?=
SERIES ?=
OUT    ?= demo

export QT_QPA_PLATFORM ?= offscreen

.PHONY: help demo test test-long lint screenshot tables clean

help:
	@echo "make demo [CT=path] [SERIES=n] [OUT=folder]  simulate the sample CT, or yours, and write pictures and data to demo/"
	@echo "make test                         run the tests (test-long: with full counts)"
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

test: $(VENV)/test.stamp
	@$(RUN) -m pytest Testing -m "not long"

test-long: $(VENV)/test.stamp
	@$(RUN) -m pytest Testing

lint: $(VENV)/test.stamp
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) Testing/pythonqt_check

screenshot: $(VENV)/test.stamp
	@$(RUN) Testing/screenshot.py

tables: $(VENV)/demo.stamp
	@$(PIP) --requirement requirements/tables.txt
	@$(RUN) Utilities/make_physics_tables.py

clean:
	rm -rf $(VENV) demo build dist DeepDRRSlicer/*.egg-info
