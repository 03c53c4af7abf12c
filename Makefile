# Both environments are made once, and again when a pyproject.toml changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PLUGINS := $(wildcard plugins/amulet-plugin-*)
PROJECTS := pyproject.toml $(wildcard plugins/amulet-plugin-*/pyproject.toml)
# It pins requests~=2.25.1, so it comes in without its dependencies, after those it really needs.
UNPINNED := torchattacks
export OMP_NUM_THREADS ?= 1
# The theme advertises its successor in each build.
export NO_MKDOCS_2_WARNING ?= 1

.PHONY: quickstart test test-plugins docs lint bench clean

quickstart: $(VENV)/installed
	@$(BIN)/amulet quickstart --out amulet-quickstart

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-plugins: $(VENV)/developed
	set -e; for plugin in $(PLUGINS); do $(BIN)/python -m pytest -n 2 $$plugin/tests; done

docs: $(VENV)/developed
	$(BIN)/python -m mkdocs build --strict
	@echo "The site is in build/site: open build/site/index.html."

lint: $(VENV)/developed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	set -e; for plugin in $(PLUGINS); do $(BIN)/mypy --config-file $$plugin/pyproject.toml; done
	$(BIN)/lint-imports

bench: $(VENV)/developed
	$(BIN)/python benchmarks/listing.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/quickstart.py

clean:
	rm -rf $(VENV) build dist *.egg-info

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"AMULET needs Python 3.11 or later, $(PYTHON) is {sys.version.split()[0]}: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/installed: pyproject.toml | $(VENV)/made
	@echo "Installing AMULET into $(VENV): some minutes the first time, as PyTorch is large."
	@$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/developed: $(PROJECTS) | $(VENV)/made
	@echo "Installing AMULET and its tools into $(VENV): some minutes the first time, as PyTorch is large."
	$(BIN)/python -m pip install --quiet --editable '.[dev,docs]'
ifneq ($(wildcard plugins/amulet-plugin-torchattacks),)
	$(BIN)/python -m pip install --quiet torchvision requests tqdm
	$(BIN)/python -m pip install --quiet --no-deps $(UNPINNED)
endif
	set -e; for plugin in $(filter %-$(UNPINNED),$(PLUGINS)); do \
		$(BIN)/python -m pip install --quiet --no-deps --editable $$plugin; done
	set -e; for plugin in $(filter-out %-$(UNPINNED),$(PLUGINS)); do \
		$(BIN)/python -m pip install --quiet --editable "$$plugin[test]"; done
	touch $@ $(VENV)/installed
