"""text-generation: causal language modelling of documents.

Training reads one stream of all documents, each closed by EOS, cut into blocks. Scoring reads
each document by itself in windows: every token of the text is scored exactly once, after BOS
(or EOS where the tokenizer has no BOS) and with as much left context as the stride gives; the
closing EOS is not scored, so that the bytes are those of the text. Knows nothing about files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from hfcli.errors import DataError, ModelError, RecipeError
from hfcli.tasks.base import IGNORE, Feature, Prepared, Scores, Task, context_length, pad_right

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DEFAULT_BLOCK_SIZE = 1024  # run_clm's default


class TextGeneration(Task):
    """Causal language modelling."""

    name: Literal["text-generation"] = "text-generation"
    text_column: str = Field("text", description="Column with the text.")
    block_size: int | None = Field(
        None, ge=2, description="Tokens in a training block and a scoring window; default: context."
    )
    stride: int | None = Field(
        None, ge=1, description="Tokens a scoring window moves on; default: the block size."
    )
    default_metrics: ClassVar[tuple[str, ...]] = ("perplexity", "bits_per_byte")
    head_suffixes: ClassVar[tuple[str, ...]] = ("ForCausalLM", "LMHeadModel")

    try_next: ClassVar[tuple[str, ...]] = (
        'hfcli generate --model {folder} "your prompt"',
        "hfcli eval {folder}",
    )

    def columns(self) -> tuple[str, ...]:
        return (self.text_column,)

    def auto_class(self) -> Any:
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM

    def prepare(
        self,
        rows: Dataset,
        tokenizer: PreTrainedTokenizerBase,
        model: PreTrainedModel,
        *,
        train: bool,
    ) -> Prepared:
        texts = [text for text in rows[self.text_column] if text]
        empty = len(rows) - len(texts)
        notes = [f"{empty} of {len(rows)} texts were empty and left out"] if empty else []
        if not texts:
            raise DataError(f"column {self.text_column!r} holds no text")
        block_size = self._block_size(tokenizer, model)
        documents = _tokenize(texts, tokenizer)
        if train:
            return Prepared(_blocks(documents, _eos(tokenizer), block_size), notes)
        features = [
            {**window, "document": i}
            for i, ids in enumerate(documents)
            for window in windows(ids, _prefix(tokenizer), block_size, self.stride or block_size)
        ]
        return Prepared(features, notes, {"n_bytes": [len(t.encode()) for t in texts]})

    def collate(self, features: Sequence[Feature], pad_token_id: int) -> dict[str, Tensor]:
        import torch

        lengths = torch.tensor([len(f["input_ids"]) for f in features])
        batch = {"input_ids": pad_right([f["input_ids"] for f in features], pad_token_id)}
        # By length, never by token id: padding may look like EOS, and EOS must be learned.
        inside = torch.arange(batch["input_ids"].shape[1]) < lengths[:, None]
        batch["attention_mask"] = inside.long()
        if "labels" in features[0]:
            batch["labels"] = pad_right([f["labels"] for f in features], IGNORE)
        else:
            batch["labels"] = batch["input_ids"].masked_fill(~inside, IGNORE)
        return batch

    def reduce(self, logits: Tensor, labels: Tensor) -> list[tuple[float, ...]]:
        import torch

        reduced: list[tuple[float, ...]] = []
        for row_logits, row_labels in zip(logits[:, :-1], labels[:, 1:], strict=True):
            scored = row_labels != IGNORE
            nll = torch.nn.functional.cross_entropy(
                row_logits[scored].float(), row_labels[scored], reduction="none"
            )
            reduced.append((nll.double().sum().item(), float(scored.sum())))
        return reduced

    def scores(self, prepared: Prepared, reduced: Sequence[tuple[float, ...]]) -> Scores:
        n_bytes = prepared.facts["n_bytes"]
        nll = [0.0] * len(n_bytes)
        n_tokens = [0] * len(n_bytes)
        for feature, (row_nll, row_tokens) in zip(prepared.features, reduced, strict=True):
            nll[feature["document"]] += row_nll
            n_tokens[feature["document"]] += int(row_tokens)
        return Scores(
            loss=sum(nll) / sum(n_tokens),
            inputs={"nll": nll, "n_tokens": n_tokens, "n_bytes": n_bytes},
        )

    def _block_size(self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> int:
        context = context_length(tokenizer, model)
        if self.block_size is not None and self.block_size > context:
            raise RecipeError(
                f"task.block_size is {self.block_size}, but the model takes {context} tokens",
                hint=f"set task.block_size to {context} or less",
            )
        return self.block_size or min(context, DEFAULT_BLOCK_SIZE)


def windows(ids: Sequence[int], prefix: int | None, size: int, stride: int) -> Iterator[Feature]:
    """Windows of at most `size` tokens over one document, each token scored exactly once.

    Args:
        ids: the tokens of the text, (n,).
        prefix: token set before the text and not scored; None: the first token is not scored.
        size: longest window in tokens.
        stride: tokens a window moves on; the later windows see `size - stride` tokens of context.

    Yields:
        input_ids and labels, where labels are IGNORE at positions another window scores.
    """
    stream = list(ids) if prefix is None else [prefix, *ids]
    done = 1  # the first token of the stream is never scored
    start = 0
    while done < len(stream):
        end = min(start + size, len(stream))
        inputs = stream[start:end]
        yield {"input_ids": inputs, "labels": [IGNORE] * (done - start) + stream[done:end]}
        done = end
        # The token before `done` must be inside, since its logits score the first new token.
        start = min(start + stride, done - 1)


def _blocks(documents: Sequence[Sequence[int]], eos: int, size: int) -> list[Feature]:
    import numpy as np

    stream = np.concatenate([np.asarray([*ids, eos], dtype=np.int64) for ids in documents])
    blocks = [stream[i : i + size] for i in range(0, len(stream), size)]
    if len(blocks) > 1 and len(blocks[-1]) < 2:
        blocks.pop()  # one token alone predicts nothing
    return [{"input_ids": block} for block in blocks]


def _tokenize(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    encoded = tokenizer(list(texts), add_special_tokens=False, verbose=False)
    ids: list[list[int]] = encoded["input_ids"]
    return ids


def _eos(tokenizer: PreTrainedTokenizerBase) -> int:
    if tokenizer.eos_token_id is None:
        raise ModelError(
            "the tokenizer has no EOS token, so documents cannot be told apart",
            hint="set eos_token in its tokenizer_config.json",
        )
    return int(tokenizer.eos_token_id)


def _prefix(tokenizer: PreTrainedTokenizerBase) -> int | None:
    bos: int | None = tokenizer.bos_token_id
    eos: int | None = tokenizer.eos_token_id
    return bos if bos is not None else eos
