"""A folder that holds another evaluation: what is other about it is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hfcli.errors import DataError, RunError
from hfcli.evaluation.folder import EvaluationFolder
from hfcli.evaluation.saved import read_run


def told(context: int, weights: str = "w") -> dict[str, Any]:
    task = {"name": "text-generation", "context": context}
    settings = {"task": task, "scoring": {"context": context}, "dtype": "float32"}
    return {"weights_sha256": weights, "data_sha256": "d", "settings": settings}


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        (told(128), "context: 512 -> 128"),
        (told(512, "v"), "other weights"),
        (told(128, "v"), "other weights; context: 512 -> 128"),
    ],
)
def test_what_differs_is_named(now: dict[str, Any], changed: str, tmp_path: Path) -> None:
    report = {"model": "m", "data": "a.txt", **told(512)}
    report |= {"task": "x", "metrics": {}, "versions": {"hfcli": "0.1.0"}}  # without a mark
    (tmp_path / "report.json").write_text(json.dumps(report))
    about = {"model": "m", "data": "a.txt"}
    folder = EvaluationFolder(named=tmp_path, default=tmp_path, overwrite=False, about=about)
    with pytest.raises(RunError) as caught, folder:
        folder.take(now)
    where = f"{tmp_path}: holds another evaluation (of m on a.txt)"
    assert caught.value.message == f"{where}: {changed}"


def test_a_run_without_an_evaluation_says_how_to_get_one(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("")
    with pytest.raises(DataError, match="has no evaluation") as caught:
        read_run(tmp_path)
    assert caught.value.hint == f"hfcli eval {tmp_path}"
