"""A speed-up that is broken on purpose steps aside: results are those of the model, and told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.activations import NewGELUActivation
from transformers.models.gpt2.modeling_gpt2 import GPT2Attention

from hfcli.fast import bfloat16, linear, protocol, startup
from hfcli.fast.decoders import FusedDecoder, gpt2
from hfcli.fast.linear import PrepackedWeights
from hfcli.fast.prepared import PreparedModel
from hfcli.fast.protocol import Versions
from hfcli.fast.startup import DeferredImports
from hfcli.fast.training import FastAttention, FusedGelu, prepare_training
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.engines.transformers import TransformersEngine, open_engine
from hfcli.generation.loading import ModelChoice
from hfcli.generation.request import Request
from hfcli.generation.sampling import SamplingParams
from hfcli.models.load import LoadedModel
from hfcli.models.lora import add_lora
from hfcli.models.merge import _save
from hfcli.results import Choice
from hfcli.training.setup import RunSetup
from tests.helpers import ROOT, hfcli

IDS = torch.arange(1, 25).reshape(2, 12)
Break = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(autouse=True)
def nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer of a test before."""
    monkeypatch.setenv("HFCLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(protocol, "_tested", {})
    monkeypatch.setattr(linear, "SMALLEST", 0)


def opened(folder: Path, told: list[str], **choice: Any) -> TransformersEngine:
    def listen(event: object) -> None:
        if isinstance(event, Choice):
            told.append(event.text)

    found = ModelChoice(str(folder), device="cpu", dtype="float32", **choice)
    return open_engine(EngineOptions(choice=found, listener=listen, batch_size=3))


def texts(engine: TransformersEngine) -> dict[int, tuple[int, ...]]:
    requests = [Request(i, tuple(range(1, 5 + i)), i, SamplingParams(), 12) for i in range(5)]
    return {f.request.number: f.ids for f in engine.run(requests)}


def off(told: list[str], name: str) -> bool:
    """Whether exactly one line says that the speed-up is off."""
    return [line.startswith(f"{name}: off, ") for line in told if line.startswith(name)] == [True]


def larger_attention(patch: pytest.MonkeyPatch) -> None:
    """Attention that a version of transformers scales otherwise."""
    own: Any = GPT2Attention.forward

    def scaled(self: Any, *args: Any, **options: Any) -> Any:
        out, *rest = own(self, *args, **options)
        return (1.5 * out, *rest)

    patch.setattr(GPT2Attention, "forward", scaled)


def renamed_parts(patch: pytest.MonkeyPatch) -> None:
    """An attribute that the decoder reads, under another name."""

    def of(_cls: type, model: Any) -> None:
        model.transformer.blocks  # noqa: B018

    patch.setattr(gpt2.Decoder, "of", classmethod(of))


def another_arity(patch: pytest.MonkeyPatch) -> None:
    """An operation of torch that takes other arguments than the decoder gives."""
    own: Any = torch.layer_norm
    patch.setattr(gpt2.Decoder, "_norm", lambda _self, _module, x: own(x))


@pytest.mark.parametrize("broken", [larger_attention, renamed_parts, another_arity])
def test_a_decoder_that_differs_or_fails_is_not_used(
    broken: Break, tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    working = opened(tiny_gpt2, told)
    assert working.decoder is not None
    assert not off(told, FusedDecoder.name)
    protocol._tested.clear()
    monkeypatch.setenv("HFCLI_CACHE", str(tmp_path / "another"))
    broken(monkeypatch)
    told.clear()
    engine = opened(tiny_gpt2, told)
    assert engine.decoder is None
    assert off(told, FusedDecoder.name)
    plain = opened(tiny_gpt2, [], without=frozenset({FusedDecoder.name}))
    assert texts(engine) == texts(plain)


def fewer_arguments() -> Any:
    return lambda x, weight, bias: torch.nn.functional.linear(x, weight, bias)


def larger_products() -> Any:
    found: Any = torch.ops.mkldnn._linear_pointwise

    class Larger:
        def __call__(self, *args: Any) -> Any:
            return 1.001 * found(*args)

        binary = found.binary

    return Larger()


def no_such_operation() -> Any:
    return torch.ops.mkldnn._no_such_operation


@pytest.mark.parametrize("broken", [fewer_arguments, larger_products, no_such_operation])
def test_weights_are_packed_only_where_products_are_right(
    broken: Callable[[], Any], tiny_gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    expected = texts(opened(tiny_gpt2, told))
    assert any(line.startswith(PrepackedWeights.name) for line in told)
    assert not off(told, PrepackedWeights.name)
    protocol._tested.clear()
    monkeypatch.setattr(linear, "_product", broken)
    told.clear()
    engine = opened(tiny_gpt2, told)
    assert off(told, PrepackedWeights.name)
    assert not [m for m in engine.loaded.model.modules() if "packed" in vars(m)]
    assert texts(engine) == expected


def larger_gelu(patch: pytest.MonkeyPatch) -> None:
    own = NewGELUActivation.forward
    patch.setattr(NewGELUActivation, "forward", lambda self, x: 1.01 * own(self, x))


def scaled_attention(patch: pytest.MonkeyPatch) -> None:
    from transformers.integrations import sdpa_attention

    own = sdpa_attention.sdpa_attention_forward

    def scaled(*args: Any, **options: Any) -> Any:
        out, weights = own(*args, **options)
        return 1.01 * out, weights

    patch.setattr(sdpa_attention, "sdpa_attention_forward", scaled)


def no_such_mask(patch: pytest.MonkeyPatch) -> None:
    from hfcli.fast.training import attention

    patch.setattr(attention, "keep_mask", lambda like, rate: like.bool())


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        (larger_gelu, FusedGelu.name),
        (scaled_attention, FastAttention.name),
        (no_such_mask, FastAttention.name),
    ],
)
def test_a_part_of_training_that_differs_is_not_used(
    broken: Break, name: str, tiny_gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not off(prepare_training(tiny(tiny_gpt2)), name)
    protocol._tested.clear()
    broken(monkeypatch)
    model, own = tiny(tiny_gpt2), tiny(tiny_gpt2)
    state = torch.get_rng_state()
    told = prepare_training(model)
    assert torch.equal(torch.get_rng_state(), state), "a run's random numbers stay what they are"
    assert off(told, name)
    prepare_training(own, {name})
    assert [type(m).__name__ for m in model.modules()] == [type(m).__name__ for m in own.modules()]
    assert model.config._attn_implementation == own.config._attn_implementation


def test_a_part_that_changes_the_step_of_a_model_is_undone(
    tiny_gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own test may pass where the model does something else."""
    model = tiny(tiny_gpt2)
    kinds = [type(m) for m in model.modules()]

    class Wrong(NewGELUActivation):
        def forward(self, input: Any) -> Any:
            return 1.01 * super().forward(input) if self.training else super().forward(input)

    monkeypatch.setattr("hfcli.fast.training._one_gelu", lambda: Wrong)
    monkeypatch.setattr(FusedGelu, "self_test", lambda _self: 0.0)
    assert off(prepare_training(model), FusedGelu.name)
    assert [type(m) for m in model.modules()] == kinds
    assert not any(p.grad is not None for p in model.parameters())
    assert not model.training


def tiny(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder).eval()


def test_a_probe_that_fails_leaves_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bfloat16, "computes_bf16", lambda _device: True)

    def fails(_dtype: torch.dtype) -> float:
        raise AttributeError("_reorder_linear_weight")

    monkeypatch.setattr(bfloat16, "_seconds", fails)
    wins, why = bfloat16.bfloat16_wins(bfloat16.LARGE)
    assert not wins
    assert "_reorder_linear_weight" in why


@pytest.mark.parametrize("name", ["torch", "transformers"])
def test_an_unknown_version_starts_as_usual(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = Versions.installed()
    other = Versions(**{**vars(versions), name: "99.0.1"})
    monkeypatch.setattr(Versions, "installed", lambda: other)
    monkeypatch.setattr(startup, "_trial", lambda: pytest.fail("nothing is tried"))
    assert DeferredImports().refusal("cpu") == f"not proved with {name} 99.0"


def test_the_pinned_versions_are_proved() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    versions = Versions(pinned["torch"], pinned["transformers"])
    assert DeferredImports().supports(versions, "cpu") is None
    assert DeferredImports().supports(versions, "cuda") is not None


BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        held = type(sys.modules.get("torch._dynamo")).__name__
        if name == "transformers.masking_utils" and held == "_Placeholder":
            raise ImportError("a version that uses the compiler at its import")

sys.meta_path.insert(0, Blocker())
"""


def test_a_start_that_fails_in_a_child_is_made_as_usual(
    tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if DeferredImports().supports(Versions.installed(), "cpu") is not None:
        pytest.skip("deferred imports are not proved with these versions")
    flags: list[str | Path] = ["generate", "The harbour", "--model", tiny_gpt2, "--greedy"]
    flags += ["--device", "cpu", "--max-new-tokens", "8", "--verbose"]
    working = hfcli(*flags)
    (tmp_path / "sitecustomize.py").write_text(BLOCKER, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("HFCLI_CACHE", str(tmp_path / "another"))
    broken = hfcli(*flags)
    assert working.returncode == broken.returncode == 0, broken.stderr
    assert broken.stdout == working.stdout
    assert "deferred-imports: off" not in working.stderr
    assert "deferred-imports: off, its self-test fails" in broken.stderr


def test_a_trial_runs_once_and_not_without_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials: list[int] = []

    def trial() -> float:
        trials.append(1)
        return 0.0

    monkeypatch.setattr(startup, "_trial", trial)
    for _ in range(2):
        assert DeferredImports().self_test() == 0
    assert len(trials) == 1
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HFCLI_CACHE", str(tmp_path / "file"))
    with pytest.raises(RuntimeError, match="cache"):
        DeferredImports().self_test()
    assert len(trials) == 1


def test_a_prepared_model_cannot_be_trained_or_saved() -> None:
    """mypy refuses it; an ignored error that is none is an error of mypy's strict mode."""
    assert not issubclass(PreparedModel, LoadedModel)

    def refused(prepared: PreparedModel, loaded: LoadedModel, rest: Any) -> None:
        _save(loaded, rest)
        _save(prepared, rest)  # type: ignore[arg-type]
        add_lora(loaded=prepared, section=rest, task=rest)  # type: ignore[arg-type]
        RunSetup(rest, prepared, rest, rest, rest, rest)  # type: ignore[arg-type]
        PrepackedWeights().prepare(loaded)  # type: ignore[arg-type]

    assert callable(refused)
