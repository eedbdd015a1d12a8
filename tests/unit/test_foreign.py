"""Which errors of other libraries become errors of hfcli's, and which pass."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from hfcli.errors import DataError, ModelError, RunError
from hfcli.foreign import MOST, foreign_errors

KINDS = [
    TypeError("x"), ValueError("x"), KeyError("x"), ZeroDivisionError("x"), AttributeError("x"),
    OverflowError("x"), RecursionError("x"), AssertionError(), IndexError(), OSError(5, "x"),
    RuntimeError("x"), Exception("x"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"),
]  # fmt: skip


def thrown(error: BaseException, place: str) -> BaseException:
    """The error as code in the file `place` raises it, through the context manager."""
    code = compile("raise error", place, "exec")
    with pytest.raises(BaseException) as caught:  # noqa: PT011, SIM117 - any of them
        with foreign_errors(ModelError, "it: cannot be loaded", hint="do this"):
            exec(code, {"error": error})
    return caught.value


@pytest.mark.parametrize("error", KINDS, ids=lambda e: type(e).__name__)
def test_an_error_of_another_library_becomes_the_given_one_in_one_line(
    error: BaseException,
) -> None:
    raised = thrown(error, "/lib/transformers/x.py")
    assert isinstance(raised, ModelError)
    assert raised.message.startswith("it: cannot be loaded (")
    assert len(raised.message.splitlines()) == 1
    assert not raised.message.endswith("()")
    assert raised.hint == "do this"
    assert raised.__cause__ is error


@pytest.mark.parametrize(
    "error", [TypeError("x"), KeyError("x"), AttributeError("x"), ZeroDivisionError("x")]
)
def test_a_bug_of_hfcli_passes_as_it_is(error: BaseException) -> None:
    import hfcli

    own = str(Path(hfcli.__file__).parent / "models" / "x.py")
    assert thrown(error, own) is error


@pytest.mark.parametrize("error", [RuntimeError("x"), Exception("x"), OSError("x")])
def test_what_only_compiled_code_raises_is_not_a_bug_of_its_caller(error: BaseException) -> None:
    import hfcli

    assert isinstance(thrown(error, str(Path(hfcli.__file__).parent / "x.py")), ModelError)


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), BrokenPipeError(), DataError("x")],
    ids=lambda e: type(e).__name__,
)
def test_ends_and_errors_of_hfcli_pass(error: BaseException) -> None:
    assert thrown(error, "/lib/transformers/x.py") is error


def test_a_panic_of_rust_becomes_the_given_error() -> None:
    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})("index 3")
    raised = thrown(panic, "/lib/x.py")
    assert isinstance(raised, ModelError)
    assert raised.message == "it: cannot be loaded (index 3)"


def test_no_memory_is_an_error_of_the_run() -> None:
    assert isinstance(thrown(MemoryError(), "/lib/torch/x.py"), RunError)


def test_a_message_is_cut_and_escaped() -> None:
    message = str(thrown(ValueError("\x1b[31m" + "y" * 5000 + "\nmore"), "/lib/x.py"))
    assert message.isprintable()
    assert "\\x1b[31my" in message
    assert len(message) < MOST + 50


def test_the_type_is_named_where_the_message_alone_says_nothing() -> None:
    assert "KeyError: 'NOPE'" in str(thrown(KeyError("NOPE"), "/lib/x.py"))
    with pytest.raises(json.JSONDecodeError) as broken:
        json.loads("{")
    assert "broken JSON" in str(thrown(broken.value, "/lib/x.py"))
    listed = ValueError(textwrap.dedent("First:\n  second"))
    assert "(First: second)" in str(thrown(listed, "/lib/x.py"))


def test_nothing_happens_without_an_error() -> None:
    with foreign_errors(ModelError, "it"):
        done = True
    assert done
