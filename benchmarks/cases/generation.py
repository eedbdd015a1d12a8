"""Writing text with GPT-2 small: starting, one text, many texts.

hfcli takes bfloat16 for one text where it is faster; then the number of tokens must be equal, and
other cases hold the texts of float32 to be equal. A model with random weights goes in circles
sooner than a trained one, and is guessed more easily: one case leaves guessing out, and one takes
the trained model that ships inside the package. The cache of the start (which file of transformers
defines what, the probe of bfloat16, converted GGUF files) is kept between runs, as it is on a
user's machine.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.case import Case, Context, Outcome, Side
from benchmarks.made import LANGUAGE_MODEL, Texts, gpt2_small
from benchmarks.peers import decoders
from benchmarks.processes import ROOT, Finished, SideError, hfcli, plain

PROMPT = "The world is a beautiful place,"


def cases(context: Context) -> list[Case]:
    """The rows of the table about writing."""
    n = 16 if context.quick else 256
    return [
        Case(
            name="help", title="`hfcli --help`", against="-", script=None, plain=None,
            ours=Side("hfcli", lambda _folder: hfcli("--help"), _help), at_least=0.3, aim=0.15,
        ),
        _one(context, "process", f"whole process, one prompt, {n} new tokens", "pipeline_text.py",
             "the five-line pipeline script", n, at_least=3, aim=5),
        _one(context, "first-token", "start to first token on stdout", "pipeline_stream.py",
             "pipeline with a streamer", 8, at_least=2, aim=4),
        _with_peers(context, n, _one(
            context, "decode", f"decode, one stream, {n} tokens", "generate_loop.py",
            "generate(), defaults", n, at_least=2.7, aim=6,
        )),
        _one(context, "decode-unguessed", f"the same, --without guesses, {n} tokens",
             "generate_loop.py", "generate(), defaults", n, at_least=1, aim=1,
             more=["--without", "guesses"]),
        _one(context, "decode-float32", f"decode, one stream, {n} tokens, float32, equal texts",
             "generate_loop.py", "generate(), defaults", n, at_least=1, aim=1, dtype="float32"),
        _one(context, "decode-bundled", f"the same, the bundled model (trained), {n} tokens",
             "generate_loop.py", "generate(), defaults", n, at_least=1, aim=1,
             model=str(ROOT / "hfcli" / "bundled")),
        _gguf(context),
        _bulk(context, "bulk-loop", "bulk_loop.py", "a loop over pipeline()", at_least=12, aim=30),
        _bulk(context, "bulk-loop-bfloat16", "bulk_loop.py", "a loop over pipeline()",
              at_least=12, aim=30, dtype="bfloat16"),
        _bulk(context, "bulk-batched", "bulk_batched.py", "pipeline(batch_size=32)",
              at_least=2.5, aim=5),
    ]  # fmt: skip


def warm(context: Context, command: Sequence[str]) -> list[str]:
    """A command of hfcli's with a cache that is kept between runs."""
    return ["env", f"HFCLI_CACHE={context.work.absolute() / 'hfcli-cache'}", *command]


def _one(
    context: Context,
    name: str,
    title: str,
    script: str,
    against: str,
    n: int,
    *,
    at_least: float,
    aim: float,
    dtype: str = "auto",
    more: Sequence[str] = (),
    model: str | None = None,
) -> Case:
    model = model or str(context.work.absolute() / LANGUAGE_MODEL)
    flags = ["--model", model, "--greedy", "--max-new-tokens", str(n), "--dtype", dtype, *more]
    streams = name == "first-token"
    if not streams:
        flags.append("--json")
    ways: Mapping[str, Callable[[Finished], Outcome]] = {
        "process": _whole, "first-token": _first,
    }  # fmt: skip
    measure = ways.get(name, functools.partial(_decode, texts=dtype == "float32"))
    return Case(
        name=name,
        title=title,
        against=against,
        ours=Side("hfcli", lambda _f: warm(context, hfcli("generate", PROMPT, *flags)), measure),
        plain=Side("plain", lambda _f: plain(script, model, PROMPT, str(n)), measure),
        script=script,
        at_least=at_least,
        aim=aim,
        equal={"tokens": 0, "text": 0} if dtype == "float32" else {"tokens": 0},
        prepare=lambda: _discard(gpt2_small(context.work)),
    )


def _with_peers(context: Context, n: int, case: Case) -> Case:
    model, file = (context.work.absolute() / f"{LANGUAGE_MODEL}{end}" for end in ("", ".gguf"))
    peers = decoders(model, file, PROMPT, n, case.ours.measure)
    return replace(case, peers=peers, prepare=lambda: _make_gguf(context.work, file))


