"""Flags -> the types that the rooms take, checked. Loads nothing heavy."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_args

from pydantic import ValidationError

from hfcli import user_text
from hfcli.cli.options import DecodingFlags, ModelFlags
from hfcli.errors import DataError, RecipeError, did_you_mean
from hfcli.fast import current_name, names
from hfcli.origins import as_typed
from hfcli.recipe.schema import Dtype
from hfcli.recipe.sections import GenerationSettings
from hfcli.render.streams import write_err

if TYPE_CHECKING:
    from hfcli.generation.loading import ModelChoice
    from hfcli.generation.structured import Grammar

ESCAPES = {r"\n": "\n", r"\t": "\t", r"\\": "\\"}
ESCAPE = re.compile(r"\\[nt\\]")
LOAD_IN = ("8bit", "4bit")
Known = TypeVar("Known", bound=str)


def generation_settings(
    flags: DecodingFlags, *, num_beams: int | None = None
) -> GenerationSettings:
    """Return the settings that flags give; None means not given.

    Raises:
        RecipeError: values that are out of range or contradict each other, all at once.
    """
    try:
        return GenerationSettings(
            max_new_tokens=flags.max_new_tokens,
            do_sample=flags.do_sample,
            temperature=flags.temperature,
            top_k=flags.top_k,
            top_p=flags.top_p,
            min_p=flags.min_p,
            repetition_penalty=flags.repetition_penalty,
            num_beams=num_beams,
        )
    except ValidationError as e:
        lines = []
        for details in e.errors(include_url=False):
            names = (f"--{part}".replace("_", "-") for part in details["loc"])
            flag = "".join(f"{as_typed(name)}: " for name in names)
            lines.append(flag + str(details["msg"]).removeprefix("Value error, "))
        raise RecipeError(lines) from e


def one_of(flag: str, value: str, known: Sequence[Known]) -> Known:
    """Return the known value that was typed.

    Raises:
        RecipeError: it is unknown.
    """
    for one in known:
        if one == value:
            return one
    near = did_you_mean(value, known)
    tail = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
    raise RecipeError(f"{as_typed(flag)}: unknown value {value!r}, {tail}")


def read_text(path: Path) -> str:
    """Return the text of a file that a flag names, without its final line end.

    Raises:
        DataError: it cannot be read.
    """
    return user_text.read_text(path, DataError).removesuffix("\n")


def model_choice(flags: ModelFlags) -> ModelChoice:
    """Return which model is meant, and how it is held.

    Raises:
        RecipeError: an unknown number type, quantization or optimization.
    """
    from hfcli.generation.loading import ModelChoice

    return ModelChoice(
        name=flags.model,
        revision=flags.revision,
        device=flags.device,
        dtype=one_of("--dtype", flags.dtype, get_args(Dtype)),
        offline=flags.offline,
        adapter=flags.adapter,
        load_in=flags.load_in and one_of("--load-in", flags.load_in, LOAD_IN),
        allow_pickle=flags.allow_pickle,
        trust_remote_code=flags.trust_remote_code,
        without=disabled(flags.without or ()),
    )


def disabled(given: Sequence[str]) -> frozenset[str]:
    """Return the speed-ups that `--without` names; names of earlier versions are told on stderr.

    Raises:
        RecipeError: an unknown name.
    """
    found = [current_name(name, "inference") for name in given]
    for _name, notice in found:
        if notice:
            write_err(f"note: --without {notice}")
    known = names("inference")
    return frozenset(one_of("--without", name, known) for name, _notice in found if name)


def stop_strings(given: Sequence[str] | None) -> tuple[str, ...]:
    r"""Return the stop strings of a flag, with `\n`, `\t` and `\\` replaced by what they stand for.

    Any other backslash stays as it is typed.

    Raises:
        RecipeError: an empty string.
    """
    stops = tuple(ESCAPE.sub(lambda found: ESCAPES[found[0]], text) for text in given or ())
    if "" in stops:
        raise RecipeError(f"{as_typed('--stop')}: an empty string would end every text at once")
    return stops


def grammar(
    *, choices: str | None = None, regex: str | None = None, json_schema: Path | None = None
) -> Grammar | None:
    """Return what a text must be; None: anything.

    Raises:
        RecipeError: more than one of the three flags, no choices, or a schema that is not JSON.
        DataError: the schema's file cannot be read.
    """
    from hfcli.generation.structured import Grammar

    given = sum(value is not None for value in (choices, regex, json_schema))
    if given == 0:
        return None
    if given > 1:
        names = ", ".join(map(as_typed, ("--choices", "--regex")))
        raise RecipeError(f"{names} and {as_typed('--json-schema')} exclude each other")
    words = tuple((choices or "").split(","))
    if choices is not None and not all(word.strip() for word in words):
        flag = as_typed("--choices")
        raise RecipeError(f"{flag}: expected words with commas between them, such as yes,no")
    schema = None if json_schema is None else _json_text(json_schema)
    return Grammar(words if choices is not None else (), regex, schema)


def _json_text(path: Path) -> str:
    text = read_text(path)
    try:
        user_text.parse_json(text)
    except json.JSONDecodeError as e:
        raise RecipeError(f"{path}:{e.lineno}: not JSON ({e.msg})") from e
    except ValueError as e:
        raise RecipeError(f"{path}: not JSON ({e})") from e
    return text


def encoding(name: str | None) -> str:
    """Return the encoding that --encoding names; UTF-8 without it.

    Raises:
        RecipeError: Python knows none of this name.
    """
    from hfcli.recipe.schema import check_encoding

    try:
        return check_encoding(name or "utf-8")
    except ValueError as e:
        raise RecipeError(f"{as_typed('--encoding')}: {e}") from e


def batch_size(value: str) -> int | None:
    """Return the rows at a time; None for `auto`.

    Raises:
        RecipeError: neither auto nor a number above 0.
    """
    if value == "auto":
        return None
    if not value.isdecimal() or int(value) < 1:
        flag = as_typed("--batch-size")
        raise RecipeError(f"{flag}: expected auto or a number above 0, found {value!r}")
    return int(value)
