"""What `hfcli.compat` does where another version lacks the private name: the same, or the safe."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
)

from hfcli.compat.accelerate import keep_losses_whole, replace_clipping
from hfcli.compat.hub import MODULES, switch_imported, watch_content
from hfcli.compat.sacrebleu import weighted_score
from hfcli.compat.transformers import attention_kind, is_stateful, write_checkpoint

TEXTS = ["the cat sat on the mat", "a dog ran", "birds fly high up"]
REFERENCES: list[list[str | None]] = [
    ["the cat sat on a mat", "one dog ran", "birds fly up"],
    ["a cat sat", None, None],
]


class Hidden:
    """A scorer of sacrebleu, of a version without the methods that give counts a row."""

    def __init__(self, scorer: Any) -> None:
        self.corpus_score = scorer.corpus_score


@pytest.mark.parametrize("scorer", [BLEU(force=True), CHRF()], ids=["bleu", "chrf"])
def test_weighted_scores_without_counts_are_those_with_counts(scorer: Any) -> None:
    weights = np.array([[1.0, 1, 1], [2, 0, 1], [0, 3, 1]])
    by_counts = weighted_score(scorer, TEXTS, REFERENCES)(weights)
    assert weighted_score(Hidden(scorer), TEXTS, REFERENCES)(weights) == pytest.approx(by_counts)
    assert by_counts[0] == pytest.approx(scorer.corpus_score(TEXTS, REFERENCES).score)


def models() -> dict[str, Any]:
    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "vocab_size": 20}
    heads: dict[str, Any] = {"num_attention_heads": 2, "intermediate_size": 8}
    return {
        "gpt2": GPT2LMHeadModel(GPT2Config(n_embd=8, n_head=2, n_layer=1, vocab_size=20)),
        "llama": LlamaForCausalLM(LlamaConfig(**sizes, **heads)),
        "mamba": MambaForCausalLM(MambaConfig(**sizes)),
    }


@pytest.mark.parametrize("name", ["gpt2", "llama", "mamba"])
def test_statefulness_is_known_without_the_mark(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = models()[name]
    marked = is_stateful(model)
    monkeypatch.setattr(type(model), "_is_stateful", None)
    assert is_stateful(model) == marked == (name == "mamba")


def test_a_model_with_layers_of_another_kind_is_stateful_without_the_mark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = models()["llama"]
    monkeypatch.setattr(type(model), "_is_stateful", None)
    monkeypatch.setattr(model.config, "layer_types", ["linear_attention"], raising=False)
    assert is_stateful(model)


def test_attention_that_a_version_does_not_tell_is_unknown() -> None:
    model = models()["llama"]
    model.set_attn_implementation("eager")
    assert attention_kind(model.config) == "eager"
    assert attention_kind(SimpleNamespace()) is None


def test_libraries_with_the_constant_are_switched_and_others_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, new = ModuleType(MODULES[0]), ModuleType(MODULES[1])
    old.HF_HUB_OFFLINE = False  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, MODULES[0], old)
    monkeypatch.setitem(sys.modules, MODULES[1], new)
    monkeypatch.delitem(sys.modules, MODULES[2], raising=False)
    switch_imported(offline=True)
    assert old.HF_HUB_OFFLINE is True
    assert not hasattr(new, "HF_HUB_OFFLINE")


def test_an_answer_without_a_stream_is_left_as_it_is() -> None:
    response = SimpleNamespace(stream=b"old")
    watch_content(response, b"watched")
    assert response.stream == b"watched"
    bare = SimpleNamespace()
    watch_content(bare, b"watched")
    assert vars(bare) == {}


def test_a_trainer_that_cannot_write_a_checkpoint_says_so() -> None:
    assert write_checkpoint(SimpleNamespace(model=None)) is False


def test_an_accelerator_without_the_names_is_left_as_it_is() -> None:
    bare = SimpleNamespace()
    keep_losses_whole(bare)
    replace_clipping(bare, lambda own: own)
    assert vars(bare) == {}
