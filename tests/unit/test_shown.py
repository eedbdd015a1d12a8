"""Text of users in messages: cut where it is long, escaped where a terminal would obey it."""

from __future__ import annotations

import io
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.text import Text

from hfcli.errors import DataError, RecipeError
from hfcli.recipe.load import load_recipe
from hfcli.render.progress import Reporter
from hfcli.render.streams import write_err, write_error, write_json, write_line, write_model_text
from hfcli.render.tables import SafeTable, print_table
from hfcli.results import Note
from hfcli.shown import listed, shown, visible, visible_line

ANY = st.text(st.characters(codec=None), max_size=60)
ODD = "\x00\x07\x08\x0b\x1b[31m\x1b]0;title\x07\x7f\x85\x9b1m\u202e\u2066\u2028\ud800\udcff\r"


class Stream(io.StringIO):
    """Text that is written, by a terminal or a pipe."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def obeyed(text: str) -> set[str]:
    """Characters that a terminal would obey, or no encoding has."""
    bad = {c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")}
    bad |= {c for c in text if unicodedata.bidirectional(c) in (
        "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI",
    )}  # fmt: skip
    return bad - {"\n", "\t"}


def paired(text: str) -> str:
    """Two halves of a character beside each other are the character, in JSON."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def test_the_odd_characters_are_those_that_are_looked_for() -> None:
    assert len(obeyed(ODD)) > 10


@given(ANY | st.just(ODD))
@settings(max_examples=300, deadline=None)
def test_what_goes_to_stderr_moves_no_cursor(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stream = Stream(terminal=True)
        patch.setattr("sys.stderr", stream)
        write_error(RecipeError(f"{text}: wrong", hint=f"not {text}"))
        assert stream.getvalue().count("\n") == 2, "one line, and the hint"
        write_error(RecipeError([f"a {text}", f"b {text}"]))
        assert stream.getvalue().count("\n") == 4
        write_err(text)
        Reporter()(Note(text))
    assert not obeyed(stream.getvalue())


@given(ANY | st.just(ODD))
@settings(max_examples=200, deadline=None)
def test_what_a_terminal_shows_of_an_answer_moves_no_cursor(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stream = Stream(terminal=True)
        patch.setattr("sys.stdout", stream)
        patch.setenv("NO_COLOR", "1")
        patch.setenv("TERM", "dumb")
        write_model_text(text)
        write_line(text)
        write_json({text: text})
        assert not obeyed(stream.getvalue())
        table = SafeTable(f"y{text}".replace("[", ""))
        table.add_column(Text(f"x{text}"))
        table.add_row(Text(text), text.replace("[", ""))
        print_table(table)
    assert not obeyed(stream.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", ""))


@given(ANY | st.just(ODD))
@settings(max_examples=100, deadline=None)
def test_a_pipe_gets_the_values_as_they_are(text: str) -> None:
    for terminal in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            stream = Stream(terminal=terminal)
            patch.setattr("sys.stdout", stream)
            write_json({"text": text})
            assert json.loads(stream.getvalue().encode()) == {"text": paired(text)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", stream := Stream(terminal=False))
        write_model_text(text)
        assert stream.getvalue() == text


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"])))
def test_other_text_is_left_as_it_is(text: str) -> None:
    assert visible_line(text) == visible(text) == text


@pytest.mark.parametrize("value", ["x" * 5_000, "x y " * 1_250, "'" * 5_000, "é\n" * 2_500])
@pytest.mark.parametrize(
    "form", ["{!r}", "{}", "(found {!r})", "{}: is not there", "a {!r} b {!r}"]
)
def test_a_long_value_is_cut_in_every_error(value: str, form: str) -> None:
    message = RecipeError(form.format(value, value)).message
    assert len(message) < 2_000
    assert "…" in message
    assert "," in message, "its length"


@pytest.mark.parametrize("value", ["x" * 5_000, "x y " * 1_250, ["x" * 5_000] * 3])
def test_shown_values_are_cut_at_200_characters_with_their_length(value: object) -> None:
    text = shown(value)
    assert len(text) < 800
    assert "(5,000 characters)" in text


def test_long_lists_are_cut_at_20_with_their_count() -> None:
    values = [f"label {i}" for i in range(1_000)]
    assert "'label 19'" in shown(values)
    assert "'label 20'" not in shown(values)
    assert shown(values).endswith("… (1,000)]")
    assert listed(values).endswith("label 19, … (1,000)")
    assert listed(values[:20]) == ", ".join(values[:20])


def test_an_error_of_many_lines_says_how_many() -> None:
    lines = DataError([f"row {i} is wrong" for i in range(1_000)]).lines
    assert len(lines) == 21
    assert lines[-1] == "and 980 more like these"


@pytest.mark.parametrize(
    "line",
    [
        "training: {{learning_rate: {}}}", "seed: {}", "{}: 1", "task: {{name: {}}}",
        "evaluation: {{metrics: [{}]}}", "training: {{eval_strategy: {}}}", "device: [{}]",
        "training: {{extra: {{{}: 1}}}}", "training: {{bf16: {}}}", "model: {{config: {{{}: 1}}}}",
        "training: {{metric_for_best_model: {}}}", "model: {{dtype: {}}}", "generation: {}",
        "training: {{per_device_train_batch_size: {}}}", "data: {{on_overflow: {}}}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", ["k" + "x" * 5_000, "[" + "abc, " * 1_000 + "d]"])
def test_recipe_errors_repeat_little_of_what_they_name(
    line: str, value: str, tmp_path: Path
) -> None:
    path = tmp_path / "r.yaml"
    key = value if value[0] != "[" or ": 1" not in line else "z" * 900
    path.write_text(line.format(key), encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert max(map(len, caught.value.lines)) < 1_600
    assert "x" * 300 not in caught.value.message
    assert "abc, " * 25 not in caught.value.message.replace("'", "")
