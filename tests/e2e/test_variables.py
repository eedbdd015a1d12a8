"""A setting is the same setting whether a flag or a variable gives it, and records name both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers import RECIPES, hfcli, write_csv


def test_a_file_of_prompts_goes_on_by_flag_or_by_variable(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("The boat\nA lamp\n", encoding="utf-8")
    texts = tmp_path / "texts.jsonl"
    by_variable = {
        "HFCLI_GENERATE_MAX_NEW_TOKENS": "3",
        "HFCLI_GENERATE_INPUT": str(prompts),
        "HFCLI_GENERATE_OUTPUT": str(texts),
        "HFCLI_GENERATE_SEED": "7",
        "HFCLI_GENERATE_MODEL": "bundled",
    }
    assert hfcli("generate", env=by_variable).returncode == 0
    written = texts.read_bytes()
    manifest = json.loads((tmp_path / "texts.jsonl.run.json").read_text(encoding="utf-8"))
    assert manifest["environment"] == by_variable
    assert manifest["seed"] == 7
    flags: list[str | Path] = ["generate", "-m", "bundled", "-i", prompts, "-o", texts]
    flags += ["--max-new-tokens", "3"]
    again = hfcli(*flags, "--seed", "7")
    assert again.returncode == 0
    assert "2 texts" in again.stderr
    assert texts.read_bytes() == written
    other = hfcli(*flags, env={"HFCLI_GENERATE_SEED": "8"})
    assert other.returncode == 5
    assert "seed: 7 -> 8" in other.stderr


def test_a_run_and_its_evaluation_record_their_variables(tmp_path: Path) -> None:
    out = tmp_path / "run"
    by_variable = {
        "HFCLI_FINETUNE_SET": "training.max_steps=2\ntraining.bf16=false",
        "HFCLI_FINETUNE_OUTPUT_DIR": str(out),
    }
    recipe = RECIPES / "bundled-text-classification.yaml"
    done = hfcli("finetune", recipe, "training.max_steps=1", env=by_variable)
    assert done.returncode == 0, done.stderr
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert record["environment"] == by_variable
    assert record["recipe"]["training"]["max_steps"] == 1, "what is typed wins"
    assert record["recipe"]["training"]["bf16"] is False
    rows = write_csv(tmp_path / "rows.csv", [("a boat", "calm"), ("a wind", "storm")])
    scored = hfcli("eval", out, "--json", env={"HFCLI_EVAL_ON_BAD_ROW": "skip"})
    assert scored.returncode == 0, scored.stderr
    report = Path(json.loads(scored.stdout)["output_dir"]) / "report.json"
    told = json.loads(report.read_text(encoding="utf-8"))
    assert told["command"].startswith("HFCLI_EVAL_ON_BAD_ROW=skip hfcli eval ")
    wrong = hfcli("eval", out, "--data", rows, env={"HFCLI_EVAL_FAIL_UNDER": "accuracy=high"})
    assert wrong.returncode == 2
    assert "HFCLI_EVAL_FAIL_UNDER" in wrong.stderr


@pytest.mark.parametrize("value", ["soon", "-1", "0"])
def test_a_wrong_deadline_is_told_at_once(value: str) -> None:
    done = hfcli("recipes", "list", env={"HFCLI_HUB_TIMEOUT": value})
    assert done.returncode == 2
    assert f"HFCLI_HUB_TIMEOUT is '{value}'" in done.stderr
