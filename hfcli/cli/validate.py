"""Flags that are not part of a recipe, validated by the same models as recipes. Loads nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from pydantic import ValidationError

from hfcli import user_text
from hfcli.cli.variables import variables_in_force
from hfcli.errors import DataError, RecipeError, did_you_mean
from hfcli.recipe.generation import GenerationSettings
from hfcli.recipe.schema import Dtype

if TYPE_CHECKING:
    from hfcli.data.parsed import Quoting
    from hfcli.generation.bulk_files import BulkFiles
    from hfcli.generation.loading import ModelChoice
    from hfcli.generation.run import TextOptions
    from hfcli.generation.structured import Grammar

ESCAPES = {r"\n": "\n", r"\t": "\t", r"\\": "\\"}
ESCAPE = re.compile(r"\\[nt\\]")
LOAD_IN = ("8bit", "4bit")
QUOTING = ("auto", "always", "never")
ON_ERROR = ("record", "skip", "fail")


def generation_settings(flags: Mapping[str, Any]) -> GenerationSettings:
    """Those of the flags that are settings; None means not given.

    Raises:
        RecipeError: values that are out of range or contradict each other, all at once.
    """
    try:
        return GenerationSettings.model_validate(
            {name: flags.get(name) for name in GenerationSettings.model_fields}
        )
    except ValidationError as e:
        lines = []
        for details in e.errors(include_url=False):
            flag = "".join(f"--{part}: ".replace("_", "-") for part in details["loc"])
            lines.append(flag + str(details["msg"]).removeprefix("Value error, "))
        raise RecipeError(lines) from e


def check_dtype(name: str) -> str:
    """`name` when it is a number type hfcli knows.

    Raises:
        RecipeError: it is not.
    """
    if name not in get_args(Dtype):
        raise RecipeError(f"--dtype: unknown type {name!r}, known: {', '.join(get_args(Dtype))}")
    return name


def one_of(flag: str, value: str | None, known: Sequence[str]) -> str | None:
    """`value` when it is None or known.

    Raises:
        RecipeError: it is not.
    """
    if value is not None and value not in known:
        near = did_you_mean(value, known)
        tail = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
        raise RecipeError(f"{flag}: unknown value {value!r}, {tail}")
    return value


def read_text(path: Path | None) -> str | None:
    """The text of a file that a flag names, without its final line end.

    Raises:
        DataError: it cannot be read.
    """
    if path is None:
        return None
    return user_text.read_text(path, DataError).removesuffix("\n")


def model_choice(flags: Mapping[str, Any]) -> ModelChoice:
    """Which model, and how it is held.

    Raises:
        RecipeError: an unknown number type, quantization or switch.
    """
    from hfcli.fast.bfloat16 import SWITCHES
    from hfcli.generation.loading import ModelChoice

    given: Sequence[str] = flags.get("without") or ()
    return ModelChoice(
        name=flags["model"],
        revision=flags["revision"],
        device=flags["device"],
        dtype=check_dtype(flags["dtype"]),
        offline=flags["offline"],
        adapter=flags["adapter"],
        load_in=one_of("--load-in", flags["load_in"], LOAD_IN),
        allow_pickle=flags["allow_pickle"],
        trust_remote_code=flags["trust_remote_code"],
        without=frozenset(n for name in given if (n := one_of("--without", name, tuple(SWITCHES)))),
    )


def text_options(flags: Mapping[str, Any]) -> TextOptions:
    """Samples, stop strings, log-probabilities, templates, grammar.

    Raises:
        RecipeError, DataError: as `grammar`; an empty stop string.
    """
    from hfcli.generation.prompts import PromptOptions
    from hfcli.generation.run import TextOptions

    return TextOptions(
        num_samples=flags["num_samples"],
        stops=stop_strings(flags["stop"]),
        logprobs=flags["logprobs"],
        prompt=PromptOptions(flags["system"], flags["chat_template"]),
        grammar=grammar(flags),
    )


def stop_strings(given: Sequence[str] | None) -> tuple[str, ...]:
    r"""Return the stop strings of a flag, with `\n`, `\t` and `\\` replaced by what they stand for.

    Any other backslash stays as it is typed.

    Raises:
        RecipeError: an empty string.
    """
    stops = tuple(ESCAPE.sub(lambda found: ESCAPES[found[0]], text) for text in given or ())
    if "" in stops:
        raise RecipeError("--stop: an empty string would end every text at once")
    return stops


def grammar(flags: Mapping[str, Any]) -> Grammar | None:
    """What a text must be.

    Raises:
        RecipeError: more than one of the three flags, no choices, or a schema that is not JSON.
        DataError: the schema's file cannot be read.
    """
    from hfcli.generation.structured import Grammar

    given = [name for name in ("choices", "regex", "json_schema") if flags[name] is not None]
    if not given:
        return None
    if len(given) > 1:
        raise RecipeError("--choices, --regex and --json-schema exclude each other")
    schema = read_text(flags["json_schema"])
    if schema is not None:
        try:
            user_text.parse_json(schema)
        except json.JSONDecodeError as e:
            raise RecipeError(f"{flags['json_schema']}:{e.lineno}: not JSON ({e.msg})") from e
        except ValueError as e:
            raise RecipeError(f"{flags['json_schema']}: not JSON ({e})") from e
    words = tuple((flags["choices"] or "").split(","))
    if flags["choices"] is not None and not all(word.strip() for word in words):
        raise RecipeError("--choices: expected words with commas between them, such as yes,no")
    return Grammar(words if flags["choices"] is not None else (), flags["regex"], schema)


def bulk_files(flags: Mapping[str, Any]) -> BulkFiles:
    """Input and output of a bulk run.

    Raises:
        RecipeError, DataError: an unknown word, or a template that cannot be read.
    """
    from hfcli.generation.bulk_files import BulkFiles

    return BulkFiles(
        input=flags["input"],
        output=flags["output"],
        input_format=flags["input_format"],
        encoding=encoding(flags["encoding"]),
        quoting=cast("Quoting", one_of("--quoting", flags["quoting"], QUOTING)),
        output_format=flags["output_format"],
        split=flags["split"],
        prompt_column=flags["prompt_column"],
        template=read_text(flags["template"]),
        keep_columns=flags["keep_columns"],
        on_error=one_of("--on-error", flags["on_error"], ON_ERROR) or "record",
        overwrite=flags["overwrite"],
        limit=flags["limit"],
        environment=variables_in_force(),
    )


def encoding(name: str | None) -> str:
    """The encoding that --encoding names; UTF-8 without it.

    Raises:
        RecipeError: Python knows none of this name.
    """
    from hfcli.recipe.schema import check_encoding

    try:
        return check_encoding(name or "utf-8")
    except ValueError as e:
        raise RecipeError(f"--encoding: {e}") from e


def batch_size(value: str) -> int | None:
    """`auto` is None.

    Raises:
        RecipeError: neither auto nor a number above 0.
    """
    if value == "auto":
        return None
    if not value.isdecimal() or int(value) < 1:
        raise RecipeError(f"--batch-size: expected auto or a number above 0, found {value!r}")
    return int(value)
