"""Stop strings: special tokens stop, alone and among text; what a flag's escapes mean."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hfcli.cli.validate import grammar, stop_strings
from hfcli.errors import RecipeError
from hfcli.generation.stream import TextStream
from tests.unit.test_stream import llama_like

WORDS = ["the hen", "a lamp, ", "漢", "then.", "<pause>", "x"]


@pytest.mark.parametrize("watched", [True, False])
def test_the_text_ends_before_the_first_stop_string_of_what_the_tokens_are(watched: bool) -> None:
    """The oracle reads the tokens with special ones written out, as transformers' criteria does."""
    tokenizer = llama_like()
    pause = tokenizer.convert_tokens_to_ids("<pause>")
    choose = random.Random(3)
    stops = [
        "<pause>",
        "n<pause>",
        "<pause>a",
        "<pause><pause>",
        "hen<pause>the",
        "漢<pause>",
        "hen.",
    ]
    found = 0
    for _ in range(200):
        parts = choose.choices(WORDS, k=12)
        given = choose.sample(stops, 2)
        ids: list[int] = []
        for part in parts:
            ids += [pause] if part == "<pause>" else tokenizer(part)["input_ids"]
        pieces: list[str] = []
        stream = TextStream(tokenizer, pieces.append if watched else None, given)
        at = next((i for i, token in enumerate(ids) if stream.add(token)), None)
        first, text = oracle(tokenizer, ids, pause, given)
        assert at == first, (parts, given)
        if at is None:
            stream.end()
        assert stream.text == text
        assert "".join(pieces) == (text if watched else "")
        found += at is not None
    assert 50 < found < 200


def oracle(tokenizer: Any, ids: list[int], pause: int, stops: list[str]) -> tuple[int | None, str]:
    """Which token completes a stop string, and the text before that string."""
    for n in range(1, len(ids) + 1):
        whole = written(tokenizer, ids[:n], pause)
        places = [at for at in map(whole.find, stops) if at >= 0]
        if places:
            return n - 1, whole[: min(places)].replace("<pause>", "")
    return None, written(tokenizer, ids, pause).replace("<pause>", "")


def written(tokenizer: Any, ids: list[int], pause: int) -> str:
    """The text with its special tokens, none of which changes a space."""
    text = ""
    for n, token in enumerate(ids):
        visible = [i for i in ids[: n + 1] if i != pause]
        shown = tokenizer.decode(visible)
        if token == pause:
            text += "<pause>"
        elif not shown.endswith("\ufffd"):
            text += shown[len(text.replace("<pause>", "")) :]
    return text


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (r"\n", "\n"),
        (r"a\tb\n", "a\tb\n"),
        (r"\\n", r"\n"),
        (r"\\\n", "\\\n"),
        (r"\d\x", r"\d\x"),
        ("\n", "\n"),
        ("\\", "\\"),
        (r"C:\temp", "C:\temp"),
        (r"C:\\temp", r"C:\temp"),
    ],
)
def test_escapes_in_a_stop_string(typed: str, meant: str) -> None:
    assert stop_strings([typed]) == (meant,)


def test_every_string_can_be_typed() -> None:
    choose = random.Random(0)
    for _ in range(300):
        text = "".join(choose.choices("\\nt\n\tab", k=choose.randint(1, 8)))
        typed = text.replace("\\", r"\\").replace("\n", r"\n").replace("\t", r"\t")
        assert stop_strings([typed]) == (text,)


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(RecipeError, match="--stop"):
        stop_strings([""])


def test_choices_are_kept_as_they_are_typed() -> None:
    made = grammar(choices=" States, x ,a b")
    assert made is not None
    assert made.choices == (" States", " x ", "a b")
    for empty in ("", "a,", "a, ,b"):
        with pytest.raises(RecipeError, match="--choices"):
            grammar(choices=empty)
