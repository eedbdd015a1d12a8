"""The model card: metadata that the Hub reads, numbers of the run, and nothing of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from hfcli.render.report.finetune import write_finetune_report
from tests.reports import RECIPE, finetune_folder, finetune_result


def card(folder: Path, recipe: str = RECIPE, **changes: Any) -> Any:
    """The card that is written, as the Hub's own class reads it."""
    write_finetune_report(folder, finetune_result(**changes), recipe)
    return ModelCard.load(folder / "README.md")


def test_metadata_say_what_the_run_knows(tmp_path: Path) -> None:
    data = card(finetune_folder(tmp_path / "mine")).data
    assert data.library_name == "transformers"
    assert data.pipeline_tag == "text-classification"
    assert data.tags == ["hfcli"]
    assert data.metrics == ["accuracy", "f1_macro"]
    assert data.base_model is None
    assert data.license is None
    assert data.model_name == "mine"
    scores = {one.metric_type: one.metric_value for one in data.eval_results}
    assert scores == finetune_result()["metrics"]
    assert {one.dataset_split for one in data.eval_results} == {"validation"}
    assert {one.dataset_name for one in data.eval_results} == {"messages.csv"}


def test_a_model_and_a_data_set_of_the_hub_are_named(tmp_path: Path) -> None:
    recipe = "data:\n  path: nyu-mll/glue\n  name: sst2\n  train: [train]\n"
    data = card(tmp_path, recipe, model="openai-community/gpt2", revision="abc").data
    assert data.base_model == "openai-community/gpt2"
    assert data.datasets == ["nyu-mll/glue"]
    assert {one.dataset_config for one in data.eval_results} == {"sst2"}


def test_a_folder_of_this_machine_is_named_without_its_path(tmp_path: Path) -> None:
    text = card(tmp_path).text
    assert "small-bert" in text
    assert "/home/someone" not in text


def test_an_adapter_belongs_to_peft(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}", encoding="utf-8")
    assert card(tmp_path).data.library_name == "peft"


@pytest.mark.parametrize("metrics", [{}, {"loss": float("nan")}], ids=["none", "nan"])
def test_a_run_without_scores_states_none(tmp_path: Path, metrics: dict[str, float]) -> None:
    assert card(tmp_path, metrics=metrics).data.eval_results is None


def test_the_text_tells_how_to_use_it_and_what_is_unknown(tmp_path: Path) -> None:
    text = card(finetune_folder(tmp_path)).text
    assert "hfcli eval path/to/this/model" in text
    assert 'pipeline("text-classification", model="path/to/this/model")' in text
    assert RECIPE in text
    assert "## Not known" in text
    assert "| accuracy | 0.8725 |" in text
    pictures = [line.rpartition("](")[2][:-1] for line in text.splitlines() if line[:2] == "!["]
    assert len(pictures) == 4
    assert all((tmp_path / name).is_file() for name in pictures)
