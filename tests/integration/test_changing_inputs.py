"""An input that changes while it is read is told, at the latest at the end; nothing is kept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hfcli.data.inputs import Unchanged
from hfcli.device import Placement
from hfcli.errors import DataError, RunError
from hfcli.evaluation.forward import evaluate
from hfcli.evaluation.run import EvalOptions
from hfcli.generation.bulk import generate_file
from hfcli.generation.bulk_files import BulkFiles
from hfcli.generation.loading import ModelChoice
from hfcli.generation.run import TextOptions
from hfcli.recipe.load import load_recipe
from hfcli.recipe.sections import GenerationSettings
from hfcli.results import BulkResult, Listener
from hfcli.training.setup import set_up
from tests.integration.test_training import run, write_recipe


def _rewrite(path: Path) -> None:
    """Other bytes of the same size and time."""
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"a", b"e"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\n")


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes() * 2)
    os.replace(other, path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "rewritten": _rewrite, "longer": _append, "replaced": _replace, "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
}  # fmt: skip
changes = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())


@changes
def test_every_change_is_seen(tmp_path: Path, change: Callable[[Path], object]) -> None:
    path = tmp_path / "rows"
    path.write_text("a row")
    inputs = Unchanged([path])
    inputs.check()
    os.utime(path)  # touched, and the same
    inputs.check()
    change(path)
    with pytest.raises(DataError, match=r"rows: the file changed while it was read"):
        inputs.check()


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, name: str, path: Path, change: Callable[[Path], object]
) -> None:
    """Let the file change when the function `name` has read it."""
    module, _, function = name.rpartition(".")
    real = getattr(__import__(module, fromlist=[function]), function)

    def read(*args: Any, **named: Any) -> Any:
        found = real(*args, **named)
        change(path)
        return found

    monkeypatch.setattr(name, read)


@pytest.mark.parametrize("cached", [False, True])
def test_training_data(
    tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    monkeypatch.setenv("HFCLI_CACHE", str(tmp_path / "cache"))
    task = {"name": "text-classification"}
    path = write_recipe(tmp_path, tiny_gpt2, task=task, data={"cache": cached})
    with monkeypatch.context() as patch:
        meanwhile(patch, "hfcli.training.setup.load_splits", tmp_path / "rows.jsonl", _rewrite)
        with pytest.raises(DataError, match="changed while it was read"):
            set_up(recipe=load_recipe(path), placement=Placement(torch.device("cpu")))
    assert list((tmp_path / "cache").glob("*/facts.json")) == []


def test_what_is_recorded_is_what_was_read(tiny_gpt2: Path, tmp_path: Path) -> None:
    """The file may change when it has been read: the record has the hash of what was."""
    path = write_recipe(
        tmp_path, tiny_gpt2, task={"name": "text-classification"},
        training={"max_steps": 3, "save_steps": 3},
    )  # fmt: skip
    rows = tmp_path / "rows.jsonl"
    (before,) = Unchanged([rows]).hashes.values()
    folder = run(path, listener=lambda _event: _append(rows))
    recorded = json.loads((folder / "run.json").read_text())["data"]
    assert recorded == {"train": {str(rows): before}}
    assert Unchanged([rows]).hashes[rows] != before


def test_evaluation_data(tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_recipe(tmp_path, tiny_gpt2, task={"name": "text-generation", "packing": "no"})
    meanwhile(
        monkeypatch, "hfcli.evaluation.forward.load_splits", tmp_path / "rows.jsonl", _rewrite
    )
    options = EvalOptions(output_dir=tmp_path / "scores")
    with pytest.raises(DataError, match="changed while it was read"):
        evaluate(recipe=load_recipe(path), listener=lambda _event: None, options=options)
    assert not (tmp_path / "scores" / "report.json").exists()


@changes
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_prompts(
    tiny_gpt2: Path, tmp_path: Path, change: Callable[[Path], object], suffix: str
) -> None:
    rows, output = tmp_path / "rows.jsonl", tmp_path / f"out{suffix}"
    content = "".join(json.dumps({"prompt": f"The market {i}"}) + "\n" for i in range(9))
    rows.write_text(content)
    left = [change]

    def listener(_event: object) -> None:
        while left:
            left.pop()(rows)

    def generated(listener: Listener, overwrite: bool = False) -> BulkResult:
        return generate_file(
            files=BulkFiles(str(rows), str(output), overwrite=overwrite),
            choice=ModelChoice(str(tiny_gpt2), device="cpu"),
            settings=GenerationSettings(max_new_tokens=2),
            options=TextOptions(),
            seed=0,
            listener=listener,
            batch_size=2,
        )

    with pytest.raises(DataError, match=r"rows\.jsonl"):
        generated(listener)
    manifest = tmp_path / f"{output.name}.run.json"
    if output.exists():
        assert json.loads(manifest.read_text())["input_changed"] is True
        rows.write_text(content)  # even so it is not taken for finished
        with pytest.raises(RunError, match="its input changed while it was read"):
            generated(lambda _event: None)
    rows.write_text(content)
    assert generated(lambda _event: None, overwrite=True).texts == 9
    assert "input_changed" not in json.loads(manifest.read_text())
