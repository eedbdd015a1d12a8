"""A bulk run goes on with the model and the number type that it began with, or is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hfcli.errors import RunError
from hfcli.generation import bulk_run, loading
from hfcli.generation.bulk import generate_file
from hfcli.generation.bulk_files import BulkFiles
from hfcli.generation.engines.transformers import TransformersEngine
from hfcli.generation.loading import ModelChoice
from hfcli.generation.run import TextOptions
from hfcli.recipe.sections import GenerationSettings
from hfcli.results import BulkResult

ROWS = 6


@pytest.fixture
def model(tiny_gpt2: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_gpt2, tmp_path / "model")


def run(folder: Path, model: Path, *, overwrite: bool = False) -> BulkResult:
    source = folder / "in.txt"
    source.write_text("The harbour was quiet.\n" * ROWS)
    return generate_file(
        files=BulkFiles(str(source), str(folder / "out.jsonl"), overwrite=overwrite),
        choice=ModelChoice(str(model), device="cpu"),
        settings=GenerationSettings(max_new_tokens=3),
        options=TextOptions(),
        seed=0,
        listener=lambda event: None,
        batch_size=1,
    )


def half(folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a run, and stop it after two texts."""

    def stop(work: Any) -> None:
        if work.done.texts == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bulk_run.BulkRun, "_report", stop)
        with pytest.raises(KeyboardInterrupt):
            run(folder, model)
    assert (folder / "out.jsonl.partial").read_text().count("\n") == 3


@pytest.mark.parametrize("first", ["bfloat16", "float32"])
def test_the_number_type_that_was_measured_stays(
    first: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = [first == "bfloat16"]
    monkeypatch.setattr(loading, "bfloat16_wins", lambda _bytes: (measured[0], "measured"))
    # Only large models are computed in bfloat16 so that rows stand apart.
    monkeypatch.setattr(TransformersEngine, "keeps_promise", True)
    half(tmp_path, model, monkeypatch)
    measured[0] = not measured[0]  # another machine, or other threads
    result = run(tmp_path, model)
    assert (result.texts, result.resumed) == (ROWS, 2)
    told = json.loads((tmp_path / "out.jsonl.run.json").read_text())
    assert told["dtype"] == first
    assert run(tmp_path, model).resumed == ROWS, "it is finished, whatever is measured"
    run(tmp_path, model, overwrite=True)
    told = json.loads((tmp_path / "out.jsonl.run.json").read_text())
    assert told["dtype"] != first, "what is measured counts for a new run"


CHANGES: dict[str, Any] = {
    "generation_config.json": [
        {"eos_token_id": [1, 2]}, {"no_repeat_ngram_size": 2}, {"stop_strings": ["."]},
        {"suppress_tokens": [5]}, {"bad_words_ids": [[7]]},
    ],
    "tokenizer_config.json": [{"add_bos_token": True}, {"chat_template": "{{ messages }}"}],
    "special_tokens_map.json": [{"eos_token": "a"}],
    "chat_template.jinja": [None],
    "config.json": [{"layer_norm_epsilon": 0.5}],
}  # fmt: skip


@pytest.mark.parametrize("when", ["half", "finished"])
def test_a_model_whose_files_have_changed_is_refused(
    when: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if when == "half":
        half(tmp_path, model, monkeypatch)
    else:
        run(tmp_path, model)
    for name, changes in CHANGES.items():
        path = model / name
        before = path.read_bytes() if path.exists() else None
        for change in changes:
            told = json.loads(before or b"{}") if change else None
            path.write_text(json.dumps(told | change) if told is not None else "{{ messages }}")
            with pytest.raises(RunError, match=r"written with other settings: .*weights_sha256"):
                run(tmp_path, model)
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)
    assert run(tmp_path, model).texts == ROWS, "as it was, it goes on"
