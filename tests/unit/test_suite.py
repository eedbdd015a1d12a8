"""--suite: what is handed to lm-evaluation-harness, and what is made of its results."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hfcli.cli import evaluate as cli
from hfcli.cli.eval_request import EvalRequest
from hfcli.errors import GateError, HfcliError, RecipeError, RunError
from hfcli.evaluation import suite
from hfcli.evaluation.gates import check, parse_gates
from hfcli.evaluation.suite_results import read_results
from hfcli.statistics.proportions import wilson


def sample(doc: int, kept: str = "none", **scores: float) -> dict[str, Any]:
    return {
        "doc_id": doc,
        "target": doc % 2,
        "arguments": [[f"question {doc}", " yes"], [f"question {doc}", " no"]],
        "filtered_resps": [[-1.5, False], [-2.5, True]],
        "filter": kept,
        "metrics": list(scores),
        "doc_hash": f"{doc:064x}",
        **scores,
    }


def results() -> dict[str, Any]:
    """As simple_evaluate returns them, of a group, a task of choices and one of texts."""
    return {
        "results": {
            "all": {"name": "all", "alias": "all", "acc,none": 0.75, "acc_stderr,none": 0.2},
            "quiz": {
                "alias": "quiz", "sample_len": 4, "acc,none": 0.75, "acc_stderr,none": 0.25,
                "word_perplexity,none": 12.5, "word_perplexity_stderr,none": "N/A",
            },
            "math": {
                "alias": "math", "exact_match,strict": 0.5, "exact_match_stderr,strict": 0.5,
                "exact_match,flexible": 1.0, "f1,flexible": 0.25, "f1_stderr,flexible": 0.1,
            },
        },
        "versions": {"all": 1.0, "quiz": 2.0, "math": "Yaml"},
        "n-shot": {"all": 0, "quiz": 5, "math": 0},
        "n-samples": {
            "quiz": {"original": 9, "effective": 4}, "math": {"original": 2, "effective": 2},
        },
        "higher_is_better": {
            "quiz": {"acc": True, "word_perplexity": False}, "all": {"acc": True},
            "math": {"exact_match": True, "f1": None},
        },
        "samples": {
            "quiz": [sample(i, acc=float(i > 0)) for i in range(4)],
            "math": [
                *(sample(i, "strict", exact_match=float(i), f1=0.3) for i in range(2)),
                *(sample(i, "flexible", exact_match=1.0, f1=0.25) for i in range(2)),
            ],
        },
    }  # fmt: skip


def test_values_are_those_of_the_harness_and_intervals_go_with_them() -> None:
    found = read_results(results())
    assert found.metrics == {
        "all/acc": 0.75,
        "quiz/acc": 0.75,
        "quiz/word_perplexity": 12.5,
        "math/exact_match,strict": 0.5,
        "math/exact_match,flexible": 1.0,
        "math/f1,flexible": 0.25,
    }
    low, high = wilson(3, 4)
    assert found.intervals["quiz/acc"] == {"low": low, "high": high, "method": "Wilson"}
    assert "quiz/word_perplexity" not in found.intervals
    f1 = found.intervals["math/f1,flexible"]
    assert (f1["low"], f1["high"]) == pytest.approx((0.25 - 0.196, 0.25 + 0.196), abs=1e-4)
    assert f1["method"] == found.intervals["all/acc"]["method"] == "lm-eval's standard error"
    assert found.intervals["math/exact_match,flexible"]["method"] == "Wilson"


def test_a_task_is_described() -> None:
    found = read_results(results())
    assert found.tasks["quiz"] == {
        "version": 2.0, "n_shot": 5, "rows": 4, "of": 9,
        "stderr": {"acc": 0.25, "word_perplexity": None},
    }  # fmt: skip
    assert list(found.tasks) == ["quiz", "math"], "a group is no task"
    assert found.notes()[0] == "quiz: version 2.0, 5-shot, 4 of 9 rows"


def test_every_example_is_a_row() -> None:
    found = read_results(results())
    ids = [row["id"] for row in found.rows]
    assert ids[:4] == ["quiz/0", "quiz/1", "quiz/2", "quiz/3"]
    assert ids[4:] == ["math/0/strict", "math/1/strict", "math/0/flexible", "math/1/flexible"]
    first = found.rows[0]
    assert (first["text"], first["target"], first["error"]) == ("question 0", 0, None)
    assert first["scores"] == {"acc": 0.0}
    other = results()
    other["samples"]["quiz"][0]["doc_hash"] = "f" * 64
    assert read_results(other).data_sha256 != found.data_sha256


def test_gates_know_the_directions_of_a_suite(tmp_path: Path) -> None:
    found = read_results(results())
    better = {"all/acc": True, "quiz/acc": True, "quiz/word_perplexity": False}
    assert better.items() <= found.higher_is_better.items()
    assert "math/f1,flexible" not in found.higher_is_better
    (tmp_path / "old.json").write_text('{"metrics": {"quiz/acc": 0.9}}')
    gates = parse_gates(max_drop=["quiz/acc=0.05"], baseline=tmp_path / "old.json")
    report = {"metrics": found.metrics, "settings": {"higher_is_better": found.higher_is_better}}
    with pytest.raises(GateError, match=r"quiz/acc went from 0\.9000 to 0\.7500"):
        check(gates, report)


@pytest.mark.parametrize("text", ["lm-eval", "lm-eval:", "lm-eval: ,", "helm:quiz", "quiz"])
def test_a_suite_names_its_tasks(text: str) -> None:
    assert suite.parse_suite("lm-eval:quiz, math,quiz") == ["quiz", "math"]
    with pytest.raises(RecipeError, match="expected lm-eval:TASK"):
        suite.parse_suite(text)


def test_without_the_extra_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(RunError) as caught:
        suite.evaluate_suite(suite.SuiteOptions(suite="lm-eval:quiz"), lambda _event: None)
    assert caught.value.hint == "pip install 'hfcli[lm-eval]'"


SUITE = "lm-eval:quiz"
GIVEN = EvalRequest(
    suite=SUITE, suite_path=Path("mine"), suite_limit=7, model="m", device="cpu", batch_size=3,
    offline=True, json=True, metric=[],
)  # fmt: skip


def test_flags_are_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[suite.SuiteOptions] = []
    monkeypatch.setattr(suite, "evaluate_suite", lambda options, _listener: seen.append(options))
    cli.score_suite(SUITE, GIVEN, lambda _event: None)
    of_run = replace(GIVEN, model=None, target=Path("runs/mine"), num_fewshot=5)
    cli.score_suite(SUITE, of_run, print)
    assert (seen[0].suite, seen[0].path, seen[0].limit) == ("lm-eval:quiz", Path("mine"), 7)
    assert (seen[0].model, seen[0].device, seen[0].batch_size) == ("m", "cpu", 3)
    assert (seen[0].num_fewshot, seen[0].offline) == (None, True)
    assert (seen[1].model, seen[1].num_fewshot) == ("runs/mine", 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": ["a.csv"]}, "--data does not go with --suite"),
        ({"set_": ["seed=1"]}, "--set does not go with --suite"),
        ({"target": Path("runs/mine")}, "one model"),
    ],
)
def test_flags_of_a_data_set_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(HfcliError, match=message):
        cli.score_suite(SUITE, replace(GIVEN, **changes), lambda _event: None)


def test_flags_of_a_suite_want_one() -> None:
    cli.refuse_without_suite(GIVEN)
    with pytest.raises(RecipeError, match="--suite-path goes with --suite"):
        cli.refuse_without_suite(replace(GIVEN, suite=None))
