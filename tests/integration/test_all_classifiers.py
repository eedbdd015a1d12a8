"""The law of `tests.models.classifiers` over fixed architectures."""

from __future__ import annotations

import warnings

import pytest

from tests.models import classifiers

# Tokens of the longest text that each may be given, of 128 positions.
FIXED = {
    "bert": 128,
    "roberta": 127,  # positions are counted from that of padding
    "distilbert": 128,
    "electra": 128,
    "deberta-v2": 128,
    "convbert": 128,  # its convolutions see padding
    "mobilebert": 128,  # and so do the three tokens that each embedding is made of
    "esm": 127,
    "ibert": 127,
    "longformer": 127,
    "mpt": 128,  # a limit under another name
    "gpt2": 128,
    "llama": 128,
}


@pytest.fixture(autouse=True)
def quiet() -> None:
    warnings.simplefilter("ignore")


@pytest.mark.parametrize("kind", FIXED)
def test_a_text_is_the_same_alone_and_in_a_batch_and_long_ones_are_cut(kind: str) -> None:
    found = classifiers.outcome_of(kind, pad_token=True)
    assert (found.rows, found.longest) == ("equal", FIXED[kind]), found.note


@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])
def test_so_it_is_where_the_tokenizer_has_no_padding_token(kind: str) -> None:
    found = classifiers.outcome_of(kind)
    assert (found.rows, found.longest) == ("equal", FIXED[kind]), found.note
