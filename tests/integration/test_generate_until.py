"""Laws of evaluation by generated texts: nothing is written twice, the file gives the numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hfcli.errors import DataError, RunError
from hfcli.evaluation.compare import compare
from hfcli.evaluation.predictions import metric_inputs, read_predictions
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.engines.transformers import open_engine
from hfcli.generation.journal import Entry, Journal
from hfcli.generation.loading import ModelChoice
from hfcli.generation.run import TextOptions, continue_text
from hfcli.metrics import shipped_metrics
from hfcli.recipe.sections import GenerationSettings
from hfcli.results import EvalResult
from hfcli.tasks.generate_until import GenerateUntil
from tests.asking import asked, ignore, write_jsonl
from tests.conftest import SENTENCES

TASK = GenerateUntil.model_fields["name"].default


class Killed(BaseException):
    """Stands for kill -9."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Sixteen rows, one of which cannot be continued."""
    words = [sentence.split() for sentence in SENTENCES]
    rows: list[dict[str, Any]] = [
        {"prompt": " ".join(w[:n]), "reference": " ".join(w[n:])} for w in words for n in range(4)
    ]
    assert rows[0]["prompt"] == ""
    rows = [row for row in rows if row["prompt"]] + rows[:1]
    for row in rows[:4]:
        row["reference"] = [row["reference"], "and bread was sold"]
    return write_jsonl(tmp_path / "data.jsonl", rows)


def written(model: Path, data: Path, output: Path, *overrides: str, **flags: Any) -> EvalResult:
    return asked(TASK, model, data, output, *overrides, max_new_tokens=6, **flags)


def test_a_killed_evaluation_writes_only_what_is_left(
    tiny_gpt2: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = written(tiny_gpt2, data, tmp_path / "whole")
    kept: list[int] = []
    add = Journal.add

    def add_and_be_killed(self: Journal, entry: Entry) -> None:
        add(self, entry)
        kept.append(entry.row)
        if len(kept) == 5:
            raise Killed

    monkeypatch.setattr(Journal, "add", add_and_be_killed)
    with pytest.raises(Killed):
        written(tiny_gpt2, data, tmp_path / "run")
    assert not (tmp_path / "run" / "predictions.jsonl").exists()
    again = written(tiny_gpt2, data, tmp_path / "run")
    assert sorted(kept) == list(range(13)), "every row is written once"
    files = [(tmp_path / d / "predictions.jsonl").read_bytes() for d in ("whole", "run")]
    assert files[0] == files[1]
    assert repr((whole.metrics, whole.intervals)) == repr((again.metrics, again.intervals))
    written(tiny_gpt2, data, tmp_path / "run")
    assert len(kept) == 13, "a finished evaluation writes nothing"


def test_the_scores_are_those_of_the_file_and_of_greedy_texts(
    tiny_gpt2: Path, data: Path, tmp_path: Path
) -> None:
    result = written(tiny_gpt2, data, tmp_path / "run", stop=["e"])
    rows = list(read_predictions(tmp_path / "run" / "predictions.jsonl"))
    assert (len(rows), result.n_rows, result.n_skipped) == (13, 12, 1)
    assert rows[-1]["error"] == "the prompt is empty"
    assert any("1 of 13 rows have no answer" in note for note in result.notes)
    inputs = metric_inputs(rows, None)
    assert set(result.metrics) == {"exact_match", "token_f1", "bleu", "chrf"} | {
        "rouge1", "rouge2", "rougeL"
    }  # fmt: skip
    for name, value in result.metrics.items():
        metric = shipped_metrics()[name]
        again = metric.compute(**{key: inputs[key] for key in metric.inputs})
        assert again == pytest.approx(value, abs=1e-12), name
        assert result.intervals[name]["low"] is not None or value in (0, 1), name
    choice = ModelChoice(name=str(tiny_gpt2), offline=True)
    engine = open_engine(EngineOptions(choice=choice, listener=ignore))
    for row in rows[:3]:
        (alone,) = continue_text(
            engine=engine,
            prompt=row["text"],
            settings=GenerationSettings(do_sample=False, max_new_tokens=6),
            options=TextOptions(stops=("e",)),
            seed=0,
            listener=ignore,
        )
        assert row["prediction"] == alone.text
        assert "e" not in alone.text


def test_two_runs_are_compared_row_by_row(tiny_gpt2: Path, data: Path, tmp_path: Path) -> None:
    for name, flags in {"a": {}, "b": {"temperature": 2.0}}.items():
        result = written(tiny_gpt2, data, tmp_path / name, **flags)
        report = json.dumps(result.to_report())
        (tmp_path / name / "report.json").write_text(report, encoding="utf-8")
    (found,) = compare(runs=[tmp_path / "a", tmp_path / "b"], flips=5, seed=0).comparisons
    assert (found.n_rows, found.n_left_out, found.right_by) == (12, 1, "exact_match")
    by_name = {metric.metric: metric for metric in found.metrics}
    assert {"exact_match", "bleu", "chrf", "rougeL"} <= by_name.keys()
    assert by_name["chrf"].difference != 0
    (same,) = compare(runs=[tmp_path / "a", tmp_path / "a"], flips=5, seed=0).comparisons
    assert all(metric.p == 1 for metric in same.metrics)


def test_other_settings_do_not_replace_texts(tiny_gpt2: Path, data: Path, tmp_path: Path) -> None:
    written(tiny_gpt2, data, tmp_path / "run")
    before = (tmp_path / "run" / "texts.jsonl").read_bytes()
    with pytest.raises(RunError, match="do_sample: false -> true"):
        written(tiny_gpt2, data, tmp_path / "run", temperature=2.0)
    assert (tmp_path / "run" / "texts.jsonl").read_bytes() == before
    written(tiny_gpt2, data, tmp_path / "run", temperature=2.0, overwrite=True)
    assert (tmp_path / "run" / "texts.jsonl").read_bytes() != before


def test_a_file_without_any_answer_is_an_error(tiny_gpt2: Path, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "d.jsonl", [{"prompt": "a " * 100, "reference": "b"}])
    with pytest.raises(DataError, match=r"no row could be answered.*d\.jsonl:1.*tokens"):
        written(tiny_gpt2, data, tmp_path / "run")
