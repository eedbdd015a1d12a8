"""`python -m tests.models.classifiers [KIND ...]`: one law over every sequence classifier.

A text has the same logits in a batch of eight of unequal lengths as alone, as hfcli pads it, where
the tokenizer has a padding token and where it has none; and a text that is longer than the model
takes is cut. Or hfcli refuses in a line.
"""

from __future__ import annotations

import contextlib
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError

from tests.models import tiny
from tests.models.causal import BUGS

LENGTHS = (3, 17, 30, 1, 9, 24, 40, 12)  # of texts, in words
LONG = 100
LEAST = 60  # architectures that must be built, where all are tried
ROUNDING = 5e-5  # of the largest logit, or of 1: T5 has twice the rounding of others


@dataclass(frozen=True)
class Outcome:
    """What became of an architecture.

    Args:
        kind: transformers' name.
        rows: `equal`, `differs`, `failed`, `refused`, or `not built`.
        note: why, in a line.
        longest: tokens of the longest text that was read.
    """

    kind: str
    rows: str
    note: str = ""
    longest: int = 0

    @property
    def holds(self) -> bool:
        """Whether the law does."""
        return self.rows not in ("differs", "failed")


def kinds() -> list[str]:
    """Names of all architectures with a sequence classifier."""
    from transformers.models.auto import modeling_auto

    return sorted(modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES)


def built(kind: str) -> tuple[Any, str]:
    """The model with three labels, or None and why it cannot be built by this transformers."""
    import torch
    from transformers import AutoModelForSequenceClassification

    try:
        config = tiny.config_of(kind)
        config.num_labels = 3
        if getattr(config, "is_decoder", False) and not config.is_encoder_decoder:
            config.is_decoder = False
        model = tiny.build(AutoModelForSequenceClassification, config)
        with torch.inference_mode():
            logits = model(torch.tensor([[5, 6, 7, 8, 2]])).logits
    except tiny.UNBUILT as e:
        return None, f"{type(e).__name__}: {str(e).strip().splitlines()[:1]}"
    if tuple(logits.shape) != (1, 3) or not torch.isfinite(logits).all():
        return None, "its logits are not numbers, one a label"
    return model, ""


def texts() -> list[str]:
    """Eight texts of unequal lengths."""
    from tests.conftest import SENTENCES

    words = " ".join(SENTENCES).split()
    chosen = random.Random(0)
    return [" ".join(chosen.choices(words, k=n)) for n in LENGTHS]


def outcome_of(kind: str, *, pad_token: bool = False) -> Outcome:
    """Build the architecture and try the law on it.

    Args:
        pad_token: whether the tokenizer has one, and closes texts by EOS, as most encoders' do.
    """
    from hfcli.errors import HfcliError
    from hfcli.models.load import LoadedModel, ensure_pad_token
    from hfcli.models.resolve import ModelSource

    model, reason = built(kind)
    if model is None:
        return Outcome(kind, "not built", reason)
    tokenizer = tiny.tokenizer()
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(3) if pad_token else None
    if pad_token:
        _close_texts(tokenizer, model)
    with contextlib.suppress(StrictDataclassError):  # some configurations want one
        model.config.pad_token_id = tokenizer.pad_token_id
    tokenizer.model_max_length = 10**30  # as of files that do not say it
    loaded = LoadedModel(model, tokenizer, ModelSource("tiny", Path()))
    try:
        ensure_pad_token(loaded)
        _lengths, together = logits_of(loaded, texts(), 8)
        _lengths, alone = logits_of(loaded, texts(), 1)
        longest, _logits = logits_of(loaded, [texts()[0], "sea " * LONG], 2)
    except BUGS as e:
        return Outcome(kind, "failed", repr(e)[:200])
    except HfcliError as e:
        return Outcome(kind, "refused", e.message)
    difference = float((together - alone).abs().max()) / max(1.0, float(alone.abs().max()))
    spread = float((alone - alone[:1]).abs().max())
    if not spread > 100 * ROUNDING:
        return Outcome(kind, "not built", "its logits are the same for all texts")
    if difference > ROUNDING or together.argmax(-1).tolist() != alone.argmax(-1).tolist():
        return Outcome(kind, "differs", f"by {difference:.3g}", longest)
    return Outcome(kind, "equal", "", longest)


def _close_texts(tokenizer: Any, model: Any) -> None:
    """Let the tokenizer put EOS behind every text, which BART and its kin read."""
    from tokenizers.processors import TemplateProcessing

    eos = (str(tokenizer.eos_token), int(tokenizer.eos_token_id))
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {eos[0]}", special_tokens=[eos]
    )
    for part in (model.config, model.config.get_text_config()):
        part.eos_token_id = eos[1]


def logits_of(loaded: Any, rows: Sequence[str], batch_size: int) -> tuple[int, Any]:
    """Tokens of the longest text as it was read, and (rows, labels) logits as hfcli scores them."""
    import torch
    from datasets import Dataset

    from hfcli.tasks.scoring import reduce_all
    from hfcli.tasks.text_classification import TextClassification
    from tests.helpers import prepared

    task = TextClassification()
    task.fit_tokenizer(loaded.tokenizer)
    table = Dataset.from_dict({"text": rows, "label": ["LABEL_0"] * len(rows)})
    encoded = prepared(task, table, loaded, train=False)
    seen: list[Any] = []
    hook = loaded.model.register_forward_hook(
        lambda _model, _args, _options, output: seen.extend(output.logits.float()),
        with_kwargs=True,
    )
    try:
        reduce_all(
            task=task, model=loaded.model, prepared=encoded, batch_size=batch_size,
            pad_token_id=int(loaded.tokenizer.pad_token_id),
        )  # fmt: skip
    finally:
        hook.remove()
    order = sorted(range(len(rows)), key=lambda i: -encoded.lengths[i])
    places = [order.index(i) for i in range(len(rows))]
    return max(encoded.lengths), torch.stack(seen[-len(rows) :])[places]  # trials come first


def outcomes(names: Sequence[str]) -> Iterator[Outcome]:
    """Each architecture without a padding token, and with one."""
    for kind in names:
        first = outcome_of(kind)
        yield first
        if first.rows != "not built":
            yield outcome_of(kind, pad_token=True)


def main(arguments: Sequence[str]) -> int:
    """Print the table; 1 when the law is broken anywhere, or too little was tried."""
    counts: Counter[str] = Counter()
    tried, bad = set(), 0
    for found in outcomes(arguments or kinds()):
        counts[found.rows] += 1
        print(f"{found.kind:28} {found.rows:10} {found.longest:5} {found.note}")
        sys.stdout.flush()
        bad += not found.holds
        if found.rows != "not built":
            tried.add(found.kind)
    print(dict(counts), f"{len(tried)} architectures built, {bad} broken")
    if not arguments and len(tried) < LEAST:
        print(f"only {len(tried)} architectures could be built: {LEAST} are expected")
        return 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
