# make run | test | check | fuzz | models | kill | bench: each sets up .venv first, where needed, from constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: run test check fuzz models kill bench clean

run: .venv/installed
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
	$(BIN)/python -m pytest -m alone
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'not alone'

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
	rm -rf .venv runs

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(INSTALL) -e .
	@touch $@

.venv/installed-test: .venv/installed
	$(INSTALL) -e '.[test]'
	@touch $@

.venv/installed-dev: .venv/installed
	$(INSTALL) -e '.[dev]'
	@touch $@
