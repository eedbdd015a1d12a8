"""`python -m tests.models.causal [KIND ...]`: one law over every causal language model.

A text is the same alone, in a batch of eight of unequal lengths, with prompt lookup, and by
transformers' own `generate()`; or hfcli runs one row at a time, or refuses in a line. Where
`generate()` itself leaves the model's own logits (RoBERTa's positions, for one), those decide.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.models import tiny

NEW = 10  # tokens of each text
LENGTHS = (3, 17, 30, 1, 9, 24, 40)
LEAST = 100  # architectures that must be built, where all are tried
TIE = 1e-4  # of the largest logit: two tokens this close may change places by rounding


BUGS = (
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    NotImplementedError,
)


@dataclass(frozen=True)
class Outcome:
    """What became of an architecture.

    Args:
        kind: transformers' name.
        attention: implementation, as transformers calls it.
        rows: `batch`, `one by one`, `refused`, or `not built`.
        differ: texts that are not those of `generate()`: (run, prompt).
        note: why, in a line.
        drafted: tokens that prompt lookup proposed.
    """

    kind: str
    attention: str
    rows: str
    differ: tuple[tuple[str, int], ...] = ()
    note: str = ""
    drafted: int = 0

    @property
    def holds(self) -> bool:
        """Whether the law does."""
        return not self.differ


def prompts() -> list[tuple[int, ...]]:
    """Eight prompts as token ids, one of which repeats itself."""
    import random

    chosen = random.Random(0)
    found = [tuple(chosen.choices(range(5, tiny.VOCABULARY), k=n)) for n in LENGTHS]
    return [*found, found[0] * 3 + found[3] * 2 + found[0] * 2]


def outcome_of(kind: str, tokenizer: Any, **options: Any) -> Outcome:
    """Build the architecture and try the law on it.

    Args:
        tokenizer: any; only its ids count.
        options: of `from_config`, such as `attn_implementation`.
    """
    from hfcli.errors import HfcliError

    model, reason = built(kind, **options)
    if model is None:
        return Outcome(kind, options.get("attn_implementation", ""), "not built", note=reason)
    attention = str(model.config._attn_implementation)
    try:
        found, rows, drafted = _texts(model, tokenizer)
    except BUGS as e:
        return Outcome(kind, attention, "failed", (("all", 0),), note=repr(e)[:200])
    except HfcliError as e:
        return Outcome(kind, attention, "refused", note=e.message)
    differ, note = [], ""
    for number, ids in enumerate(prompts()):
        own = generated(model, ids)
        if not same(model, ids, own, plainly(model, ids)):
            own, note = plainly(model, ids), "generate() is not the model's own forward pass"
        for run, texts in found.items():
            if not same(model, ids, own, texts[number]):
                differ.append((run, number))
    return Outcome(kind, attention, rows, tuple(differ), note, drafted)


def built(kind: str, **options: Any) -> tuple[Any, str]:
    """The model, or None and why it cannot be built by this transformers."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        model = tiny.build(AutoModelForCausalLM, tiny.config_of(kind), **options)
        with torch.inference_mode():
            logits = model(torch.tensor([prompts()[1]])).logits
            model.generate(torch.tensor([prompts()[1]]), max_new_tokens=2)
    except tiny.UNBUILT as e:
        return None, f"{type(e).__name__}: {str(e).strip().splitlines()[:1]}"
    if logits.shape[-1] < tiny.VOCABULARY or not torch.isfinite(logits).all():
        return None, "its logits are not numbers over a vocabulary"
    return model, ""


def engine_of(model: Any, tokenizer: Any, **options: Any) -> Any:
    """hfcli's engine around a model in memory."""
    from hfcli.generation.engines.base import EngineOptions
    from hfcli.generation.engines.transformers import TransformersEngine
    from hfcli.generation.loading import ModelChoice
    from hfcli.models.load import LoadedModel
    from hfcli.models.resolve import ModelSource

    loaded = LoadedModel(model, tokenizer, ModelSource("tiny", Path()))
    choice = ModelChoice("tiny", device="cpu")
    return TransformersEngine(loaded, EngineOptions(choice, lambda event: None, **options))


def _texts(model: Any, tokenizer: Any) -> tuple[dict[str, dict[int, tuple[int, ...]]], str, int]:
    """Texts by run, how rows were run, and how many tokens were proposed."""
    from hfcli.generation.request import Request
    from hfcli.generation.sampling import SamplingParams

    wanted = [Request(i, ids, 0, SamplingParams(), NEW) for i, ids in enumerate(prompts())]
    batch = engine_of(model, tokenizer, batch_size=8)
    found = {"batch": {f.request.number: f.ids for f in batch.run(wanted)}}
    lookup = engine_of(model, tokenizer, batch_size=1, prompt_lookup=True)
    found["lookup"] = {f.request.number: f.ids for f in lookup.run(wanted)}
    rows = "batch" if batch.counts.batch_size > 1 else "one by one"
    return found, rows, lookup.counts.drafted


def generated(model: Any, ids: Sequence[int]) -> tuple[int, ...]:
    """What transformers writes by itself."""
    import torch

    inputs = torch.tensor([ids])
    with torch.inference_mode():
        model.generation_config.forced_eos_token_id = None
        output = model.generate(
            inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=NEW,
            do_sample=False, eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
    return tuple(output[0, len(ids) :].tolist())


def plainly(model: Any, ids: Sequence[int]) -> tuple[int, ...]:
    """The greedy text by the model's own forward pass, each token from the start."""
    import torch

    found = list(ids)
    with torch.inference_mode():
        for _ in range(NEW):
            logits = model(torch.tensor([found]), use_cache=False).logits
            found.append(int(logits[0, -1].argmax()))
    return tuple(found[len(ids) :])


def same(model: Any, ids: Sequence[int], a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether two texts are equal up to a place where rounding may decide."""
    import torch

    at = next((i for i, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1]), None)
    if at is None:
        return len(a) == len(b)
    with torch.inference_mode():
        logits = model(torch.tensor([[*ids, *a[:at]]]), use_cache=False).logits[0, -1]
    return bool((logits[a[at]] - logits[b[at]]).abs() < TIE * logits.abs().max())


def outcomes(kinds: Sequence[str]) -> Iterator[Outcome]:
    """Each architecture with the attention it has by default, and with eager attention."""
    tokenizer = tiny.tokenizer()
    for kind in kinds:
        first = outcome_of(kind, tokenizer)
        yield first
        if first.rows != "not built" and first.attention != "eager":
            yield outcome_of(kind, tokenizer, attn_implementation="eager")


def main(arguments: Sequence[str]) -> int:
    """Print the table; 1 when the law is broken anywhere, or too little was tried."""
    counts: Counter[str] = Counter()
    bad, tried = [], set()
    for found in outcomes(arguments or tiny.causal_kinds()):
        counts[found.rows] += 1
        told = f"DIFFERS {found.differ} " if found.differ else "equal "
        told += found.note
        print(f"{found.kind:28} {found.attention:8} {found.rows:11} {found.drafted:4} {told}")
        sys.stdout.flush()
        if found.rows != "not built":
            tried.add(found.kind)
        if not found.holds:
            bad.append(found)
    print(dict(counts), f"{len(tried)} architectures built, {len(bad)} broken")
    if not arguments and len(tried) < LEAST:
        print(f"only {len(tried)} architectures could be built: {LEAST} are expected")
        return 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
