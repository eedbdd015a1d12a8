"""Writing many texts with GPT-2 small, of unlike lengths: whole processes.

In batches, and in other types than float32, other digits give other texts: there, only the numbers
of rows and tokens must be equal.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.case import Case, Context, Outcome, Side
from benchmarks.cases.generation import make_gguf, warm
from benchmarks.made import LANGUAGE_MODEL, Texts, gpt2_small
from benchmarks.peers import PEERS, whole, write_prompts
from benchmarks.processes import Finished, hfcli, plain

LOOP, BATCHED = "a loop over pipeline()", "pipeline(batch_size=32)"


def cases(context: Context) -> list[Case]:
    """The rows of the table about files of prompts."""
    return [
        _bulk(context, "bulk-loop", "bulk_loop.py", LOOP, at_least=12, aim=30),
        _bulk(context, "bulk-loop-bfloat16", "bulk_loop.py", LOOP, at_least=12, aim=30,
              dtype="bfloat16"),
        _bulk(context, "bulk-batched", "bulk_batched.py", BATCHED, at_least=2.5, aim=5,
              peers=True),
    ]  # fmt: skip


def _bulk(
    context: Context,
    name: str,
    script: str,
    against: str,
    *,
    at_least: float,
    aim: float,
    dtype: str = "float32",
    peers: bool = False,
) -> Case:
    rows = 16 if context.quick else 256
    model = context.work.absolute() / LANGUAGE_MODEL
    data = context.work.absolute() / f"prompts-{rows}.jsonl"
    texts = name == "bulk-loop"

    def prepare() -> None:
        make_gguf(gpt2_small(context.work.absolute()))
        write_prompts(data, _prompts(rows))

    return Case(
        name=name,
        title=f"bulk, {rows} prompts, 8 to 256 words in, 16 to 128 tokens out, {dtype}",
        against=against,
        ours=_ours(context, data, "hfcli", str(model), "--dtype", dtype, texts=texts),
        plain=Side(
            "plain",
            lambda _f: plain(script, str(model), str(data)),
            functools.partial(_told, texts=texts),
        ),
        script=script,
        at_least=at_least,
        aim=aim,
        equal={"rows": 0, "tokens": 0, **({"texts": 0} if texts else {})},
        peers=_peers(context, model, data) if peers else (),
        prepare=prepare,
    )


def _ours(
    context: Context, data: Path, name: str, model: str, *flags: str, texts: bool = False
) -> Side:
    def command(folder: Path) -> list[str]:
        files = ["-i", str(data), "-o", str(folder / "texts.jsonl")]
        return warm(context, hfcli("generate", "--model", model, *flags, "--json", *files))

    return Side(name, command, functools.partial(_texts, texts=texts))


def _peers(context: Context, model: Path, data: Path) -> list[Side]:
    """Other tools, and what hfcli has beside its default."""
    engine = _ours(
        context, data, "hfcli, --engine llama-cpp", f"{model}.gguf", "--engine", "llama-cpp"
    )
    return [
        _ours(context, data, "hfcli, --dtype bfloat16", str(model), "--dtype", "bfloat16"),
        replace(engine, needs="llama_cpp"),
        *(peer.side(model, data, whole) for peer in PEERS),
    ]


def _prompts(rows: int) -> list[tuple[str, int]]:
    """Prompts of 8 to 256 words, 16 to 128 tokens for each; most of them are short."""
    choose, texts, found = random.Random(0), Texts(0), []
    for _ in range(rows):
        length = int(8 * 32 ** choose.random() ** 2)
        longest = int(16 * 8 ** choose.random() ** 2)
        found.append((texts.text(length), longest))
    return found


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
