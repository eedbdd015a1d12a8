"""A model with an adapter works in every command, with and without deferred imports.

The commands run in children forked from one process with deferred imports, and from one that
imported all of transformers. Their texts and predictions are equal.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from hfcli.errors import ModelError
from hfcli.fast import startup
from hfcli.generation.loading import FoundModel, ModelChoice
from hfcli.models.adapter import merge, quiet_peft
from hfcli.models.resolve import resolve_model
from tests.helpers import ROOT
from tests.integration.test_lora import with_tokenizer

# bitsandbytes is an extra. Where it is, its import brings parts of torch that others then find.
DRIVER = """
import json, sys
from importlib.machinery import PathFinder
from pathlib import Path
class WithoutExtras(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        wanted = name.partition(".")[0] != "bitsandbytes"
        return PathFinder.find_spec(name, path, target) if wanted else None
sys.meta_path[:] = [WithoutExtras if f is PathFinder else f for f in sys.meta_path]
from tests.fuzz import forked
from hfcli.fast import startup
if sys.argv[1] == "deferred":
    startup.allow()
    if not startup.DeferredImports().prepare()[0]:
        sys.exit(print("null"))
import torch
import peft, hfcli.cli.app, hfcli.evaluation.forward, hfcli.generation.run, hfcli.generation.bulk
torch.set_num_threads(1)
told = {}
for name, (arguments, stdin) in json.load(sys.stdin).items():
    done = forked.run(
        arguments, cwd=Path(sys.argv[2]), stdin=stdin.encode(), cpu_seconds=60, wall_seconds=240
    )
    told[name] = [done.code, done.stdout.decode(), done.stderr.decode()]
print(json.dumps(told))
"""
WIDTHS = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
CAUSAL: dict[str, dict[str, Any]] = {
    "Llama": {**WIDTHS, "intermediate_size": 48},
    "GPTNeoX": {**WIDTHS, "intermediate_size": 48},
}
KINDS = ("LoraConfig", "IA3Config", "LoHaConfig")  # of peft's adapters that merge into weights
FLAGS = ("--device", "cpu", "--greedy", "--max-new-tokens", "6")


@pytest.fixture(scope="module")
def bases(tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random causal models whose layers are `nn.Linear`."""
    import transformers

    folders = {}
    for name, sizes in CAUSAL.items():
        folder = with_tokenizer(tiny_gpt2, tmp_path_factory.mktemp(name))
        torch.manual_seed(0)
        config = getattr(transformers, f"{name}Config")(
            vocab_size=300, max_position_embeddings=64, bos_token_id=0, eos_token_id=0,
            pad_token_id=0, **sizes,
        )  # fmt: skip
        model = getattr(transformers, f"{name}ForCausalLM")(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)  # no near ties
        model.save_pretrained(folder)
        folders[name] = folder
    return folders


@pytest.fixture(scope="module")
def classifier(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random DistilBERT with two labels."""
    from transformers import (
        BertConfig,
        DistilBertConfig,
        DistilBertForSequenceClassification,
    )

    folder = with_tokenizer(tiny_bert, tmp_path_factory.mktemp("distilbert"))
    torch.manual_seed(0)
    config = DistilBertConfig(
        vocab_size=BertConfig.from_pretrained(tiny_bert).vocab_size, dim=32, n_layers=2, n_heads=2,
        hidden_dim=48, max_position_embeddings=64, id2label={0: "calm", 1: "storm"},
        label2id={"calm": 0, "storm": 1},
    )  # fmt: skip
    DistilBertForSequenceClassification(config).save_pretrained(folder)
    return folder


def adapter(base: Path, folder: Path, kind: str, auto: str = "AutoModelForCausalLM") -> Path:
    """Save an adapter of peft's, as peft does, that changes what the model says."""
    import peft
    import transformers

    model = getattr(transformers, auto).from_pretrained(base)
    layers = [
        name for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and "head" not in name and "embed" not in name
        and "classifier" not in name
    ]  # fmt: skip
    assert layers
    more: dict[str, Any] = {"feedforward_modules": []} if kind == "IA3Config" else {"r": 2}
    task = "SEQ_CLS" if "Classification" in auto else "CAUSAL_LM"
    with quiet_peft():
        config = getattr(peft, kind)(target_modules=layers, task_type=task, **more)
        adapted: Any = peft.get_peft_model(model, config)
    for name, parameter in adapted.named_parameters():
        if parameter.requires_grad and "modules_to_save" not in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(folder, save_embedding_layers=False)
    return folder


def run_all(commands: Mapping[str, Sequence[Any]], how: str, cwd: Path) -> Any:
    cwd.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, how, str(cwd)], input=json.dumps(commands),
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_command_takes_every_adapter_with_and_without_deferred_imports(
    bases: dict[str, Path], classifier: Path, tmp_path: Path
) -> None:
    commands: dict[str, tuple[list[str], str]] = {}
    for name, base in bases.items():
        own = str(adapter(base, tmp_path / name, "LoraConfig"))
        commands[f"{name}, generate"] = (["generate", "The harbour", "-m", own, *FLAGS], "")
    llama = bases["Llama"]
    own = str(tmp_path / "Llama")
    for kind in KINDS[1:]:
        other = str(adapter(llama, tmp_path / kind, kind))
        commands[f"{kind}, generate"] = (["generate", "The harbour", "-m", other, *FLAGS], "")
    plain = ["generate", "The harbour", "-m", str(llama), *FLAGS]
    commands["without"] = (plain, "")
    commands["--adapter"] = ([*plain, "--adapter", own], "")
    rows = ["generate", "-i", "-", "--input-format", "txt", "-o", "out.jsonl", "-m", own, *FLAGS]
    commands["file"] = (rows, "The harbour\nThe lamp\n")
    commands["draft"] = ([*plain, "--draft-model", own], "")
    commands["beams"] = ([*plain[:4], "--num-beams", "2", *FLAGS, "--adapter", own], "")
    commands["chat"] = (["chat", "--no-chat-template", "-m", own, *FLAGS], "The harbour\n")
    (tmp_path / "d.jsonl").write_text('{"text": "The lamp was lit."}\n{"text": "Bread."}\n')
    data = ["--data", str(tmp_path / "d.jsonl"), "--device", "cpu"]
    commands["eval"] = (["eval", "--model", own, "-o", "e", *data], "")
    head = str(adapter(classifier, tmp_path / "cls", "LoraConfig",
                       "AutoModelForSequenceClassification"))  # fmt: skip
    (tmp_path / "c.csv").write_text("text,label\nthe lamp,calm\nthe wind,storm\n")
    commands["classifier"] = (
        ["eval", "--model", head, "-o", "c", "--data", str(tmp_path / "c.csv"), "--device", "cpu"],
        "",
    )
    results = {how: run_all(commands, how, tmp_path / how) for how in ("deferred", "whole")}
    if results["deferred"] is None:
        pytest.skip("this machine has other devices, or torch without distributed")
    for how, told in results.items():
        bad = {name: err[-300:] for name, (code, _, err) in told.items() if code}
        assert not bad, how
    files = ["out.jsonl", "e/predictions.jsonl", "c/predictions.jsonl"]
    deferred, whole = (
        {name: out for name, (_, out, _) in results[how].items() if "eval" not in commands[name][0]}
        | {name: (tmp_path / how / name).read_text() for name in files}
        for how in ("deferred", "whole")
    )
    assert deferred == whole
    assert (
        deferred["--adapter"]
        == deferred["Llama, generate"]
        != deferred["without"]
        == deferred["draft"]
    )


@pytest.mark.parametrize("how", ["folder", "flag"])
def test_no_deferred_imports_where_another_library_loads_the_model(
    how: str, bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    def started_with(_self: object) -> tuple[bool, None]:
        started.append(1)
        return True, None

    monkeypatch.setattr(startup.DeferredImports, "prepare", started_with)
    base = resolve_model(str(bases["Llama"]))
    own = resolve_model(str(adapter(bases["Llama"], tmp_path / "own", "LoraConfig")))
    found = {"folder": (own, None), "flag": (base, own)}[how]
    FoundModel(ModelChoice(device="cpu"), *found).defer_imports(print)
    assert not started
    FoundModel(ModelChoice(device="cpu"), base, None).defer_imports(print)
    assert started


def test_an_adapter_that_cannot_be_merged_is_refused(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    """Prompt tuning and its like add tokens, not weights."""
    import peft
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(bases["Llama"])
    kinds = {
        "PROMPT_TUNING": peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
        "PREFIX_TUNING": peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
        "P_TUNING": peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    }
    for name, config in kinds.items():
        with quiet_peft():
            peft.get_peft_model(model, config).save_pretrained(str(tmp_path / name))
        model = AutoModelForCausalLM.from_pretrained(bases["Llama"])
        with pytest.raises(ModelError, match=f"{name}.* cannot be merged"):
            merge(model, [resolve_model(str(tmp_path / name))])
