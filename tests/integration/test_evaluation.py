"""Laws of evaluation: killed and resumed equals whole, the file gives the report's numbers."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn import metrics as sk

import hfcli.render.report
from hfcli.errors import RunError
from hfcli.evaluation.forward import evaluate
from hfcli.evaluation.predictions import metric_inputs, read_predictions
from hfcli.evaluation.run import EvalOptions
from hfcli.evaluation.target import Target, resolve_target
from hfcli.metrics import shipped_metrics
from hfcli.render.streams import finite
from hfcli.results import EvalResult, Event, RowsScored
from tests.integration.test_training import RUNS, run, write_recipe


class Killed(BaseException):
    """Stands for kill -9."""


@pytest.fixture(scope="module")
def runs(tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two finished runs."""
    found = {}
    for name in ("grouped", "padded"):
        path = write_recipe(tmp_path_factory.mktemp(name), tiny_gpt2, **RUNS[name])
        found[name] = run(path, "training.max_steps=3", "evaluation.batch_size=2")
    return found


def scored(
    folder: Path,
    output: Path,
    *overrides: str,
    kill_after: int | None = None,
    listener: Callable[[Event], None] = lambda _event: None,
    **options: Any,
) -> EvalResult:
    """Evaluate a run, and be killed after so many rows."""

    def listen(event: Event) -> None:
        listener(event)
        if kill_after and isinstance(event, RowsScored) and event.done >= kill_after:
            raise Killed

    recipe = resolve_target(
        target=Target(path=folder), overrides=overrides, listener=listen, offline=True
    )
    chosen = EvalOptions(output_dir=output, offline=True, **options)
    return evaluate(recipe=recipe, listener=listen, options=chosen)


def same_numbers(one: EvalResult, other: EvalResult) -> bool:
    return repr((one.metrics, one.intervals)) == repr((other.metrics, other.intervals))


@pytest.mark.parametrize("name", ["grouped", "padded"])
def test_a_killed_evaluation_goes_on_and_gives_the_same_file(
    name: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    whole = scored(runs[name], tmp_path / "whole")
    with pytest.raises(Killed):
        scored(runs[name], tmp_path / "run", kill_after=3)
    assert not (tmp_path / "run" / "predictions.jsonl").exists()
    seen: list[int] = []
    notes: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, RowsScored):
            seen.append(event.done)
        notes.append(getattr(event, "text", ""))

    again = scored(runs[name], tmp_path / "run", listener=listen)
    assert min(seen) > 3, "what was scored is not scored again"
    assert any("resuming: " in note for note in notes)
    files = [(tmp_path / d / "predictions.jsonl").read_bytes() for d in ("whole", "run")]
    assert files[0] == files[1]
    assert same_numbers(whole, again)
    left = sorted(p.name for p in (tmp_path / "run").iterdir())
    assert left == [".hfcli.json", "predictions.jsonl"]


