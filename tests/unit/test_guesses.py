"""Guesses: what stood after the same words before, more of it while it comes true."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hfcli.generation.speculate import FIRST_GUESS, LONGEST_GUESS, PromptLookup, Repeats


def text(*ids: int) -> Any:
    return SimpleNamespace(ids=list(ids))


def test_the_latest_place_of_the_longest_run_is_taken() -> None:
    lookup = PromptLookup()
    assert lookup.propose(text(1, 2, 3, 9, 2, 3, 7, 7, 1, 2, 3), 2) == [9, 2]
    assert lookup.propose(text(1, 2, 3, 9, 2, 3, 7, 7, 5, 2, 3), 2) == [7, 7]
    assert lookup.propose(text(1, 2, 3, 4), 2) == [], "nothing stood here before"


def test_a_loop_goes_round() -> None:
    assert PromptLookup().propose(text(1, 2, 1, 2), 5) == [1, 2, 1, 2, 1]


def test_a_text_is_remembered_as_it_grows_and_forgotten_for_another() -> None:
    lookup = PromptLookup(shortest=2)
    assert lookup.propose(text(1, 2, 3), 3) == []
    assert lookup.propose(text(1, 2, 3, 1, 2), 1) == [3]
    assert lookup.propose(text(8, 1, 2), 1) == [], "that was another text"


def test_unasked_guesses_need_a_longer_run() -> None:
    assert Repeats().propose(text(2, 9, 1, 2), 3) == []
    assert Repeats().propose(text(1, 2, 3, 9, 1, 2, 3), 1) == [9]


def test_guesses_grow_while_they_come_true() -> None:
    repeats, looped = Repeats(), text(*[1, 2, 3] * 9)
    lengths = []
    for _ in range(4):
        guess = repeats.propose(looped, 100)
        lengths.append(len(guess))
        repeats.learn(len(guess), len(guess))
    assert lengths == [FIRST_GUESS, 2 * FIRST_GUESS, LONGEST_GUESS, LONGEST_GUESS]
    assert len(repeats.propose(looped, 5)) == 5, "no more than there is room for"


def test_pauses_double_while_they_fail() -> None:
    repeats, looped = Repeats(), text(*[1, 2, 3] * 9)
    pauses = []
    for _ in range(4):
        waited = 0
        while not (guess := repeats.propose(looped, 100)):
            waited += 1
        pauses.append(waited)
        repeats.learn(len(guess), 0)
    assert pauses == [0, 1, 3, 7]
    while not repeats.propose(looped, 100):
        pass
    repeats.learn(FIRST_GUESS, FIRST_GUESS)
    repeats.learn(FIRST_GUESS, 0)
    assert repeats.propose(looped, 100) == []
    assert repeats.propose(looped, 100), "one that came true has made the next pause short"
