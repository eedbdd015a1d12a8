"""Gates: which scores pass, which fail, and what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hfcli.errors import DataError, GateError, RecipeError
from hfcli.evaluation.gates import check, check_names, parse_gates

REPORT = {
    "metrics": {
        "accuracy": {"value": 0.91, "low": 0.88, "high": 0.93},
        "perplexity": {"value": 20.0, "low": 19.0, "high": 21.0},
        "loss": 0.3,
        "auroc": {"value": None, "low": None, "high": None},
    }
}


@pytest.mark.parametrize(
    "flags",
    [
        {"fail_under": ["accuracy=0.91"]},
        {"fail_under_ci": ["accuracy=0.88"]},
        {"fail_over": ["perplexity=20"]},
        {"fail_under": ["accuracy=0.9"], "fail_over": ["loss=0.3"]},
        {},
    ],
)
def test_scores_that_are_good_enough_pass(flags: dict[str, Any]) -> None:
    check(parse_gates(**flags), REPORT)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"fail_under": ["accuracy=0.92"]}, "accuracy is 0.9100, under 0.92"),
        ({"fail_under_ci": ["accuracy=0.89"]}, "lower bound of accuracy is 0.8800, under 0.89"),
        ({"fail_over": ["perplexity=19"]}, "perplexity is 20.0000, over 19"),
        ({"fail_under": ["auroc=0.1"]}, "auroc is nan, under 0.1"),
        (
            {"fail_under": ["accuracy=0.95"], "fail_over": ["loss=0.1"]},
            "accuracy is 0.9100, under 0.95; loss is 0.3000, over 0.1",
        ),
    ],
)
def test_scores_that_are_not_fail_with_one_line(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(GateError) as caught:
        check(parse_gates(**flags), REPORT)
    assert message in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("now", "passes"), [(0.91, True), (0.905, True), (0.89, False), (0.99, True)]
)
def test_a_drop_is_measured_in_the_direction_of_the_metric(
    now: float, passes: bool, tmp_path: Path
) -> None:
    baseline = tmp_path / "report.json"
    baseline.write_text(json.dumps(REPORT))
    gates = parse_gates(max_drop=["accuracy=0.01", "perplexity=1"], baseline=baseline)
    report = {"metrics": {"accuracy": {"value": now}, "perplexity": {"value": 15.0}}}
    if passes:
        check(gates, report)
    else:
        with pytest.raises(GateError, match=r"went from 0.9100 to 0.8900, more than 0.01 worse"):
            check(gates, report)
    worse = {"metrics": {"accuracy": {"value": 0.91}, "perplexity": {"value": 22.0}}}
    with pytest.raises(GateError, match=r"perplexity went from 20.0000 to 22.0000"):
        check(gates, worse)


@pytest.mark.parametrize(
    "flags",
    [
        {"fail_under": ["accuracy"]},
        {"fail_under": ["accuracy=high"]},
        {"fail_over": ["=3"]},
        {"max_drop": ["accuracy=0.1"]},
        {"baseline": Path("x.json")},
    ],
)
def test_flags_that_make_no_gate_are_errors(flags: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        parse_gates(**flags)


def test_a_metric_that_was_not_measured_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(RecipeError, match=r"did you mean accuracy\?"):
        check(parse_gates(fail_under=["acuracy=0.9"]), REPORT)
    with pytest.raises(RecipeError, match="has no interval"):
        check(parse_gates(fail_under_ci=["loss=0.9"]), REPORT)


def test_a_baseline_that_is_no_report_is_an_error(tmp_path: Path) -> None:
    for content in ("", "[]", "{}"):
        (tmp_path / "x.json").write_text(content)
        gates = parse_gates(max_drop=["accuracy=0"], baseline=tmp_path / "x.json")
        with pytest.raises(DataError, match="is not a report"):
            check(gates, REPORT)
    gates = parse_gates(max_drop=["accuracy=0"], baseline=tmp_path / "none.json")
    with pytest.raises(DataError, match="cannot be read"):
        check(gates, REPORT)


def test_names_are_checked_before_anything_is_scored(tmp_path: Path) -> None:
    baseline = tmp_path / "report.json"
    baseline.write_text(json.dumps({"metrics": {"loss": 0.3}}))
    gates = parse_gates(
        fail_under=["acuracy=0.5"],
        fail_under_ci=["f2_macro=0.5"],
        max_drop=["accuracy=0", "loss=0"],
        baseline=baseline,
    )
    with pytest.raises(RecipeError) as caught:
        check_names(gates, ["loss", "accuracy", "f1_macro"])
    assert caught.value.message.split("; ") == [
        "the evaluation has no metric 'acuracy', did you mean accuracy?",
        "the evaluation has no metric 'f2_macro', did you mean f1_macro?",
        f"{baseline} has no metric 'accuracy', known: loss",
    ]
    check_names(parse_gates(max_drop=["loss=0"], baseline=baseline), ["loss"])
    gone = parse_gates(max_drop=["loss=0"], baseline=tmp_path / "gone.json")
    with pytest.raises(DataError, match="cannot be read"):
        check_names(gone, ["loss"])


def test_what_is_not_met_and_what_is_not_known_are_told_together() -> None:
    gates = parse_gates(
        fail_under=["acuracy=0.5", "accuracy=0.95"], fail_under_ci=["loss=1", "accuracy=0.9"]
    )
    with pytest.raises(GateError) as caught:
        check(gates, REPORT)
    assert caught.value.message.split("; ") == [
        "accuracy is 0.9100, under 0.95",
        "the lower bound of accuracy is 0.8800, under 0.9",
        "the evaluation has no metric 'acuracy', did you mean accuracy?",
        "--fail-under-ci loss: this metric has no interval",
    ]
