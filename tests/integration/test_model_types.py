"""Every model type of the installed transformers, and its configuration's fields, are known."""

from __future__ import annotations

import dataclasses

from hfcli.recipe.upstream import config_fields
from tests.helpers import is_pinned

LEAST = 150  # types that transformers knows


def test_every_model_type_can_be_named_in_a_recipe() -> None:
    from transformers import CONFIG_MAPPING
    from transformers.models.auto import modeling_auto as auto

    # Of the tasks that hfcli has.
    types = {*auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
             *auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES}  # fmt: skip
    assert len(types) > LEAST
    unknown = {kind for kind in types if not config_fields(kind)}
    assert unknown <= (set() if is_pinned() else {"code_llama", "gpt-sw3"})
    assert not config_fields("nope")
    for kind in ("gpt2", "openai-gpt", "gemma3_text", "llama4_text", "data2vec-text", "camembert"):
        names = {field.name for field in dataclasses.fields(CONFIG_MAPPING[kind])}
        hidden = {name for name in names if name.startswith("_")}
        assert len(names - config_fields(kind) - hidden) == 0, kind
