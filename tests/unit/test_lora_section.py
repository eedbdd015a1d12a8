"""What `model.lora` may say, and what is said of what it may not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from hfcli.recipe import explain as explain_module
from hfcli.recipe.explain import explain
from hfcli.recipe.sections import LoraSection, OptionalLora


class ModelPart(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name_or_path: str = "bundled"
    lora: OptionalLora = None


class RecipePart(BaseModel):
    model_config = ConfigDict(extra="forbid")
    model: ModelPart


def lora(value: Any) -> LoraSection | None:
    return RecipePart.model_validate({"model": {"lora": value}}).model.lora


def problems(value: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(explain_module, "Recipe", RecipePart)
    with pytest.raises(ValidationError) as caught:
        lora(value)
    return explain(caught.value, "r.yaml", {("model", "lora"): "r.yaml:7"})


def test_an_empty_section_is_the_defaults_and_false_is_none() -> None:
    assert lora(None) == lora({}) == LoraSection.model_validate({})
    assert lora(False) is None
    assert RecipePart.model_validate({"model": {}}).model.lora is None


def test_all_linear_is_the_default_and_one_name_is_a_list() -> None:
    assert lora({"target_modules": "all-linear"}) == lora({})
    one = lora({"target_modules": "c_attn", "modules_to_save": "wte"})
    assert one == lora({"target_modules": ["c_attn"], "modules_to_save": ["wte"]})


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ({"lora_alfa": 3}, "r.yaml:7: model.lora.lora_alfa: unknown key, did you mean lora_alpha?"),
        (
            {"name_or_path": "x"},
            "model.lora.name_or_path: unknown key here, it belongs under model",
        ),
        ({"r": 0}, "model.lora.r: input should be greater than or equal to 1 (found 0)"),
        ({"init_lora_weights": "pissa"}, "model.lora.init_lora_weights: input should be True or"),
        ({"target_modules": []}, "model.lora.target_modules: list should have at least 1 item"),
        (3, "input should be a valid dictionary"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    value: Any, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (problem,) = problems(value, monkeypatch)
    assert line in problem


def test_a_key_of_lora_elsewhere_is_sent_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain_module, "Recipe", RecipePart)
    with pytest.raises(ValidationError) as caught:
        RecipePart.model_validate({"model": {"use_dora": True}})
    (problem,) = explain(caught.value, "r.yaml", {})
    assert problem.endswith("model.use_dora: unknown key here, it belongs under model.lora")
