"""hfcli compare: the same rows only, every number from the rows, the flips by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hfcli.errors import DataError, RecipeError
from hfcli.evaluation.compare import compare
from hfcli.evaluation.predictions import metric_inputs
from hfcli.metrics import shipped_metrics
from hfcli.render.compare import show_compare
from hfcli.results import CompareResult
from hfcli.statistics.proportions import holm, mcnemar_exact
from tests.helpers import hfcli

LABELS = ["negative", "neutral", "positive"]
METRICS = ("accuracy", "f1_macro", "matthews_correlation", "auroc", "log_loss")


def saved(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    metrics: Sequence[str],
    labels: Sequence[str] | None = None,
    **report: Any,
) -> Path:
    """A run as `hfcli eval` writes it; the values in the report are not read."""
    folder.mkdir()
    told = {
        "task": "text-classification",
        "model": f"models/{folder.name}",
        "labels": labels,
        "data": "dev.tsv",
        "data_sha256": "d" * 64,
        "n_rows": len(rows),
        "metrics": {"loss": 0.5, **{name: {"value": 0.5} for name in metrics}},
        **report,
    }
    (folder / "report.json").write_text(json.dumps(told), encoding="utf-8")
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / "predictions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def row(number: int, text: str | None = None, **told: Any) -> dict[str, Any]:
    text = f"sentence {number}" if text is None else text
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return {"id": f"dev.tsv:{number}", "text": text, "text_sha256": sha256, "error": None, **told}


def classified(seed: int, right: float, n: int = 80) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    truth = np.random.default_rng(0).integers(0, 3, n)
    found = np.where(random.random(n) < right, truth, random.integers(0, 3, n))
    table = 0.8 * np.eye(3)[found] + 0.2 * random.dirichlet(np.ones(3), n)
    return [
        row(i, gold=LABELS[truth[i]], prediction=LABELS[found[i]], probabilities=table[i].tolist())
        for i in range(n)
    ]


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    return [
        saved(tmp_path / name, classified(seed, right), METRICS, LABELS)
        for name, seed, right in (("small", 1, 0.6), ("large", 2, 0.9))
    ]


def of(result: CompareResult, index: int = 0) -> dict[str, Any]:
    return {found.metric: found for found in result.comparisons[index].metrics}


def test_every_metric_is_compared_from_the_rows(tmp_path: Path) -> None:
    rows = [classified(seed, right, n=240) for seed, right in ((1, 0.6), (2, 0.9))]
    runs = [saved(tmp_path / f"run-{i}", each, METRICS, LABELS) for i, each in enumerate(rows)]
    result = compare(runs=runs, flips=3, seed=0)
    found = of(result)
    assert list(found) == list(METRICS)
    inputs = [metric_inputs(each, LABELS) for each in rows]
    for name in METRICS:
        metric = shipped_metrics()[name]
        a, b = (metric.compute(**{k: side[k] for k in metric.inputs}) for side in inputs)
        assert (found[name].a, found[name].b) == pytest.approx((a, b))
        assert found[name].difference == pytest.approx(b - a)
        assert found[name].low < found[name].difference < found[name].high
    assert result.notes == []


def test_flips_are_the_rows_that_mcnemar_counts(two: list[Path]) -> None:
    result = compare(runs=two, flips=3, seed=0)
    found = result.comparisons[0]
    first, second = classified(1, 0.6), classified(2, 0.9)
    only_a = [
        a for a, b in zip(first, second, strict=True)
        if a["prediction"] == a["gold"] != b["prediction"]
    ]  # fmt: skip
    assert found.right_by == "accuracy"
    assert found.n_only_a == len(only_a)
    assert [flip.id for flip in found.only_a] == [a["id"] for a in only_a][:3]
    assert [flip.text for flip in found.only_a] == [a["text"] for a in only_a][:3]
    assert len(found.only_b) == 3 < found.n_only_b
    assert all(flip.b == flip.gold != flip.a for flip in found.only_b)
    assert of(result)["accuracy"].p == mcnemar_exact(found.n_only_a, found.n_only_b)


def test_p_is_adjusted_over_all_metrics_and_all_runs(tmp_path: Path, two: list[Path]) -> None:
    third = saved(tmp_path / "third", classified(3, 0.7), METRICS, LABELS)
    result = compare(runs=[*two, third], flips=0, seed=0)
    assert [c.b for c in result.comparisons] == [str(two[1]), str(third)]
    assert {c.a for c in result.comparisons} == {str(two[0])}
    tests = [found for c in result.comparisons for found in c.metrics]
    assert len(tests) == 10
    assert [t.p_holm for t in tests] == pytest.approx(holm([t.p or 0 for t in tests]))


def test_a_run_does_not_differ_from_itself(two: list[Path]) -> None:
    result = compare(runs=[two[0], two[0]], flips=10, seed=0)
    assert {(found.difference, found.p) for found in of(result).values()} == {(0, 1)}
    assert (result.comparisons[0].n_only_a, result.comparisons[0].n_only_b) == (0, 0)


def test_rows_that_one_run_did_not_score_are_left_out_of_both(tmp_path: Path) -> None:
    a, b = classified(1, 0.6), classified(2, 0.9)
    a[3] = row(3, error="left out for its length")
    b[5] = row(5, error="empty")
    runs = [saved(tmp_path / "a", a, METRICS, LABELS), saved(tmp_path / "b", b, METRICS, LABELS)]
    found = compare(runs=runs, flips=0, seed=0).comparisons[0]
    assert (found.n_rows, found.n_left_out) == (78, 2)
    hits = [x["gold"] == x["prediction"] for i, x in enumerate(a) if i not in (3, 5)]
    assert found.metrics[0].a == pytest.approx(np.mean(hits))


def test_labels_in_another_order_are_the_same_labels(tmp_path: Path, two: list[Path]) -> None:
    turned = [LABELS[2], LABELS[0], LABELS[1]]
    rows = [{**r, "probabilities": [r["probabilities"][i] for i in (2, 0, 1)]} for r in classified(2, 0.9)]  # noqa: E501  # fmt: skip
    other = saved(tmp_path / "turned", rows, METRICS, turned)
    expected, found = (compare(runs=[two[0], run], flips=0, seed=0) for run in (two[1], other))
    assert of(found) == of(expected)


def test_other_data_are_refused_with_both_hashes(tmp_path: Path, two: list[Path]) -> None:
    other = saved(tmp_path / "x", classified(1, 0.6), METRICS, LABELS, data_sha256="e" * 64)
    with pytest.raises(DataError) as caught:
        compare(runs=[two[0], other], flips=0, seed=0)
    assert "d" * 64 in caught.value.message
    assert "e" * 64 in caught.value.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "has 80 predictions"),
        ({"text_sha256": "f" * 64}, "row 8 (dev.tsv:7) has another text_sha256"),
        ({"gold": "neither"}, "row 8 (dev.tsv:7) has another gold"),
    ],
)
def test_other_rows_are_refused(
    tmp_path: Path, two: list[Path], change: dict[str, str], message: str
) -> None:
    rows = classified(2, 0.9)
    rows[7:8] = [{**rows[7], **change}] if change else []
    other = saved(tmp_path / "other", rows, METRICS, LABELS)
    with pytest.raises(DataError) as caught:
        compare(runs=[two[0], other], flips=0, seed=0)
    assert message in caught.value.message


def test_other_labels_are_refused(tmp_path: Path, two: list[Path]) -> None:
    rows = [{k: v for k, v in r.items() if k != "gold"} for r in classified(2, 0.9)]
    other = saved(tmp_path / "other", rows, METRICS, ["A", "B", "C"])
    with pytest.raises(DataError, match="labels"):
        compare(runs=[two[0], other], flips=0, seed=0)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("report.json", "{", "is not JSON"),
        ("report.json", "[]", "is not a report of an evaluation"),
        ("report.json", None, "cannot be read"),
        ("predictions.jsonl", '{"id": 1}\n', "predictions.jsonl:1: is not a prediction"),
        ("predictions.jsonl", "{}\n{", "predictions.jsonl:1: is not a prediction"),
        ("predictions.jsonl", "\n{", "predictions.jsonl:2: is not JSON"),
        ("predictions.jsonl", None, "cannot be read"),
    ],
)
def test_what_is_no_run_is_said_by_file_and_line(
    two: list[Path], file: str, text: str | None, message: str
) -> None:
    path = two[1] / file
    if text is None:
        path.unlink()
    else:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        compare(runs=two, flips=0, seed=0)
    assert message in caught.value.message


def test_a_run_stands_for_its_only_evaluation(tmp_path: Path, two: list[Path]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        compare(runs=[run, two[1]], flips=0, seed=0)
    two[0].rename(run / "eval-test")
    direct = compare(runs=[run / "eval-test", two[1]], flips=0, seed=0)
    by_run = compare(runs=[run, two[1]], flips=0, seed=0)
    assert by_run.comparisons[0].metrics == direct.comparisons[0].metrics
    saved(run / "eval-dev", classified(1, 0.6), METRICS, LABELS)
    with pytest.raises(DataError, match="holds 2 evaluations") as caught:
        compare(runs=[run, two[1]], flips=0, seed=0)
    assert "eval-dev" in (caught.value.hint or "")


def test_one_run_is_no_comparison(two: list[Path]) -> None:
    with pytest.raises(RecipeError):
        compare(runs=two[:1], flips=0, seed=0)


def other_tasks() -> dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]]:
    random, places = np.random.default_rng(4), range(30)
    nll, tokens = random.gamma(9, 40, 30), random.integers(50, 200, 30).tolist()
    counts = [{"n_tokens": t, "n_bytes": 4 * t, "n_words": t // 2} for t in tokens]
    gold, noise = random.normal(5, 2, 30), random.normal(0, 1, (2, 30))
    sets = [["a"], ["a", "b"], [], ["b"]] * 8

    def numbers(errors: Any) -> list[dict[str, Any]]:
        return [row(i, gold=float(gold[i]), prediction=float(gold[i] + errors[i])) for i in places]

    def told(predicted: Sequence[Any], right: Sequence[Any]) -> list[dict[str, Any]]:
        return [row(i, gold=right[i], prediction=predicted[i]) for i in places]

    answers = [f"the answer to that is {i}" for i in places]
    return {
        "documents": (
            [row(i, nll=float(nll[i]), **counts[i]) for i in places],
            [row(i, nll=float(nll[i] * (0.9 + i % 3 / 90)), **counts[i]) for i in places],
            ["perplexity", "bits_per_byte", "word_perplexity"],
        ),
        "numbers": (numbers(noise[0]), numbers(3 * noise[1]), ["mse", "r2", "spearman"]),
        "sets": (
            told([s if i % 4 else ["b"] for i, s in enumerate(sets)], sets),
            told([s if i % 3 else ["a"] for i, s in enumerate(sets)], sets),
            ["subset_accuracy", "multilabel_f1_macro"],
        ),
        "texts": (
            told([f"the answer to that is {i + i % 2}" for i in places], answers),
            told(
                [f"an answer to that is {i // 2 * 2}" if i % 3 else answers[i] for i in places],
                answers,
            ),
            ["exact_match", "token_f1", "rouge1", "bleu"],
        ),
    }


@pytest.mark.parametrize("kind", other_tasks())
def test_runs_of_every_task_are_compared(tmp_path: Path, kind: str) -> None:
    first, second, metrics = other_tasks()[kind]
    labels = ["a", "b"] if kind == "sets" else None
    runs = [saved(tmp_path / n, r, metrics, labels) for n, r in (("a", first), ("b", second))]
    result = compare(runs=runs, flips=2, seed=0)
    found = result.comparisons[0]
    assert list(of(result)) == metrics
    assert all(each.p is not None and each.difference != 0 for each in found.metrics)
    assert (found.right_by is not None) == (kind in ("sets", "texts"))
    assert bool(found.only_a) == (kind in ("sets", "texts"))


def test_metrics_that_cannot_be_computed_again_are_named(tmp_path: Path) -> None:
    runs = [
        saved(tmp_path / n, classified(i, 0.8), ["accuracy", "owner/mine"], LABELS)
        for i, n in enumerate("ab")
    ]
    result = compare(runs=runs, flips=0, seed=0)
    assert list(of(result)) == ["accuracy"]
    assert result.notes == ["not compared, since hfcli does not ship them: owner/mine"]


def test_text_of_the_data_is_shown_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Brackets are no markup, a row is a line, a long one is cut."""
    texts = ["[bold]x[/] list[/int]", "two\nlines", "y" * 400]
    gold = ["[red]", "b", "c"]
    a = [row(i, t, gold=g, prediction=g) for i, (t, g) in enumerate(zip(texts, gold, strict=True))]
    b = [{**r, "prediction": "b" if r["gold"] != "b" else "c"} for r in a]
    runs = [saved(tmp_path / n, r, ["accuracy"], gold) for n, r in (("a", a), ("[b]", b))]
    show_compare(compare(runs=runs, flips=10, seed=0))
    shown = capsys.readouterr().out
    assert "    [bold]x[/] list[/int]\n" in shown
    assert "dev.tsv:0: [red], A: [red], B: b\n" in shown
    assert "    two lines\n" in shown
    assert f"    {'y' * 160}...\n" in shown
    assert "[b] (models/[b])" in shown
    assert "3 rows are right in A only, 0 in B only (by accuracy)" in shown


def test_the_command(two: list[Path]) -> None:
    """A table in a pipe, JSON, and the exit code of runs that do not match."""
    done = hfcli("compare", *two, "--flips", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "exact McNemar" in done.stdout
    assert done.stdout.count("dev.tsv:") == 2
    told = json.loads(hfcli("compare", two[0], two[1] / "predictions.jsonl", "--json").stdout)
    assert told == json.loads(
        json.dumps(compare(runs=[two[0], two[1] / "predictions.jsonl"], flips=10, seed=0).to_dict())
    )
    (two[1] / "report.json").unlink()
    done = hfcli("compare", *two)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: ")
