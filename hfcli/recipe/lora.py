"""What `model.lora` may say: peft's LoraConfig names, those that make sense for a language model.

Left out on purpose: initialisations that change the base weights (pissa, olora, corda, loftq),
since their adapter no longer fits the base it names. Knows nothing about models; whether a layer
of that name exists is for `hfcli.models.lora` to say.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from hfcli.recipe.section import Section
from hfcli.tasks.prepared import MOST

ALL_LINEAR = "all-linear"  # peft's word for it


class LoraSection(Section):
    """A low-rank adapter (arXiv 2106.09685); names, meanings and defaults are peft's."""

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
    use_dora: bool = Field(False, description="Train magnitude and direction apart (DoRA).")
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
