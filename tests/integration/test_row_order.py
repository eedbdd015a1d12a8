"""Rows of like length in a step: every row once, little padding, and other steps in each epoch."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from hfcli.training.order import epoch_order

ROWS = 16


def lengths(count: int) -> list[int]:
    choose = random.Random(0)
    return [1 + min(127, round(choose.lognormvariate(3, 0.7))) for _ in range(count)]


def steps(count: int, epoch: int = 0) -> list[list[int]]:
    order = epoch_order(lengths(count), "group_by_length", 3, epoch, ROWS)
    assert sorted(order) == list(range(count))
    return [order[i : i + ROWS] for i in range(0, count, ROWS)]


@pytest.mark.parametrize(
    ("count", "padding"), [(7, 4.0), (80, 1.7), (192, 1.25), (803, 1.2), (4000, 1.1)]
)
def test_little_is_padded(count: int, padding: float) -> None:
    known = lengths(count)
    padded = sum(max(known[i] for i in step) * len(step) for step in steps(count))
    assert padded < padding * sum(known)


@pytest.mark.parametrize("count", [16, 80, 803, 4000])
def test_the_longest_come_first(count: int) -> None:
    known = lengths(count)
    assert max(known[i] for i in steps(count)[0]) == max(known)


def test_the_other_steps_have_no_order() -> None:
    known = lengths(4000)
    longest = [max(known[i] for i in step) for step in steps(4000)]
    falls = sum(after < before for before, after in pairwise(longest))
    assert 0.4 < falls / len(longest) < 0.6


@pytest.mark.parametrize("count", [80, 800, 4000])
def test_rows_meet_others_in_the_next_epoch(count: int) -> None:
    first, second = ({frozenset(step) for step in steps(count, epoch)} for epoch in (0, 1))
    assert len(first & second) <= len(first) // 20


def test_an_epoch_is_a_function_of_seed_and_epoch() -> None:
    assert steps(200) == steps(200)
    assert steps(200) != steps(200, epoch=1)
