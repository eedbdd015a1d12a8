# make run | test | check | fuzz | models | kill | bench: each sets up .venv first, where needed, from constraints.txt.
# make test-unit | resolve | release-check: the same with environments of their own.
# make test-oldest | test-newest | test-python: other versions, each in a new environment (docs/versions.md).
PYTHON ?= python3
TORCH ?= torch==2.13.0
JOBS ?= auto
BIN_NAME := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := .venv/$(BIN_NAME)
UNIT_VENV := .venv-unit/$(notdir $(PYTHON))
UNIT := $(UNIT_VENV)/$(BIN_NAME)
TOOLS := .venv-tools/$(BIN_NAME)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Which Python it is, of which environment.
SAY = @printf '%s: %s\n' "$(1)" "$$($(1)/python --version)"

# A new environment for the tests, with TORCH and these constraints.
define environment
rm -rf $(1)
$(PYTHON) -m venv $(1)
$(1)/$(BIN_NAME)/python .ci/torch_note.py $@ '$(TORCH)'
$(1)/$(BIN_NAME)/python -m pip install --quiet --disable-pip-version-check $(2) '$(TORCH)' -e '.[test]'
endef

.PHONY: run test test-oldest test-newest test-python test-unit check resolve release-check fuzz models kill bench clean

run: .venv/installed
	$(call SAY,$(BIN))
	HF_HUB_OFFLINE=1 $(BIN)/hfcli generate --model bundled "The world is a beautiful place,"
	HF_HUB_OFFLINE=1 $(BIN)/hfcli finetune recipes/bundled-text-classification.yaml --overwrite
	HF_HUB_OFFLINE=1 $(BIN)/hfcli eval runs/bundled-text-classification
	@printf '\nTry next:\n'
	@printf '  %s\n' \
	  '. .venv/bin/activate' \
	  'hfcli generate --model bundled --seed 1 "It was a dark night, and"' \
	  'hfcli finetune recipes/bundled-text-generation.yaml' \
	  'hfcli generate --model runs/bundled-text-generation "The ferry"' \
	  'hfcli finetune recipes/gpt2-text-classification.yaml data.max_samples=2000   # GPT-2 and SST-2 from the Hub'

test: .venv/installed-test
	$(call SAY,$(BIN))
	@$(BIN)/python -m tests.sets --jobs $(JOBS) $(if $(RECORD),--record) pinned

test-oldest:
	$(call environment,.venv-oldest,-c constraints-oldest.txt)
	@.venv-oldest/$(BIN_NAME)/python -m tests.sets --jobs $(JOBS) $(if $(SHORT),--short) oldest

test-newest:
	$(call environment,.venv-newest,)
	@.venv-newest/$(BIN_NAME)/python -m tests.sets --jobs $(JOBS) $(if $(SHORT),--short) newest

test-python:
	$(call environment,.venv-python,-c constraints.txt)
	@.venv-python/$(BIN_NAME)/python -m tests.sets --jobs $(JOBS) python

test-unit: $(UNIT_VENV)/installed
	$(call SAY,$(UNIT))
	$(UNIT)/python -m pytest -n auto --dist worksteal -m 'not alone' tests/unit

resolve: .venv-tools/installed
	$(TOOLS)/python .ci/resolve.py $(TOOLS)/uv
	$(TOOLS)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

release-check: .venv/installed-test .venv-tools/installed
	$(BIN)/python -m tests.release $(TOOLS)

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fuzz: .venv/installed-test
	$(BIN)/python -m tests.fuzz

models: .venv/installed-test
	$(BIN)/python -W ignore -m tests.models.causal
	$(BIN)/python -W ignore -m tests.models.classifiers

kill: .venv/installed-test
	$(BIN)/python -m tests.kill
	$(BIN)/python -m tests.kill.full_disk
	$(BIN)/python -m tests.kill.places

bench: .venv/installed
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .venv-* runs

.venv/made $(UNIT_VENV)/made .venv-tools/made:
	$(PYTHON) -m venv $(@D)
	@touch $@

.venv/installed: .venv/made pyproject.toml constraints.txt
	@$(BIN)/python .ci/torch_note.py run -c constraints.txt
	$(INSTALL) -e .
	@touch $@

.venv/installed-test: .venv/installed
	$(INSTALL) -e '.[test]'
	@touch $@

.venv/installed-dev: .venv/installed
	$(INSTALL) -e '.[dev]'
	@touch $@

$(UNIT_VENV)/installed: $(UNIT_VENV)/made pyproject.toml constraints.txt .ci/unit_requirements.py
	$(UNIT)/python .ci/unit_requirements.py > $(UNIT_VENV)/requirements.txt
	$(UNIT)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r $(UNIT_VENV)/requirements.txt
	$(UNIT)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

.venv-tools/installed: .venv-tools/made
	$(TOOLS)/python -m pip install --quiet --disable-pip-version-check uv pipx check-jsonschema
	@touch $@