@pytest.mark.parametrize("name", ["grouped", "padded"])
def test_metrics_computed_from_the_file_equal_the_report(
    name: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    result = scored(runs[name], tmp_path / "run")
    rows = list(read_predictions(tmp_path / "run" / "predictions.jsonl"))
    assert len(rows) == result.n_rows + result.n_skipped
    assert len({row["id"] for row in rows}) == len(rows)
    inputs = metric_inputs(rows, result.labels)
    for metric_name, value in result.metrics.items():
        if metric_name == "loss":
            continue
        metric = shipped_metrics()[metric_name]
        options = {"labels": list(range(len(result.labels or ())))}
        again = metric.compute(
            **{key: inputs[key] for key in metric.inputs},
            **{key: options[key] for key in metric.options},
        )
        assert repr(again) == repr(value), metric_name


def test_the_report_equals_scikit_learn(runs: dict[str, Path], tmp_path: Path) -> None:
    result = scored(runs["grouped"], tmp_path / "run")
    rows = list(read_predictions(tmp_path / "run" / "predictions.jsonl"))
    gold = [row["gold"] for row in rows]
    predicted = [row["prediction"] for row in rows]
    assert result.metrics["accuracy"] == pytest.approx(sk.accuracy_score(gold, predicted), abs=1e-9)
    f1 = sk.f1_score(gold, predicted, average="macro", zero_division=0)
    assert result.metrics["f1_macro"] == pytest.approx(f1, abs=1e-9)
    probabilities = [row["probabilities"][1] for row in rows]
    auroc = sk.roc_auc_score([label == "storm" for label in gold], probabilities)
    assert result.metrics["auroc"] == pytest.approx(auroc, abs=1e-9)
    loss = sk.log_loss(gold, [row["probabilities"] for row in rows], labels=result.labels)
    assert result.metrics["log_loss"] == pytest.approx(loss, abs=1e-9)
    assert result.metrics["loss"] == pytest.approx(loss, abs=1e-9)


def test_equal_content_is_not_scored_twice_and_other_content_is(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    notes: list[str] = []

    def listen(event: Event) -> None:
        notes.append(getattr(event, "text", ""))

    model = tmp_path / "model"
    shutil.copytree(runs["grouped"], model)
    first = scored(model, tmp_path / "eval")
    (tmp_path / "eval" / "report.json").write_text(json.dumps(first.to_report()))
    again = scored(model, tmp_path / "eval", listener=listen)
    assert any("predictions found" in note for note in notes)
    assert same_numbers(first, again)
    weights = model / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(RunError, match="holds another evaluation"):
        scored(model, tmp_path / "eval")
    notes.clear()
    scored(model, tmp_path / "eval", listener=listen, overwrite=True)
    assert not any("predictions found" in note for note in notes)


def test_rows_that_cannot_be_scored_are_in_the_file_with_their_reason(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    lines = [json.dumps({"text": text}) for text in ("The boats.", "", "Bread.", "")]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    result = scored(
        runs["padded"], tmp_path / "run", f"data={{test: {tmp_path}/rows.jsonl}}",
        "evaluation.split=test",
    )  # fmt: skip
    rows = list(read_predictions(tmp_path / "run" / "predictions.jsonl"))
    assert [row["error"] is None for row in rows] == [True, False, True, False]
    assert (result.n_rows, result.n_skipped) == (2, 2)
    assert math.isfinite(result.metrics["perplexity"])
    total = sum(row["nll"] for row in rows if row["error"] is None)
    n_bytes = sum(row["n_bytes"] for row in rows if row["error"] is None)
    assert n_bytes == len("The boats.Bread.")
    assert result.metrics["bits_per_byte"] == pytest.approx(total / math.log(2) / n_bytes)


@pytest.mark.parametrize("name", ["grouped", "padded"])
def test_every_number_has_an_interval_or_says_why(
    name: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    """The loss and the scores of each label too; and the report keeps to its schema."""
    import jsonschema

    result = scored(runs[name], tmp_path / "run")
    numbers = {n for n, value in result.metrics.items() if isinstance(value, float)}
    assert {"loss"} < numbers <= set(result.intervals)
    for metric in numbers:
        found = result.intervals[metric]
        assert found["method"]
        if found["low"] is not None:
            assert found["low"] <= result.metrics[metric] <= found["high"]
    report = json.loads(json.dumps(result.to_report()))
    schema = Path(hfcli.render.report.__file__).with_name("report.schema.json")
    jsonschema.validate(finite(report), json.loads(schema.read_text()))
    if name == "grouped":
        for scores in report["per_class"].values():
            assert scores["recall"]["method"] == "Wilson"
            assert scores["recall"]["low"] <= scores["recall"]["value"] <= scores["recall"]["high"]


def test_one_document_is_drawn_by_its_parts(runs: dict[str, Path], tmp_path: Path) -> None:
    text = " ".join(f"The boats came in at {i}, and the bread was sold." for i in range(400))
    (tmp_path / "book.txt").write_text(text)
    result = scored(
        runs["padded"], tmp_path / "run", f"data={{test: {tmp_path}/book.txt}}",
        "data.sample_by=document", "evaluation.split=test",
    )  # fmt: skip
    assert (result.n_rows, result.split) == (1, None)
    (row,) = read_predictions(tmp_path / "run" / "predictions.jsonl")
    parts = row["parts"]
    assert [sum(part[i] for part in parts) for i in (1, 2, 3)] == [
        row["n_tokens"], len(text.encode()), len(text.split()),
    ]  # fmt: skip
    for metric in ("loss", "perplexity", "bits_per_byte", "word_perplexity"):
        found = result.intervals[metric]
        assert found["low"] < result.metrics[metric] < found["high"]
        assert found["method"].endswith("blocks")
