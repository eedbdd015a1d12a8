"""The recipe of a prompt task: model, data, how texts are generated, and metrics.

It is made from the flags of `hfcli eval`, and validated as recipes are. Knows no weights.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from hfcli.recipe.schema import Dtype, check_encoding, known_metrics
from hfcli.recipe.sections import GenerationSettings, Section
from hfcli.tasks import AnyQuestion
from hfcli.tasks.prepared import MOST


class AskedModel(Section):
    """The model that gets the prompts."""

    name_or_path: str | None = Field(None, description="As `--model`; default: its default.")
    revision: str | None = Field(None, description="Branch, tag or commit of a Hub id.")
    dtype: Dtype = Field("float32", description="Type the weights are held in.")


class AskedData(Section):
    """The rows that become prompts."""

    test: tuple[str, ...] = Field(min_length=1, description="Files (globs allowed).")
    column_names: tuple[str, ...] | None = Field(
        None, description="Names for the columns of csv and tsv files that have no header line."
    )
    encoding: str = Field("utf-8", description="Encoding of text files.")
    on_bad_row: Literal["error", "skip"] = Field(
        "error",
        description="Rows that cannot be read or made a prompt: stop at the first, or skip them.",
    )
    max_samples: int | None = Field(
        None, ge=1, le=MOST, description="At most this many rows, chosen by the seed."
    )

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        return check_encoding(value)


class AskedScores(Section):
    """Metrics, and how rows are batched."""

    metrics: list[str] | None = Field(None, description="Default: those of the task.")
    batch_size: int | None = Field(
        None,
        ge=1,
        le=MOST,
        description="Rows at a time; default: what fits, or 16 of multiple choice.",
    )

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, value: list[str] | None) -> list[str] | None:
        return known_metrics(value)


class QuestionRecipe(Section):
    """One evaluation of a prompt task, from data to scores."""

    task: AnyQuestion
    model: AskedModel = Field(default_factory=AskedModel)
    data: AskedData
    generation: GenerationSettings = Field(default_factory=GenerationSettings)
    evaluation: AskedScores = Field(default_factory=AskedScores)
    seed: int = Field(42, ge=0, lt=2**32)
    device: str = "auto"

    @model_validator(mode="after")
    def _fits_the_task(self) -> QuestionRecipe:
        if not self.task.generates and "generation" in self.model_fields_set:
            raise ValueError(
                f"generation: {self.task.name} writes no text, and has no settings for it"
            )
        if self.generation.num_beams is not None:
            raise ValueError("generation.num_beams: beam search is not for files of prompts")
        return self

    def decoding(self) -> GenerationSettings:
        """Return the generation settings: greedy, unless a sampling setting is given."""
        asked = self.generation
        sampling = (asked.do_sample, asked.temperature, asked.top_k, asked.top_p, asked.min_p)
        if any(value is not None for value in sampling):
            return asked
        return asked.model_copy(update={"do_sample": False})
