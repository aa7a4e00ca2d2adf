# Variables of `make demo`, all optional: DATA, UNLABELLED, OUTPUT (folders), MINUTES, MEMORY, FRESH=1.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

# $(call need_python,<target>,<pattern>,<words>) ends in one line where pip would end in many. Environments are made by
# `venv --clear`, since without it one that another Python began keeps that Python.
need_python = @case "$$($(PYTHON) --version)" in "Python "$(2)) ;; *) \
	echo "make $(1) needs Python $(3), '$(PYTHON)' is $$($(PYTHON) --version): make $(1) PYTHON=<path>" >&2; exit 1;; esac

.PHONY: setup lint types test demo render release label test-label federation test-federation nnunet test-nnunet zoo-check clean

setup: .venv/installed

.venv/installed: requirements.txt
	$(call need_python,setup,3.1[1-9].*,3.11 or newer)
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --disable-pip-version-check --requirement requirements.txt
	touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

test: lint types
	$(BIN)/python -m tools.render --check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

demo: setup
	$(BIN)/python -m tools.demo $(if $(DATA),--data "$(DATA)") $(if $(UNLABELLED),--unlabelled "$(UNLABELLED)") \
		$(if $(OUTPUT),--output_dir "$(OUTPUT)") $(if $(MINUTES),--minutes $(MINUTES)) $(if $(MEMORY),--memory "$(MEMORY)") \
		$(if $(FRESH),--fresh)

render: setup
	$(BIN)/python -m tools.render

release: setup
	$(BIN)/python -m tools.release

label: .venv-label/installed

.venv-label/installed: requirements-label.txt
	$(call need_python,label,3.1[12].*,3.11 or 3.12)
	$(PYTHON) -m venv --clear .venv-label
	.venv-label/bin/python -m pip install --disable-pip-version-check --requirement requirements-label.txt
	.venv-label/bin/python -m pip install --disable-pip-version-check --no-deps monailabel==0.8.5 numpymaxflow==0.0.7
	touch $@

test-label: label
	OMP_NUM_THREADS=1 .venv-label/bin/python -m pytest tests/e2e/test_monai_label.py

federation: .venv-federation/installed

.venv-federation/installed: requirements-federation.txt requirements.txt
	$(call need_python,federation,3.11.*,3.11)
	$(PYTHON) -m venv --clear .venv-federation
	.venv-federation/bin/python -m pip install --disable-pip-version-check --requirement requirements-federation.txt
	touch $@

test-federation: federation
	OMP_NUM_THREADS=1 .venv-federation/bin/python -m pytest tests/e2e/test_federation.py

# nnU-Net beside the rest, of which it changes nothing
nnunet: .venv/installed-nnunet

.venv/installed-nnunet: .venv/installed requirements-nnunet.txt
	$(BIN)/python -m pip install --disable-pip-version-check --requirement requirements.txt \
		--requirement requirements-nnunet.txt
	touch $@

test-nnunet: nnunet
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/e2e/test_nnunet.py

# most of what the model zoo's CI checks (docs/sharing.md): every bundle at full size, then every zip with its smallest network
zoo-check: release
	$(BIN)/python -m tools.zoo_check
	$(BIN)/python -m tools.zoo_check dist/*.zip --preset tiny

clean:
	rm -rf dist .mypy_cache .pytest_cache .ruff_cache
	find bundles tools tests -name __pycache__ -type d -prune -exec rm -rf {} +
