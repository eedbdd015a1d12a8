"""Text metrics: what counts as equal, more than one reference, and the optional libraries."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from hfcli.errors import RunError
from hfcli.metrics import shipped_metrics
from hfcli.metrics.text import squad_words

TEXT = [name for name, metric in shipped_metrics().items() if list[str] in metric.inputs.values()]
OPTIONAL = [name for name, metric in shipped_metrics().items() if metric.package]


def compute(name: str, predictions: list[str], references: list[Any]) -> float:
    return float(shipped_metrics()[name].compute(predictions=predictions, references=references))


def test_there_are_text_metrics_and_some_need_a_library() -> None:
    assert len(TEXT) == 8
    assert set(OPTIONAL) == {"bleu", "chrf", "rouge1", "rouge2", "rougeL"}


@pytest.mark.parametrize(
    ("text", "right", "exact", "squad"),
    [
        (" Paris\n", "Paris", 1, 1),
        ("paris", "Paris", 0, 1),
        ("The Eiffel Tower!", "eiffel tower", 0, 1),
        ("theatre", "tre", 0, 0),
        ("Eiffel  Tower", "Eiffel Tower", 0, 1),
    ],
)
def test_exact_match_is_strict_and_squads_is_not(
    text: str, right: str, exact: int, squad: int
) -> None:
    assert compute("exact_match", [text], [right]) == exact
    assert compute("exact_match_squad", [text], [right]) == squad


def test_squad_words() -> None:
    assert squad_words("The cat's (an) A-list,  café.") == ["cats", "alist", "café"]


def test_token_f1_by_hand() -> None:
    # Two of three words right, one of four missed twice: 2 * 2 / (3 + 4).
    assert compute("token_f1", ["red red boat"], ["red boat by night"]) == pytest.approx(4 / 7)


@pytest.mark.parametrize("name", TEXT)
def test_a_text_is_a_list_of_one_and_rows_may_differ(name: str) -> None:
    texts = ["the boat lies still", "a harbour by night", "nobody at all"]
    rights = ["the boat lay still", "the harbour at night", "nobody"]
    alone = compute(name, texts, rights)
    assert compute(name, texts, [[right] for right in rights]) == alone
    assert compute(name, texts, [rights[0], [rights[1]], rights[2]]) == alone


@pytest.mark.parametrize("name", TEXT)
def test_one_right_reference_is_enough(name: str) -> None:
    texts = ["the boat lies still here", "a harbour by night again"]
    best = compute(name, texts, texts)
    assert best == pytest.approx(100 if name in ("bleu", "chrf") else 1)
    wrong = "and nothing else of the kind"
    mixed = [[wrong, texts[0]], [texts[1], wrong, wrong]]
    assert compute(name, texts, mixed) == pytest.approx(best)
    assert compute(name, texts, [[wrong], [wrong]]) < best


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_library_that_is_not_installed_is_named_with_the_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(RunError, match="not installed") as caught:
        compute(name, ["a"], ["a"])
    assert str(shipped_metrics()[name].package) in caught.value.message
    assert caught.value.hint == "pip install 'hfcli[text-metrics]'"


def test_the_libraries_say_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for name in TEXT:
        # sacrebleu warns of a hundred lines that end so, unless told not to.
        compute(name, ["a cat ."] * 150, ["a dog ."] * 150)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
