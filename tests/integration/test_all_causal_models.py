"""The law of `tests.models.causal` over fixed architectures and some that change by the day."""

from __future__ import annotations

import datetime
import random
import warnings

import pytest

from tests.helpers import is_pinned
from tests.models import causal, tiny

# What each must be run as, so that nothing becomes slow or wrong unseen: (attention, rows).
FIXED = {
    "gpt2": ("sdpa", "batch"),
    "llama": ("sdpa", "batch"),
    "opt": ("sdpa", "batch"),
    "gpt_neox": ("sdpa", "batch"),
    "gptj": ("eager", "batch"),
    "gpt_neo": ("eager", "one by one"),
    "bloom": ("eager", "one by one"),
    "mistral": ("sdpa", "one by one"),
    "gemma2": ("eager", "one by one"),
    "gemma3_text": ("sdpa", "one by one"),
    "mamba": ("eager", "one by one"),
}
DAY = datetime.date.today().toordinal()
ROTATING = random.Random(DAY).sample([k for k in tiny.causal_kinds() if k not in FIXED], 3)


@pytest.fixture(autouse=True)
def quiet() -> None:
    warnings.simplefilter("ignore")  # of transformers' own code, for architectures it deprecates


@pytest.mark.parametrize("kind", FIXED)
def test_texts_are_those_of_generate_alone_in_a_batch_and_with_lookup(kind: str) -> None:
    found = causal.outcome_of(kind, tiny.tokenizer())
    assert found.differ == ()
    assert found.rows == FIXED[kind][1], found.note
    if is_pinned():  # which attention an architecture has differs between versions
        assert found.attention == FIXED[kind][0], found.note
    assert bool(found.drafted) == (found.rows == "batch"), "guesses were checked"


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_eager_attention_changes_no_text(kind: str) -> None:
    found = causal.outcome_of(kind, tiny.tokenizer(), attn_implementation="eager")
    assert (found.rows, found.attention) == ("batch", "eager")
    assert found.differ == ()
    assert found.drafted


@pytest.mark.parametrize("kind", ROTATING)
def test_some_other_architectures_of_the_day(kind: str) -> None:
    found = causal.outcome_of(kind, tiny.tokenizer())
    assert found.holds, f"{found}, chosen with seed {DAY}"
