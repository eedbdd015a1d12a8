"""How to decode: GenerationConfig's names, validated once for flags and recipes alike.

None means "as the model says": the model's own generation_config, and below it hfcli's defaults
in `hfcli.generation`. Knows nothing about models.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from hfcli.recipe.section import Section
from hfcli.tasks.prepared import MOST


class GenerationSettings(Section):
    """Settings of one generation; every name and meaning is GenerationConfig's."""

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
            raise ValueError(f"{', '.join(given)} have no effect without sampling (greedy)")
        if self.temperature == 0 and self.do_sample:
            raise ValueError("temperature 0 is greedy decoding, which do_sample rules out")
        return self
