"""Scoring windows: hfcli's own, and those of other tools, against their own formulas."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hfcli.errors import RecipeError
from hfcli.tasks.prepared import IGNORE
from hfcli.tasks.text_generation import TextGeneration
from hfcli.tasks.windows import DEFINITIONS, Full, HfDocs, LlamaCpp, LmEval, Windows

LENGTHS = [1, 2, 3, 5, 16, 17, 18, 40, 64, 65]
Scored = tuple[int, int]  # a token (tokens are their own places), and the first one it sees


def scored(windows: Windows, n: int) -> list[Scored]:
    """What is scored of tokens 0 to n - 1, in order."""
    found: list[Scored] = []
    for window in windows.cut(range(n), [True] * n):
        ids, labels = window["input_ids"], window["labels"]
        assert len(ids) == len(labels) <= windows.context
        for token, label in zip(ids, labels, strict=True):
            if label != IGNORE:
                assert label == token + 1, "the label is the next token"
                found.append((label, ids[0]))
    return found


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize(("context", "stride"), [(1, None), (2, 1), (4, 4), (8, 3), (16, 20)])
def test_every_token_is_scored_once_with_the_context_of_the_stride(
    n: int, context: int, stride: int | None
) -> None:
    found = scored(Full(context, stride), n)
    assert [token for token, _first in found] == list(range(1, n))
    least = context + 1 - min(stride or context, context)
    for token, first in found:
        assert token - first >= min(token, least)


def test_the_last_window_is_as_full_as_it_can_be() -> None:
    last = list(Full(8, 8).cut(range(11), [True] * 11))[-1]
    assert last["input_ids"] == list(range(2, 10))


def hf_docs(n: int, context: int, stride: int) -> Iterator[Scored]:
    """The page's loop, as it is written there."""
    previous_end = 0
    for begin in range(0, n, stride):
        end = min(begin + context, n)
        target_length = end - previous_end
        labels = [IGNORE] * (end - begin - target_length) + list(range(previous_end, end))
        for label in labels[1:]:  # the model shifts labels by one
            if label != IGNORE:
                yield label, begin
        previous_end = end
        if end == n:
            return


def lm_eval(n: int, context: int) -> Iterator[Scored]:
    """get_rolling_token_windows with context_len 1; token 0 stands for its prefix token."""
    tokens = range(1, n)
    first = min(context, len(tokens))
    for token in tokens[:first]:
        yield token, 0
    predicted = first
    while predicted < len(tokens):
        size = min(len(tokens) - predicted, context)
        end = predicted + size
        inputs = tokens[end - context - 1 : end - 1]
        for token in tokens[end - size : end]:
            yield token, inputs[0]
        predicted += size


def llama_cpp(n: int, context: int) -> Iterator[Scored]:
    """perplexity.cpp: of each whole chunk, the logits from n_ctx / 2 on."""
    for chunk in range(n // context):
        start = chunk * context
        for place in range(context // 2, context - 1):
            yield start + place + 1, start


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize(("context", "stride"), [(4, 4), (8, 3), (8, 8), (16, 5)])
def test_other_definitions_score_what_those_tools_score(n: int, context: int, stride: int) -> None:
    assert scored(HfDocs(context, stride), n) == list(hf_docs(n, context, stride))
    assert scored(LmEval(context), n) == list(lm_eval(n, context))
    assert scored(LlamaCpp(context), n) == list(llama_cpp(n, context))


def test_what_is_not_wanted_is_not_scored() -> None:
    assert set(DEFINITIONS.values()) == {Full, HfDocs, LmEval, LlamaCpp}
    for definition in DEFINITIONS.values():
        wanted = [i % 3 == 0 for i in range(40)]
        windows = list(definition(8).cut(range(40), wanted))
        labels = {label for window in windows for label in window["labels"]} - {IGNORE}
        assert labels
        assert all(label % 3 == 0 for label in labels)


@pytest.mark.parametrize("windows", DEFINITIONS)
def test_a_stride_that_leaves_tokens_out_is_an_error(windows: str) -> None:
    task = TextGeneration.model_validate({"stride": 9, "windows": windows})
    task.check_stride(9)
    with pytest.raises(RecipeError, match=r"task\.stride is 9, but a window holds 8 tokens"):
        task.check_stride(8)
