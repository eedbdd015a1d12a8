"""Text comes out byte for byte, whatever is in it and however the tokens cut it."""

from __future__ import annotations

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
