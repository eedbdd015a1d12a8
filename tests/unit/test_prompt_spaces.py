"""Prompt and text joined are what their tokens joined decode to, with every kind of tokenizer."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hfcli.generation.stream import TextStream
from hfcli.models.resolve import BUNDLED_FOLDER
from tests.unit.test_stream import llama_like

WORDS = ["the", "hen", "them", "a", "漢字", "🙂🏽", "é", ".", ",", "then"]


def byte_level() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(BUNDLED_FOLDER)


def word_piece() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocab = {w: i for i, w in enumerate(["[UNK]", "the", "hen", "##m", "##n", "a", ".", ",", "é"])}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")


def unigram() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = [
        "<unk>",
        "▁the",
        "▁",
        "the",
        "n",
        "▁hen",
        "▁a",
        ".",
        ",",
        "m",
        "é",
        "漢",
        "字",
        "🙂",
        "🏽",
    ]
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0 * i) for i, piece in enumerate(pieces)], 0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


PLAIN: Any = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
KINDS = {
    "byte-level": byte_level, "byte-fallback": llama_like,
    "word-piece": word_piece, "unigram": unigram,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [1, 3, 40])
def test_prompt_and_text_joined_are_all_tokens_decoded(kind: str, length: int) -> None:
    tokenizer = KINDS[kind]()
    choose = random.Random(length)
    spaces = 0
    for _ in range(20):
        before, after = (" ".join(choose.choices(WORDS, k=n)) for n in (length, 12))
        prompt, new = tokenizer(before)["input_ids"], tokenizer(f"{before} {after}")["input_ids"]
        new = new[len(prompt) :] if new[: len(prompt)] == prompt else tokenizer(after)["input_ids"]
        assert new
        whole = tokenizer.decode(prompt + new, **PLAIN)
        shown = tokenizer.decode(prompt, **PLAIN)
        assert whole.startswith(shown)
        texts = []
        ways: list[tuple[list[str] | None, tuple[str, ...]]]
        ways = [([], ()), ([], ("never said",)), (None, ())]
        for pieces, stops in ways:
            stream = TextStream(tokenizer, None if pieces is None else pieces.append, stops, prompt)
            for token in new:
                assert not stream.add(token)
            texts.append(stream.end())
            if pieces is not None:
                assert "".join(pieces) == texts[-1]
        assert [shown + text for text in texts] == [whole] * 3
        spaces += texts[0].startswith(" ")
    assert spaces, "the case that was lost"
