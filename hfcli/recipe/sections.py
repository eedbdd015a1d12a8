"""Sections of a recipe that stand in more than one place: how to decode, and low-rank adapters.

All sections are frozen, and unknown keys are errors. Knows nothing about models.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from hfcli.tasks.prepared import MOST

ALL_LINEAR = "all-linear"  # peft's word for it


class Section(BaseModel):
    """A section of the recipe."""

    # Deferred: the recipe builds one validator for all sections, not one more for each.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, allow_inf_nan=False)


class GenerationSettings(Section):
    """Settings of one generation; every name and meaning is GenerationConfig's.

    None means "as the model says": the model's own generation_config, and below it hfcli's
    defaults in `hfcli.generation`.
    """

    max_new_tokens: int | None = Field(None, ge=1, le=MOST)
    do_sample: bool | None = None
    temperature: float | None = Field(None, ge=0)
    top_k: int | None = Field(None, ge=0, le=MOST)
    top_p: float | None = Field(None, ge=0, le=1)
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, gt=0)
    num_beams: int | None = Field(None, ge=1, le=MOST)

    @model_validator(mode="after")
    def _sampling_flags_need_sampling(self) -> GenerationSettings:
        given = [n for n in ("temperature", "top_k", "top_p", "min_p") if getattr(self, n)]
        if self.do_sample is False and given:
            raise ValueError(f"no effect without sampling (greedy): {', '.join(given)}")
        if self.temperature == 0 and self.do_sample:
            raise ValueError("temperature 0 is greedy decoding, which do_sample rules out")
        return self


class LoraSection(Section):
    """A low-rank adapter (arXiv 2106.09685); names, meanings and defaults are peft's.

    Initialisations that change the base weights (pissa, olora, corda, loftq) are left out: their
    adapter no longer fits the base model that it names.
    """

    r: int = Field(8, ge=1, le=MOST, description="Rank of the adapter.")
    lora_alpha: int = Field(
        8,
        ge=1,
        le=MOST,
        description="The adapter is scaled by lora_alpha / r, with use_rslora by its root.",
    )
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: list[str] | None = Field(
        None,
        min_length=1,
        description="Layers that get an adapter, such as `c_attn`; default, and `all-linear`: every"
        " linear layer but the head.",
    )
    modules_to_save: list[str] | None = Field(
        None,
        min_length=1,
        description="Modules trained whole and saved with the adapter; a classification head and"
        " weights that start at random always are.",
    )
    bias: Literal["none", "all", "lora_only"] = Field(
        "none", description="Which biases are trained too."
    )
    use_rslora: bool = Field(False, description="Scale by lora_alpha / sqrt(r).")
    use_dora: bool = Field(False, description="Train magnitude and direction separately (DoRA).")
    init_lora_weights: Literal[True, "gaussian"] = True

    @field_validator("target_modules", "modules_to_save", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("target_modules", mode="after")
    @classmethod
    def _all_linear(cls, value: list[str] | None) -> list[str] | None:
        return None if value == [ALL_LINEAR] else value


def _empty_or_off(value: Any) -> Any:
    if value is None:
        return {}
    return None if value is False else value


# In a recipe, `lora:` with nothing in it is LoRA with its defaults, and `lora: false` is none, so
# that an override can switch it off.
OptionalLora = Annotated[LoraSection | None, BeforeValidator(_empty_or_off)]
