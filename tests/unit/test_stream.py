"""Text comes out byte for byte, whatever is in it and however the tokens cut it."""

from __future__ import annotations

import random
import sys
from typing import Any

import pytest

from hfcli.generation.stream import TextStream
from hfcli.models.resolve import BUNDLED_FOLDER
from hfcli.render.streams import write_model_text

ODD = "[bold]no[/bold] list[/int] :smile: \x1b[31mred\x1b[0m \x00 漢字かな 🙂🏽 é\r\n\tend "


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(BUNDLED_FOLDER)


def test_pieces_joined_are_the_text(tokenizer: Any) -> None:
    pieces: list[str] = []
    stream = TextStream(tokenizer, pieces.append)
    ids = tokenizer(ODD)["input_ids"]
    assert len(ids) > len(ODD) / 2, "characters are cut into tokens"
    for token in ids:
        assert not stream.add(token)
    assert stream.end() == ODD == "".join(pieces)
    assert len(pieces) > 20
    assert "\ufffd" not in "".join(pieces)


def test_a_pipe_gets_the_bytes_and_a_terminal_harmless_ones(
    capfdbinary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model_text(ODD)
    assert capfdbinary.readouterr().out == ODD.encode()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    write_model_text(ODD)
    shown = capfdbinary.readouterr().out.decode()
    assert "\x1b" not in shown
    assert "\x00" not in shown
    assert "\\x1b[31mred" in shown
    assert "漢字かな 🙂🏽 é" in shown


@pytest.mark.parametrize("stop", ["字か", "[/bold]", "d\x1b[0m \x00", "🏽", "\r\n"])
def test_a_stop_string_is_found_wherever_tokens_cut_it(tokenizer: Any, stop: str) -> None:
    pieces: list[str] = []
    watched = TextStream(tokenizer, pieces.append, [stop, "nowhere"])
    unwatched = TextStream(tokenizer, None, [stop])
    expected = ODD[: ODD.index(stop)]
    for stream in (watched, unwatched):
        for token in tokenizer(ODD)["input_ids"]:
            if stream.add(token):
                break
        else:
            raise AssertionError("not found")
        assert stream.text == expected
    assert "".join(pieces) == expected


def test_what_may_become_a_stop_string_is_held_back_until_it_does_not(tokenizer: Any) -> None:
    pieces: list[str] = []
    stream = TextStream(tokenizer, pieces.append, ["lamps are"])
    for token in tokenizer("the lamps and")["input_ids"]:
        stream.add(token)
        assert not "".join(pieces).endswith("lamps")
    assert stream.end() == "the lamps and" == "".join(pieces)


def llama_like() -> Any:
    """A tokenizer as Llama's: spaces are ▁, unknown characters are bytes, the first space goes."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = ["▁", *"abcdefghijklmnopqrstuvwxyz.,", "▁t", "he", "▁the"]
    vocab = {token: i for i, token in enumerate([*(f"<0x{b:02X}>" for b in range(256)), *letters])}
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he")]
    tokenizer = Tokenizer(models.BPE(vocab, merges, byte_fallback=True, fuse_unk=False))
    tokenizer.add_special_tokens([AddedToken("<pause>", special=True)])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1),
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def streamed(tokenizer: Any, ids: list[int]) -> tuple[str, str]:
    pieces: list[str] = []
    stream = TextStream(tokenizer, pieces.append)
    for token in ids:
        assert not stream.add(token)
    return stream.end(), "".join(pieces)


def test_any_tokens_at_all_are_streamed_as_they_are_decoded_together(tokenizer: Any) -> None:
    choose = random.Random(0)
    for _ in range(20):
        ids = choose.choices(range(len(tokenizer)), k=300)  # mostly broken UTF-8
        whole = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert streamed(tokenizer, ids) == (whole, whole)


def test_spaces_and_bytes_survive_a_tokenizer_that_strips_the_first_space() -> None:
    tokenizer = llama_like()
    words = ["the", "them", "a", "漢字かな", "🙂🏽👩‍👩‍👧", "é", "hen.", ","]
    choose = random.Random(1)
    for _ in range(20):
        text = " ".join(choose.choices(words, k=120))
        ids = tokenizer(text)["input_ids"]
        for _ in range(30):
            ids.insert(choose.randrange(len(ids)), tokenizer.convert_tokens_to_ids("<pause>"))
        whole = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert streamed(tokenizer, ids) == (whole, whole)


def test_a_token_costs_the_same_at_the_end_of_a_long_text(tokenizer: Any) -> None:
    decoded = 0

    class Counting:
        def decode(self, ids: list[int], **options: Any) -> str:
            nonlocal decoded
            decoded += len(ids)
            return str(tokenizer.decode(ids, **options))

    ids = tokenizer("The people of the United States and the sea. " * 300)["input_ids"][:2000]
    stream = TextStream(Counting(), lambda piece: None, ["never seen"])  # type: ignore[arg-type]
    for token in ids:
        stream.add(token)
    assert len(ids) == 2000
    assert decoded < 40 * len(ids)
