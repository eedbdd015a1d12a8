"""What each speed-up is worth, in processor time: with and without it, in turn.

    python -m benchmarks.speed_ups start|decode|step [--turns N]

`start` runs `hfcli generate` of one token with the bundled model, in processes. `decode` writes
tokens with the shapes of GPT-2 small and SmolLM2-135M in float32, one row and eight. `step` trains
GPT-2 small on 16 sentences of 26 tokens, and on a block of 512. Processor time is little disturbed
by other work on the machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

Seconds = Callable[[], float]
START = ("-m", "hfcli", "generate", "--model", "bundled", "--max-new-tokens", "1", "hi")
BLOCK, TOKENS, ROWS = 512, 26, 16
DECODED = 8  # steps of a turn


def start() -> Iterator[tuple[str, dict[str, Seconds]]]:
    """A start with deferred imports, and without."""

    def run(*more: str) -> float:
        before = os.times()
        subprocess.run([sys.executable, *START, *more], check=True, capture_output=True)
        after = os.times()
        return sum(after[i] - before[i] for i in (2, 3))

    yield "start", {"on": run, "off": lambda: run("--without", "deferred-imports")}


def decode() -> Iterator[tuple[str, dict[str, Seconds]]]:
    """Steps of the decoding loop with a model's modules, its fused decoder, and packed weights."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    from hfcli.fast.decoders import build_decoder
    from hfcli.fast.linear import pack
    from hfcli.generation.slots import Slots

    llama = LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
        num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True,
    )  # fmt: skip
    makers: dict[str, Callable[[], Any]] = {
        "GPT-2 small": lambda: GPT2LMHeadModel(GPT2Config()).eval(),
        "SmolLM2-135M": lambda: LlamaForCausalLM(llama).eval(),
    }

    def run(model: Any, decoder: Any, rows: int) -> float:
        with torch.inference_mode():
            state = Slots(model, decoder)
            state.prefill([[1] * 8] * rows)
            begun = time.process_time()
            for _ in range(DECODED):
                state.decode([[5]] * rows)
            return (time.process_time() - begun) / DECODED

    for name, make in makers.items():
        model, packed = make(), make()
        pack(packed)
        decoder, both = build_decoder(model), build_decoder(packed)
        for rows in (1, 8):
            yield (
                f"decode, {name}, {rows} rows",
                {
                    "modules": partial(run, model, None, rows),
                    "fused-decoder": partial(run, model, decoder, rows),
                    "prepacked-weights": partial(run, packed, None, rows),
                    "both": partial(run, packed, both, rows),
                },
            )


def step() -> Iterator[tuple[str, dict[str, Seconds]]]:
    """Steps of training, with one speed-up disabled at a time; `memory` needs whole processes."""
    import torch
    from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel

    from hfcli.fast import names
    from hfcli.fast.training import prepare_training

    makers: dict[str, tuple[Callable[[], Any], tuple[int, int]]] = {
        "classification": (
            lambda: GPT2ForSequenceClassification(GPT2Config(pad_token_id=0, use_cache=False)),
            (ROWS, TOKENS),
        ),
        "block": (lambda: GPT2LMHeadModel(GPT2Config(use_cache=False)), (1, BLOCK)),
    }

    def made(make: Callable[[], Any], disabled: tuple[str, ...], shape: tuple[int, int]) -> Seconds:
        model = make().train()
        prepare_training(model, disabled)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
        ids = torch.randint(1, 50_000, shape, generator=torch.Generator().manual_seed(0))
        labels = ids if shape[0] == 1 else ids[:, 0] % 2

        def run() -> float:
            begun = time.process_time()
            model(input_ids=ids, labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return time.process_time() - begun

        return run

    parts = tuple(name for name in names("training") if name != "memory")
    for name, (make, shape) in makers.items():
        for disabled in (*((part,) for part in parts), parts):
            yield (
                f"step, {name}, {' and '.join(disabled)}",
                {
                    "on": made(make, (), shape),
                    "off": made(make, disabled, shape),
                },
            )


def main() -> None:
    """A line for each way, on stdout; the first is what the others are compared with."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed_ups")
    works = {"start": start, "decode": decode, "step": step}
    parser.add_argument("work", choices=list(works))
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    for title, ways in works[options.work]():
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for run in ways.values():  # caches are filled
            run()
        for turn in range(options.turns):
            for name in list(ways)[:: -1 if turn % 2 else 1]:
                seconds[name].append(ways[name]())
        first = statistics.median(next(iter(seconds.values())))
        for name, found in seconds.items():
            middle = statistics.median(found)
            spread = f"{min(found):.3f} to {max(found):.3f}"
            print(f"{title}, {name}: {middle:.3f} s ({spread}), {middle / first:.2f}", flush=True)


if __name__ == "__main__":
    main()
