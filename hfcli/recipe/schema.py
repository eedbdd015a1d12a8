"""What a recipe may say: one frozen pydantic model per section, unknown keys forbidden.

Keys are upstream names verbatim: TrainingArguments, GenerationConfig, load_dataset,
from_pretrained. The schema knows no file, no line and no weights; `hfcli.recipe.load` adds the
first two, and the rooms that do the work the third.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from hfcli.errors import did_you_mean
from hfcli.metrics import is_metric, metric_names, scalar_metrics
from hfcli.recipe.sections import GenerationSettings, OptionalLora, Section
from hfcli.recipe.training import TrainingSection
from hfcli.recipe.upstream import config_fields
from hfcli.tasks import AnyTask
from hfcli.tasks.prepared import MOST, Overflow

BUNDLED = "bundled"  # the name of the model that ships in the package
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class ModelSection(Section):
    """Which weights to start from, or which architecture to build from scratch."""

    name_or_path: str | None = Field(
        None, description="Hub id, local folder, GGUF file, adapter folder, or `bundled`."
    )
    revision: str | None = Field(None, description="Branch, tag or commit of a Hub id.")
    dtype: Dtype = Field("float32", description="Type the weights are held in while training.")
    config: dict[str, Any] | None = Field(
        None, description="Build from scratch: `model_type` and fields of its configuration."
    )
    tokenizer_vocab_size: int | None = Field(
        None,
        ge=258,
        le=MOST,
        description="From scratch: train a byte-level BPE of this size on the training texts.",
    )
    tokenizer: str | None = Field(
        None, description="From scratch: take the tokenizer of this model instead."
    )
    freeze_layers: int = Field(
        0,
        ge=0,
        le=MOST,
        description="Keep the embeddings and this many of the first layers as they are.",
    )
    lora: OptionalLora = Field(None, description="Train a low-rank adapter instead of the weights.")

    @field_validator("config")
    @classmethod
    def _known_config(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is None:
            return None
        known = config_fields(str(value.get("model_type")))
        if not known:
            raise ValueError("config.model_type must name a transformers model type, such as gpt2")
        unknown = sorted(set(value) - known - {"model_type"})
        if unknown:
            raise ValueError(f"unknown {value['model_type']} configuration key(s) {unknown}")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> ModelSection:
        if (self.name_or_path is None) == (self.config is None):
            raise ValueError("give either name_or_path, or config to build from scratch")
        sources = [self.tokenizer, self.tokenizer_vocab_size]
        if self.config is not None and sources.count(None) != 1:
            raise ValueError("from scratch, give one of tokenizer_vocab_size and tokenizer")
        if self.config is None and any(sources):
            raise ValueError("tokenizer and tokenizer_vocab_size go with config (from scratch)")
        if self.config is not None and (self.lora is not None or self.freeze_layers):
            raise ValueError("lora and freeze_layers need trained weights, config starts without")
        return self


class DataSection(Section):
    """Where the examples come from: files beside the recipe, or a data set of the Hub."""

    path: str | None = Field(None, description="Hub data set id; then the splits are its splits.")
    name: str | None = Field(None, description="Configuration of the Hub data set.")
    revision: str | None = Field(None, description="Branch, tag or commit of the Hub data set.")
    train: list[str] = Field(
        default_factory=list, description="Training files (globs allowed), or a split name."
    )
    validation: list[str] = Field(
        default_factory=list, description="Validation files, or a split name."
    )
    test: list[str] = Field(default_factory=list, description="Test files, or a split name.")
    validation_size: float = Field(
        0.1, gt=0, lt=1, description="Share of the training data held out when none is given."
    )
    validation_from: Literal["random", "end"] = Field(
        "random",
        description="`random`: a seeded choice of rows, stratified by label; "
        "`end`: the last part of every text.",
    )
    column_names: list[str] | None = Field(
        None, description="Names for the columns of csv and tsv files that have no header line."
    )
    sample_by: Literal["document", "paragraph", "line"] = Field(
        "document", description="Unit that is one text, in txt files."
    )
    encoding: str = Field(
        "utf-8", description="Encoding of text files, such as latin-1, cp1252 or utf-16."
    )
    quoting: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether cells of tsv files stand in quotes, as in csv; `auto`: where the whole"
        " file shows that they do.",
    )
    on_bad_row: Literal["error", "skip"] = Field(
        "error",
        description="Rows that cannot be read, lack a text or label, or are refused by the chat"
        " template: stop at the first, or skip and list them.",
    )
    max_samples: int | None = Field(
        None, ge=1, le=MOST, description="At most this many rows of each split, chosen by the seed."
    )
    streaming: bool = Field(
        False, description="Read a Hub data set row by row, without fetching all of it first."
    )
    on_overflow: Overflow | None = Field(
        None,
        description="Rows too long for the model: `truncate`, `split` (language modelling),"
        " `drop`, or `error`; default: split plain text, cut everything else.",
    )
    max_dropped: float = Field(
        0.1, ge=0, le=1, description="Maximum share of the training rows that may be skipped."
    )
    cache: bool = Field(True, description="Keep encoded rows for the next run.")

    @field_validator("train", "validation", "test", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        return check_encoding(value)

    @model_validator(mode="after")
    def _something(self) -> DataSection:
        if not (self.train or self.validation or self.test):
            raise ValueError("give at least one of train, validation and test")
        if self.path is None and (self.name or self.revision):
            raise ValueError("name and revision go with path, the id of a Hub data set")
        if self.streaming and self.path is None:
            raise ValueError("streaming goes with path; files are read row by row anyway")
        return self


def check_encoding(name: str) -> str:
    """Return the name of a text encoding.

    Raises:
        ValueError: Python knows none of this name.
    """
    try:
        b"a".decode(name)
    except UnicodeDecodeError:
        return name  # UTF-16 and the like: a byte is not a character
    except (LookupError, ValueError) as e:
        known = "utf-8, latin-1, cp1252, utf-16, shift_jis"
        raise ValueError(f"unknown encoding {name[:60]!r}; known: {known} and others") from e
    return name


def known_metrics(value: list[str] | None) -> list[str] | None:
    """Return names of metrics, each shipped, a path, or a Hub id.

    Raises:
        ValueError: another name.
    """
    for name in value or []:
        if "/" not in name and not is_metric(name):
            near = did_you_mean(name, metric_names())
            tail = f", did you mean {near}?" if near else f"; known: {metric_names()}"
            raise ValueError(f"unknown metric {name!r}{tail}")
    return value


class EvaluationSection(Section):
    """How a model is scored."""

    metrics: list[str] | None = Field(
        None, description="Names of shipped metrics, or Hub ids (owner/name); default: the task's."
    )
    split: Literal["train", "validation", "test"] | None = Field(
        None, description="Default: test where there is one, else validation."
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        le=MOST,
        description="Most rows in a batch; default: 16, or what makes 2,048 tokens where a CPU"
        " computes GPT-2 or Llama in bfloat16.",
    )

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, value: list[str] | None) -> list[str] | None:
        return known_metrics(value)


class Recipe(Section):
    """One run, from data to result."""

    task: AnyTask
    model: ModelSection
    data: DataSection
    training: TrainingSection = Field(default_factory=TrainingSection)
    generation: GenerationSettings = Field(
        default_factory=GenerationSettings,
        description="Saved as the tuned model's generation_config.",
    )
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection)
    seed: int = Field(42, ge=0, lt=2**32)
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps, ...")
    output_dir: Path | None = None

    @model_validator(mode="after")
    def _fits_the_task(self) -> Recipe:
        overflow, task = self.data.on_overflow, self.task
        if overflow is not None and overflow not in task.overflows:
            raise ValueError(
                f"data.on_overflow: {overflow} does not go with {task.name}; known:"
                f" {', '.join(task.overflows)}"
            )
        if self.data.validation_from == "end" and not task.can_be_cut():
            raise ValueError(
                "data.validation_from: end cuts texts, and goes with plain text only"
                " (text-generation with text_column)"
            )
        wanted = self.training.metric_for_best_model
        if wanted is not None:
            known = ("loss", *scalar_metrics(task.metrics()))
            name = wanted.removeprefix("eval_")
            if name not in known:
                near = did_you_mean(name, known)
                tail = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
                raise ValueError(
                    f"training.metric_for_best_model: {wanted!r} is not measured in training,"
                    f" {tail}"
                )
        if self.training.label_smoothing_factor and not task.smooths_labels():
            raise ValueError("training.label_smoothing_factor goes with one label a row")
        if self.training.sample_prompts and not task.generates:
            raise ValueError(f"training.sample_prompts does not go with {task.name}")
        return self
