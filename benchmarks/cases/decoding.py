"""Writing one text, without the start: GPT-2 small's and SmolLM2-135M's shapes, and other tools.

hfcli takes bfloat16 for one text where it is faster; then the number of tokens must be equal, and
other cases hold the texts of float32 to be equal. A model with random weights goes in circles
sooner than a trained one, and is guessed more easily: some cases leave guessing out, and one takes
the trained model that ships inside the package.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.case import Case, Context, Outcome, Side
from benchmarks.cases.generation import PROMPT, make_gguf, n_tokens, warm
from benchmarks.made import LANGUAGE_MODEL, LLAMA, gpt2_small, smollm2_135m
from benchmarks.peers import EXACT, PEERS, Peer, decoded, write_prompts
from benchmarks.processes import ROOT, Finished, hfcli, plain

MODELS: dict[str, Callable[[Path], Path]] = {LANGUAGE_MODEL: gpt2_small, LLAMA: smollm2_135m}
BUNDLED = ROOT / "hfcli" / "bundled"
UNGUESSED = ("--without", "speculative-decoding")


def cases(context: Context) -> list[Case]:
    """The rows of the table about decoding."""
    return [
        _one(context, "decode", "decode, one stream", at_least=2.7, aim=6, peers=PEERS),
        _one(context, "decode-unguessed", "the same, not speculative", more=UNGUESSED),
        _one(context, "decode-float32", "decode, float32, equal texts", "float32", peers=EXACT),
        _one(context, "decode-bundled", "decode, the bundled model (trained)", model=BUNDLED.name),
        _one(context, "decode-llama", "decode, Llama's shape", model=LLAMA, peers=PEERS),
        _one(context, "decode-llama-unguessed", "the same, not speculative", model=LLAMA,
             more=UNGUESSED),
        _one(context, "decode-llama-float32", "decode, Llama's shape, float32, equal texts",
             "float32", model=LLAMA, peers=EXACT),
    ]  # fmt: skip


def _one(
    context: Context,
    name: str,
    title: str,
    dtype: str = "auto",
    *,
    model: str = LANGUAGE_MODEL,
    at_least: float = 1,
    aim: float = 1,
    more: Sequence[str] = (),
    peers: Sequence[Peer] = (),
) -> Case:
    n = 16 if context.quick else 256
    work, texts = context.work.absolute(), dtype == "float32"
    folder, prompts = work / model if model in MODELS else BUNDLED, work / f"prompt-{n}.jsonl"
    flags = ["--model", str(folder), "--greedy", "--max-new-tokens", str(n), "--json"]
    command = hfcli("generate", PROMPT, *flags, "--dtype", dtype, *more)
    measure = functools.partial(_decode, texts=texts)

    def prepare() -> None:
        if model in MODELS:
            make_gguf(MODELS[model](work))
        write_prompts(prompts, [(PROMPT, n)])

    return Case(
        name=name,
        title=f"{title}, {n} tokens",
        against="generate(), defaults",
        ours=Side("hfcli", lambda _f: warm(context, command), measure),
        plain=Side(
            "plain", lambda _f: plain("generate_loop.py", str(folder), PROMPT, str(n)), measure
        ),
        script="generate_loop.py",
        at_least=at_least,
        aim=aim,
        equal={"tokens": 0, "text": 0} if texts else {"tokens": 0},
        peers=[
            peer.side(folder, prompts, functools.partial(decoded, texts=texts)) for peer in peers
        ],
        prepare=prepare,
    )


def _decode(finished: Finished, *, texts: bool) -> Outcome:
    told = json.loads(finished.stdout())
    work = {"tokens": n_tokens(finished), **({"text": told["text"]} if texts else {})}
    return Outcome(told["seconds"], work)
