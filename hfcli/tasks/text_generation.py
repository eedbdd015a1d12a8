"""text-generation: causal language modelling of documents.

Training reads documents of at most a block, each after BOS (or EOS where there is no BOS) and
closed by EOS, several to a row where they fit. Scoring reads each document by itself in windows
(`hfcli.tasks.windows`); the closing EOS is not scored, so that the bytes are those of the text.
Knows nothing about files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from hfcli.errors import DataError, RecipeError
from hfcli.origins import as_typed
from hfcli.tasks import document_scores
from hfcli.tasks.base import (
    IGNORE,
    Feature,
    Features,
    Overflow,
    Prepared,
    Reduced,
    Scores,
    Task,
    Tools,
    context_length,
    origin_of,
    pad_right,
)
from hfcli.tasks.batches import batches
from hfcli.tasks.document_scores import cut
from hfcli.tasks.documents import Chat, Completion, Document, PlainText, Shape, prefix
from hfcli.tasks.logits import token_losses
from hfcli.tasks.packing import Packed, best_fit, check_packing, pieces, wrapped
from hfcli.tasks.prepared import MOST
from hfcli.tasks.windows import DEFINITIONS
from hfcli.user_text import read_text

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

DEFAULT_BLOCK_SIZE = 1024  # run_clm's default


class TextGeneration(Task):
    """Causal language modelling."""

    name: Literal["text-generation"] = "text-generation"
    text_column: str = Field("text", description="Column with the text.")
    prompt_column: str | None = Field(
        None, description="Column with prompts; only what stands in completion_column is learned."
    )
    completion_column: str | None = Field(None, description="Column with what follows the prompt.")
    messages_column: str | None = Field(
        None, description="Column with chat messages; the assistant's turns are learned."
    )
    tools_column: str | None = Field(
        None,
        description="Column with the tools (JSON schemas of functions) a conversation may use.",
    )
    chat_template: str | None = Field(
        None, description="File with a chat template (Jinja); default: the model's own."
    )
    packing: Literal["bfd", "wrapped", "no"] = Field(
        "bfd",
        description="Several documents in a training row: `bfd`, best-fit decreasing, none sees"
        " another; `wrapped`, one stream cut into blocks, as GPT-2 was trained; `no`, padding.",
    )
    block_size: int | None = Field(
        None, ge=2, le=MOST, description="Tokens in a training row; default: the model's context."
    )
    context: int | None = Field(
        None, ge=1, le=MOST, description="Tokens in a scoring window; default: the block size."
    )
    stride: int | None = Field(
        None, ge=1, le=MOST, description="Tokens a scoring window moves on; default: the context."
    )
    windows: Literal["full", "hf-docs", "lm-eval", "llama.cpp"] = Field(
        "full",
        description="What is scored: `full`, every token once; or another tool's definition.",
    )
    head_suffixes: ClassVar[tuple[str, ...]] = ("ForCausalLM", "LMHeadModel")
    overflows: ClassVar[tuple[Overflow, ...]] = ("split", "truncate", "drop", "error")
    generates: ClassVar[bool] = True
    tokens_at_once: ClassVar[int | None] = 4096  # each has a row of logits over the vocabulary

    try_next: ClassVar[tuple[str, ...]] = (
        'hfcli generate --model {folder} "your prompt"',
        "hfcli eval {folder}",
    )

    @model_validator(mode="after")
    def _one_shape(self) -> TextGeneration:
        if (self.prompt_column is None) != (self.completion_column is None):
            raise ValueError("prompt_column and completion_column go together")
        if self.messages_column is not None and self.prompt_column is not None:
            raise ValueError("give either messages_column, or prompt_column and completion_column")
        if self.chat_template is not None and self.messages_column is None:
            raise ValueError("chat_template goes with messages_column")
        if self.tools_column is not None and self.messages_column is None:
            raise ValueError("tools_column goes with messages_column")
        if self.packing == "wrapped" and (self.messages_column or self.prompt_column):
            raise ValueError("packing: wrapped is for plain text; prompts would be cut off")
        return self

    def shape(self) -> Shape:
        """How a row becomes a document."""
        if self.messages_column is not None:
            return Chat(self.messages_column, self.tools_column)
        if self.prompt_column is not None and self.completion_column is not None:
            return Completion(self.prompt_column, self.completion_column)
        return PlainText(self.text_column)

    def fit_tokenizer(self, tokenizer: PreTrainedTokenizerBase) -> None:
        super().fit_tokenizer(tokenizer)
        if self.chat_template is not None:
            tokenizer.chat_template = _read_template(Path(self.chat_template))

    def can_be_cut(self) -> bool:
        return self.messages_column is None and self.prompt_column is None

    def columns(self) -> tuple[str, ...]:
        return self.shape().columns()

    def more_columns(self) -> tuple[str, ...]:
        return self.shape().more_columns()

    @property
    def changes_rows(self) -> bool:
        return self.shape().changes_rows

    def stored(self, row: dict[str, Any]) -> dict[str, Any]:
        return self.shape().stored(row)

    def check_row(self, row: dict[str, Any]) -> str | None:
        return self.shape().check(row)

    def texts(self, rows: Dataset) -> Iterator[str]:
        for _start, batch in batches(rows):
            yield from self.shape().text(batch)

    def auto_class(self) -> Any:
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM

    def metrics(self) -> tuple[str, ...]:
        return ("perplexity", "bits_per_byte")

    def eval_metrics(self) -> tuple[str, ...]:
        return (*self.metrics(), "word_perplexity")

    def encode(self, rows: Dataset, tools: Tools, *, train: bool) -> Iterator[Feature]:
        size = self._block_size(tools)
        documents = self._documents(rows, tools)
        if not train:
            yield from self._windows(documents, tools)
        elif self.packing == "wrapped":
            yield from wrapped(documents, tools, size)
        else:
            overflow = tools.on_overflow or self.shape().overflow
            for origin, document in documents:
                yield from pieces(document, origin, tools, size, overflow)

    def arrange(
        self, features: Features, lengths: Sequence[int], tools: Tools
    ) -> tuple[Features, Sequence[int]]:
        if self.packing != "bfd":
            return features, lengths
        rows = best_fit(lengths, self._block_size(tools))
        if any(len(row) > 1 for row in rows):
            check_packing(tools.model)
        return Packed(features, rows), [sum(lengths[i] for i in row) for row in rows]

    def show(self, feature: Feature, tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, bool]]:
        parts: list[tuple[list[int], bool]] = []
        for token, label in zip(feature["input_ids"], feature["labels"], strict=True):
            learned = int(label) != IGNORE
            if not parts or parts[-1][1] != learned:
                parts.append(([], learned))
            parts[-1][0].append(int(token))
        return [(str(tokenizer.decode(ids)), learned) for ids, learned in parts]

    def collate(self, features: Sequence[Feature], pad_token_id: int) -> dict[str, Tensor]:
        import torch

        lengths = torch.tensor([len(f["input_ids"]) for f in features])
        batch = {
            "input_ids": pad_right([f["input_ids"] for f in features], pad_token_id),
            "labels": pad_right([f["labels"] for f in features], IGNORE),
        }
        columns = torch.arange(batch["input_ids"].shape[1])
        inside = columns < lengths[:, None]
        if "position_ids" in features[0]:
            # Padding is one more document: without a mask, it must not go on with the last one.
            own = pad_right([f["position_ids"] for f in features], 0)
            batch["position_ids"] = torch.where(inside, own, columns - lengths[:, None])
        else:
            # By length, never by token id: padding may look like EOS, and EOS must be learned.
            batch["attention_mask"] = inside.long()
        return batch

    def reduce(self, logits: Tensor, labels: Tensor) -> Reduced:
        reduced: Reduced = []
        for row_logits, row_labels in zip(logits, labels, strict=True):
            nll = token_losses(row_logits, row_labels)
            reduced.append((nll.double().sum().item(), float(len(nll))))
        return reduced

    def outcomes(self, prepared: Prepared, reduced: Reduced) -> Iterator[dict[str, Any]]:
        return document_scores.outcomes(prepared, reduced)

    def row_text(self, row: dict[str, Any]) -> str:
        return "".join(self.shape().text({name: [value] for name, value in row.items()}))

    def describe_scoring(self, tools: Tools) -> dict[str, Any]:
        definition = DEFINITIONS[self.windows]
        first = prefix(tools.tokenizer) if definition.prefixes(tools.tokenizer) else []
        return {
            "windows": self.windows,
            "context": self.context or self._block_size(tools),
            "stride": self.stride,
            "bos": tools.tokenizer.decode(first) if first else None,
        }

    def scores(self, prepared: Prepared, reduced: Sequence[tuple[float, ...]]) -> Scores:
        return document_scores.scores(prepared, reduced)

    def _documents(self, rows: Dataset, tools: Tools) -> Iterator[tuple[str, Document]]:
        for start, batch in batches(rows):
            for i, document in enumerate(self.shape().documents(batch, tools.tokenizer)):
                if isinstance(document, DataError):
                    _refuse(document, origin_of(batch, i, start + i), tools)
                    continue
                tools.counts.rows += 1
                if document is None:
                    tools.counts.empty += 1
                else:
                    tools.counts.longest = max(tools.counts.longest, len(document.ids))
                    yield origin_of(batch, i, start + i), document

    def _windows(
        self, documents: Iterator[tuple[str, Document]], tools: Tools
    ) -> Iterator[Feature]:
        context = self._within("context", self.context, tools) or self._block_size(tools)
        self.check_stride(context)
        definition = DEFINITIONS[self.windows](context, self.stride)
        number = 0
        for origin, document in documents:
            windows = list(cut(definition, document, tools.tokenizer))
            if not windows:
                tools.counts.unsupervised += 1
                continue
            for window in windows:
                tools.counts.tokens += len(window["input_ids"])
                tools.counts.supervised += sum(label != IGNORE for label in window["labels"])
                yield {**window, "document": number, "origin": origin}
            number += 1

    def _block_size(self, tools: Tools) -> int:
        own = self._within("block_size", self.block_size, tools)
        return own or min(context_length(tools.tokenizer, tools.model), DEFAULT_BLOCK_SIZE)

    def _within(self, key: str, value: int | None, tools: Tools) -> int | None:
        context = context_length(tools.tokenizer, tools.model)
        if value is not None and value > context:
            raise RecipeError(
                f"task.{key} is {value}, but the model takes {context} tokens",
                hint=f"set task.{key} to {context} or less",
            )
        return value

    def check_stride(self, context: int) -> None:
        """Refuse windows that move on by more than they hold: tokens would not be scored.

        Raises:
            RecipeError: they do.
        """
        if self.stride is not None and self.stride > context:
            raise RecipeError(
                f"{as_typed('task.stride')} is {self.stride}, but a window holds {context} tokens",
                hint=f"set {as_typed('task.stride')} to {context} or less",
            )


def _refuse(error: DataError, origin: str, tools: Tools) -> None:
    message = f"{origin}: {error.message}"
    if not tools.skip_bad_rows:
        raise DataError(message, hint=error.hint) from error
    tools.counts.skip(message)


def _read_template(file: Path) -> str:
    try:
        return read_text(file, DataError)
    except DataError as e:
        raise DataError(f"task.chat_template: {e.message}", hint=e.hint) from e
