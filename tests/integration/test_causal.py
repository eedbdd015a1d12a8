"""Law: a model whose tokens see what follows is never used as a causal language model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import StrictDataclassError

from hfcli.device import Placement
from hfcli.errors import ModelError
from hfcli.models.causal import check_causal
from hfcli.models.load import load_model
from hfcli.models.resolve import ModelSource
from hfcli.tasks.text_generation import TextGeneration

BOTH = 10  # at least: types that are masked and causal language models in transformers


def test_every_encoder_is_refused_and_every_decoder_is_not() -> None:
    from transformers import CONFIG_MAPPING
    from transformers.models.auto import modeling_auto

    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    masked = modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    refused = {kind for kind in causal if _refused(CONFIG_MAPPING[kind])}
    # Some versions of transformers cannot make some configurations without values.
    made = {kind for kind in causal if _made(CONFIG_MAPPING[kind]) is not None}
    both = {kind for kind in made if kind in masked}
    assert len(both) > BOTH
    assert both <= refused
    assert not refused & {"gpt2", "llama", "qwen2", "mistral", "gpt_neox", "mamba", "opt", "bloom"}
    # What is refused beyond them is not a decoder by itself.
    for kind in refused - both:
        config = CONFIG_MAPPING[kind]()
        assert config.is_encoder_decoder or config.is_decoder is False, kind
    assert not [kind for kind in both if _refused(CONFIG_MAPPING[kind], is_decoder=True)
                and kind not in {"bart", "mbart", "mvp", "xlm"}]  # fmt: skip


def _made(config_class: Any, **values: Any) -> Any:
    try:
        return config_class(**values)
    except (TypeError, ValueError, StrictDataclassError):  # needs further values
        return None


def _refused(config_class: Any, **values: Any) -> bool:
    config = _made(config_class, **values)
    if config is None:
        return False
    try:
        check_causal(config, "model")
    except ModelError:
        return True
    return False


@pytest.mark.parametrize("kind", ["bert", "t5", "distilbert"])
def test_such_models_are_refused_in_a_line(kind: str, tiny_bert: Path, tmp_path: Path) -> None:
    import torch
    import transformers

    upstream: Any = transformers

    folder = tiny_bert
    if kind != "bert":
        folder = tmp_path
        upstream.AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(folder)
        small: dict[str, Any] = {
            "vocab_size": 60,
            "num_layers": 1,
            "num_heads": 2,
            "dim": 8,
            "d_model": 8,
        }
        made: dict[str, Any] = {
            "t5": lambda: upstream.T5Model(upstream.T5Config(**small, d_ff=8, d_kv=4)),
            "distilbert": lambda: upstream.DistilBertModel(
                upstream.DistilBertConfig(vocab_size=60, n_layers=1, n_heads=2, dim=8, hidden_dim=8)
            ),
        }
        made[kind]().save_pretrained(folder)
    with pytest.raises(ModelError) as caught:
        load_model(
            source=ModelSource(str(folder), folder), task=TextGeneration(),
            dtype=torch.float32, placement=Placement(torch.device("cpu")),
        )  # fmt: skip
    message = caught.value.message
    assert kind in message
    assert "Unrecognized configuration class" not in message
    assert "\n" not in message
