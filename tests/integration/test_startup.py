"""Deferred imports leave out what is not used, and what is used after all is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hfcli.fast.startup import with_all_kernels
from tests.helpers import ROOT, hfcli

CODE = """
import json, sys
from hfcli.fast import startup
if "deferred" in sys.argv: startup.allow()
done, _reason = startup.DeferredImports().prepare()
from transformers import AutoModelForCausalLM
import torch
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
with torch.inference_mode():
    logits = model(torch.arange(12)[None]).logits.double()
from types import ModuleType
names = ("scipy.optimize", "torch._dynamo.trace_rules", "torch._decomp")
left_out = [n for n in names if type(sys.modules.get(n)) is not ModuleType]
drawn = torch.rand(1, generator=torch.Generator().manual_seed(0)).item()
import accelerate, scipy.special, torch._dynamo
assert accelerate.Accelerator().device.type
compiled = torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item()
assert torch.cdist(*torch.ones(2, 3, 1, device="meta")).shape
half = float(scipy.special.expit(0))
print(json.dumps([done, logits.sum().item(), left_out, compiled, half, drawn]))
"""


def start(folder: Path, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(folder), *arguments],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_deferred_imports_compute_the_same_and_lack_nothing(tiny_gpt2: Path) -> None:
    done, logits, left_out, compiled, half, drawn = start(tiny_gpt2, "deferred")
    if not done:
        pytest.skip("not proved with these versions, or this machine has other devices")
    assert left_out == [
        "scipy.optimize", "torch._dynamo.trace_rules", "torch._decomp",
    ]  # fmt: skip
    assert (compiled, half) == (2.0, 0.5)
    whole = start(tiny_gpt2)
    assert whole == [False, logits, [], 2.0, 0.5, drawn]


def test_what_is_chosen_is_told_and_can_be_switched_off(tiny_gpt2: Path) -> None:
    flags: list[str | Path] = [
        "generate",
        "The harbour",
        "--model",
        tiny_gpt2,
        "--greedy",
        "--device",
        "cpu",
    ]
    flags += ["--max-new-tokens", "8"]
    deferred, plain = hfcli(*flags, "--verbose"), hfcli(*flags, "--without", "deferred-imports")
    assert deferred.returncode == plain.returncode == 0, deferred.stderr
    assert deferred.stdout == plain.stdout
    assert "float32: the model is small" in deferred.stderr
    assert "float32" not in plain.stderr


def test_a_model_whose_making_takes_what_was_left_out_is_made(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    """Llama 3's rotary embedding takes an operation that torch's library has no kernel for."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2)
    rope = {
        "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
    }  # fmt: skip
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=64, rope_parameters=rope,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    flags: list[str | Path] = ["generate", "The harbour", "--model", tmp_path, "--greedy"]
    deferred, plain = hfcli(*flags), hfcli(*flags, "--without", "deferred-imports")
    assert deferred.returncode == plain.returncode == 0, deferred.stderr
    assert deferred.stdout == plain.stdout


def test_what_is_not_made_at_all_is_an_error() -> None:
    def never() -> None:
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        with_all_kernels(never)
