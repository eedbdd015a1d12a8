"""Writing text with GPT-2 small: starting, a whole process, and a GGUF file.

The cache of the start (which file of transformers defines what, the probe of bfloat16, converted
GGUF files) is kept between runs, as it is on a user's machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.case import Case, Context, Outcome, Side
from benchmarks.made import LANGUAGE_MODEL, gpt2_small
from benchmarks.processes import ROOT, Finished, SideError, hfcli, plain

PROMPT = "The world is a beautiful place,"


def cases(context: Context) -> list[Case]:
    """The rows of the table about starting."""
    n = 16 if context.quick else 256
    return [
        Case(
            name="help", title="`hfcli --help`", against="-", script=None, plain=None,
            ours=Side("hfcli", lambda _folder: hfcli("--help"), _help), at_least=0.3, aim=0.15,
        ),
        _one(context, "process", f"whole process, one prompt, {n} new tokens", "pipeline_text.py",
             "the five-line pipeline script", n, _whole, ["--json"], at_least=3, aim=5),
        _one(context, "first-token", "start to first token on stdout", "pipeline_stream.py",
             "pipeline with a streamer", 8, _first, [], at_least=2, aim=4),
        _gguf(context),
    ]  # fmt: skip


def warm(context: Context, command: Sequence[str]) -> list[str]:
    """A command of hfcli's with a cache that is kept between runs."""
    return ["env", f"HFCLI_CACHE={context.work.absolute() / 'hfcli-cache'}", *command]


def make_gguf(folder: Path) -> Path:
    """The GGUF file beside a model's folder; made once."""
    file = folder.with_name(f"{folder.name}.gguf")
    if not file.is_file():
        command = [sys.executable, "-m", "benchmarks.gguf_file", str(folder), str(file)]
        subprocess.run(command, check=True, cwd=ROOT, stdout=sys.stderr)
    return file


def _one(
    context: Context,
    name: str,
    title: str,
    script: str,
    against: str,
    n: int,
    measure: Callable[[Finished], Outcome],
    more: Sequence[str],
    *,
    at_least: float,
    aim: float,
) -> Case:
    model = str(context.work.absolute() / LANGUAGE_MODEL)
    flags = ["--model", model, "--greedy", "--max-new-tokens", str(n), *more]
    return Case(
        name=name,
        title=title,
        against=against,
        ours=Side("hfcli", lambda _f: warm(context, hfcli("generate", PROMPT, *flags)), measure),
        plain=Side("plain", lambda _f: plain(script, model, PROMPT, str(n)), measure),
        script=script,
        at_least=at_least,
        aim=aim,
        equal={"tokens": 0},
        prepare=lambda: _discard(gpt2_small(context.work)),
    )


def _gguf(context: Context) -> Case:
    """hfcli has started with the file before; transformers has nothing to remember it by."""
    file = context.work.absolute() / f"{LANGUAGE_MODEL}.gguf"
    flags = ["--model", str(file), "--greedy", "--max-new-tokens", "8"]

    def prepare() -> None:
        make_gguf(gpt2_small(context.work))
        first = warm(context, hfcli("generate", PROMPT, *flags))
        subprocess.run(first, check=True, cwd=ROOT, stdout=sys.stderr, stdin=subprocess.DEVNULL)

    return Case(
        name="gguf",
        title="second start from the same GGUF file, to first token",
        against="transformers' first start, which is as every other",
        ours=Side("hfcli", lambda _f: warm(context, hfcli("generate", PROMPT, *flags)), _first),
        plain=Side("plain", lambda _f: plain("gguf_stream.py", str(file), PROMPT, "8"), _first),
        script="gguf_stream.py",
        at_least=4,
        aim=8,
        equal={"tokens": 0},
        prepare=prepare,
    )


def _help(finished: Finished) -> Outcome:
    return Outcome(finished.seconds, {})


def _whole(finished: Finished) -> Outcome:
    return Outcome(finished.seconds, {"tokens": n_tokens(finished)})


def n_tokens(finished: Finished) -> int:
    """New tokens, as hfcli's JSON and the plain scripts' tell them."""
    told = json.loads(finished.stdout())
    return int(told["n_new_tokens"] if "n_new_tokens" in told else told["tokens"])


def _first(finished: Finished) -> Outcome:
    """Until something stands on stdout; stderr ends with `8 tokens, ...` on both sides."""
    told = [line.text for line in finished.lines if " tokens, " in line.text]
    if finished.first_byte is None or not told:
        raise SideError("nothing was written")
    return Outcome(finished.first_byte, {"tokens": int(told[-1].split()[0])})


def _discard(_made: Path) -> None:
    """`prepare` gives nothing."""