def _make_gguf(work: Path, file: Path) -> None:
    folder = gpt2_small(work)
    if not file.is_file():
        command = [sys.executable, "-m", "benchmarks.gguf_file", str(folder), str(file)]
        subprocess.run(command, check=True, cwd=ROOT, stdout=sys.stderr)


def _gguf(context: Context) -> Case:
    """hfcli has started with the file before; transformers has nothing to remember it by."""
    file = context.work.absolute() / f"{LANGUAGE_MODEL}.gguf"
    flags = ["--model", str(file), "--greedy", "--max-new-tokens", "8"]

    def prepare() -> None:
        _make_gguf(context.work, file)
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


def _bulk(
    context: Context,
    name: str,
    script: str,
    against: str,
    *,
    at_least: float,
    aim: float,
    dtype: str = "float32",
) -> Case:
    rows = 16 if context.quick else 256
    model = str(context.work.absolute() / LANGUAGE_MODEL)
    data = context.work / f"prompts-{rows}.jsonl"
    texts = name == "bulk-loop"  # in batches, and in bfloat16, other digits give other texts

    def prepare() -> None:
        gpt2_small(context.work)
        _write_prompts(data, rows)

    def ours(folder: Path) -> list[str]:
        files = ["-i", str(data.absolute()), "-o", str(folder / "texts.jsonl")]
        flags = ["--model", model, "--dtype", dtype, "--json"]
        return warm(context, hfcli("generate", *flags, *files))

    return Case(
        name=name,
        title=f"bulk, {rows} prompts, 8 to 256 words in, 16 to 128 tokens out, {dtype}",
        against=against,
        ours=Side("hfcli", ours, functools.partial(_texts, texts=texts)),
        plain=Side(
            "plain",
            lambda _f: plain(script, model, str(data.absolute())),
            functools.partial(_told, texts=texts),
        ),
        script=script,
        at_least=at_least,
        aim=aim,
        equal={"rows": 0, "tokens": 0, **({"texts": 0} if texts else {})},
        prepare=prepare,
    )


def _write_prompts(path: Path, rows: int) -> None:
    choose, texts = random.Random(0), Texts(0)
    with path.open("w", encoding="utf-8") as file:
        for i in range(rows):
            length = int(8 * 32 ** choose.random() ** 2)  # 8 to 256, most of them short
            longest = int(16 * 8 ** choose.random() ** 2)  # 16 to 128, likewise
            body = {"prompt": texts.text(length), "max_tokens": longest, "temperature": 0}
            line = {"custom_id": str(i), "body": {**body, "repetition_penalty": 1.0}}
            file.write(json.dumps(line) + "\n")


def _help(finished: Finished) -> Outcome:
    return Outcome(finished.seconds, {})


def _whole(finished: Finished) -> Outcome:
    return Outcome(finished.seconds, {"tokens": _tokens(json.loads(finished.stdout()))})


def _first(finished: Finished) -> Outcome:
    """Until something stands on stdout; stderr ends with `8 tokens, ...` on both sides."""
    told = [line.text for line in finished.lines if " tokens, " in line.text]
    if finished.first_byte is None or not told:
        raise SideError("nothing was written")
    return Outcome(finished.first_byte, {"tokens": int(told[-1].split()[0])})


def _decode(finished: Finished, *, texts: bool) -> Outcome:
    told = json.loads(finished.stdout())
    work = {"tokens": _tokens(told), **({"text": told["text"]} if texts else {})}
    return Outcome(told["seconds"], work)


def _tokens(told: Mapping[str, Any]) -> int:
    return int(told["n_new_tokens"] if "n_new_tokens" in told else told["tokens"])


def _told(finished: Finished, *, texts: bool) -> Outcome:
    told = json.loads(finished.stdout())
    return Outcome(finished.seconds, {k: v for k, v in told.items() if texts or k != "texts"})


def _texts(finished: Finished, *, texts: bool) -> Outcome:
    lines = (finished.folder / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    bodies = [json.loads(line)["response"]["body"] for line in lines]
    made = [body["choices"][0]["text"] for body in bodies]
    work: dict[str, Any] = {
        "rows": len(made),
        "tokens": sum(body["usage"]["completion_tokens"] for body in bodies),
    }
    if texts:
        work["texts"] = hashlib.sha256(json.dumps(made).encode()).hexdigest()
    return Outcome(finished.seconds, work)


def _discard(_made: Path) -> None:
    """`prepare` gives nothing."""
