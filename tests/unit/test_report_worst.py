"""Which rows a report shows: the worst first, whatever the rows hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hfcli.render.report.worst import worst_rows
from tests.reports import LABELS, predictions


def test_worst_rows_are_the_confident_errors() -> None:
    rows = predictions(300)
    found = worst_rows(iter(rows), LABELS)
    wrong = [row for row in rows if not row["error"] and row["prediction"] != row["gold"]]
    order = sorted(wrong, key=lambda row: -max(row["probabilities"]))
    shown = [int(one.summary.rpartition(" ")[2]) for one in found.rows]
    assert len(shown) == 20
    assert shown == [row["id"] for row in order[:20]]
    assert f"({max(order[0]['probabilities']):.3f}); row" in found.rows[0].summary
    assert found.n_failed == 1
    assert found.failed[0].summary == "the text is empty; row 300"


def test_probabilities_may_stand_under_their_names() -> None:
    rows = predictions(50)
    named = [
        row | {"probabilities": dict(zip(LABELS, row["probabilities"], strict=True))}
        if row.get("probabilities")
        else row
        for row in rows
    ]
    assert worst_rows(named, LABELS) == worst_rows(rows, LABELS)


RANKED: dict[str, tuple[list[dict[str, Any]], list[int]]] = {
    "documents": ([{"text": "é" * 4, "nll": 4.0}, {"text": "aaaa", "nll": 3.0},
                   {"text": "", "nll": 0.0}], [1, 0]),
    "stated bits": ([{"nll": 9.0, "bits_per_byte": 1.0}, {"nll": 1.0, "bits_per_byte": 2.0}],
                    [1, 0]),
    "numbers": ([{"gold": 1.0, "prediction": 1.5}, {"gold": 1.0, "prediction": -4},
                 {"gold": 2.0, "prediction": 2.0}], [1, 0]),
    "answers": ([{"gold": "a", "prediction": "a"}, {"gold": ["a", "b"], "prediction": "b"},
                 {"gold": ["a", "b"], "prediction": "c"}, {"gold": "x", "prediction": "y"}],
                [2, 3]),
    "choices": ([{"choices": ["x", "y"], "gold": 0, "prediction": 1, "nll": [3.0, 2.0]},
                 {"choices": ["x", "y"], "gold": 1, "prediction": 1, "nll": [3.0, 2.0]},
                 {"choices": ["x", "y"], "gold": 1, "prediction": 0, "nll": [3.0, 9.0]}], [2, 0]),
    "several labels": ([{"gold": ["a", "b"], "prediction": ["b", "a"], "probabilities": [1, 1]},
                        {"gold": ["a"], "prediction": [], "probabilities": [0, 0], "nll": 1.0},
                        {"gold": ["a"], "prediction": ["b"], "probabilities": [0, 1], "nll": 2.0}],
                       [2, 1]),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "order"), RANKED.values(), ids=RANKED.keys())
def test_what_is_worst_depends_on_what_the_rows_hold(
    rows: list[dict[str, Any]], order: list[int]
) -> None:
    found = worst_rows([row | {"id": i} for i, row in enumerate(rows)], ["a", "b"])
    assert [int(one.summary.rpartition(" ")[2]) for one in found.rows] == order


def test_predictions_are_read_once_and_not_kept() -> None:
    alive = 0
    most = 0

    class Counted(dict[str, Any]):
        def __init__(self, **values: Any) -> None:
            nonlocal alive, most
            super().__init__(**values)
            alive += 1
            most = max(most, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def rows() -> Iterator[Counted]:
        for i in range(2_000):
            yield Counted(id=i, text="x", nll=float(i % 977))

    assert len(worst_rows(rows(), []).rows) == 20
    assert most < 40


def test_a_long_text_is_cut_and_says_so() -> None:
    found = worst_rows([{"id": 0, "text": "a" * 10_000, "nll": 5.0}], [])
    assert found.rows[0].texts[0][1].endswith("a\n[6,000 more characters]")
    assert not found.rows[0].is_open
