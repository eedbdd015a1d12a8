"""Law: what would fail at the first step, or at saving, fails before: in `--dry-run` and in the run
alike, with the same error, and nothing is left behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hfcli.errors import HfcliError, RecipeError, RunError
from hfcli.recipe.load import load_recipe
from hfcli.results import Event
from hfcli.training.plan import plan
from hfcli.training.run import RunOptions, finetune
from tests.integration.test_training import write_recipe

TEXTS: dict[str, Any] = {"name": "text-generation", "packing": "no"}
Case = tuple[dict[str, Any], type[HfcliError], str]


def extra(**values: Any) -> dict[str, Any]:
    return {"training": {"extra": values}}


REFUSED: dict[str, Case] = {
    "scheduler without its arguments": (
        {"training": {"lr_scheduler_type": "cosine_with_min_lr"}}, RecipeError, "min_lr"),
    "scheduler with a foreign argument": (
        {"training": {"lr_scheduler_type": "polynomial", "extra":
                      {"lr_scheduler_kwargs": {"foo": 1}}}}, RecipeError, "foo"),
    "unknown scheduler": ({"training": {"lr_scheduler_type": "nope"}}, RecipeError, "nope"),
    "unknown optimizer": (extra(optim="nope"), RecipeError, "nope"),
    "optimizer that is not installed": (extra(optim="lomo"), RecipeError, "lomo"),
    "optimizer's arguments, no pairs": (extra(optim_args="nope"), RecipeError, "optim"),
    "tracker": (extra(report_to="nope"), RecipeError, "report_to"),
    "not a tracker": (extra(report_to=3), RecipeError, "report_to"),
    "parallelism": (extra(parallelism_config=3), RecipeError, "training"),
    "deepspeed": (extra(deepspeed="missing.json"), RecipeError, "training"),
    "fsdp": (extra(fsdp="full_shard"), RecipeError, "training"),
    "accelerator": (extra(accelerator_config={"nope": 1}), RecipeError, "training"),
    "lora on nothing": ({"model": {"lora": {"target_modules": ["nope"]}}}, RecipeError, "nope"),
    "lora saves nothing": ({"model": {"lora": {"modules_to_save": ["nope"]}}}, RecipeError, "nope"),
    "lora too large": ({"model": {"lora": {"r": 10**9}}}, RunError, "out of memory"),
    "a model too large": (
        {"model": {"name_or_path": None, "config": {"model_type": "gpt2", "n_embd": 2**24,
         "n_head": 2}, "tokenizer_vocab_size": 300}}, RunError, "out of memory"),
    "layers without end": (
        {"model": {"name_or_path": None, "config": {"model_type": "gpt2", "n_layer": 10**9},
         "tokenizer_vocab_size": 300}}, RecipeError, "n_layer"),
}  # fmt: skip


def recipe_of(folder: Path, weights: Path, changes: Mapping[str, Any]) -> Path:
    training = {"max_steps": 2, "eval_strategy": "no", "save_strategy": "no", "warmup_steps": 0,
                **changes.get("training", {})}  # fmt: skip
    path = write_recipe(
        folder, weights, task=changes.get("task", TEXTS), training=training,
        model=changes.get("model", {}), generation=changes.get("generation", {}),
    )  # fmt: skip
    return path


def start(how: str, path: Path) -> None:
    recipe = load_recipe(path)
    if how == "plan":
        plan(recipe=recipe, listener=nothing)
    else:
        finetune(recipe=recipe, listener=nothing, options=RunOptions())


def nothing(_event: Event) -> None:
    """Hears what is told."""


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_the_dry_run_and_the_run_end_with_the_same_error(
    case: Case, tiny_gpt2: Path, tmp_path: Path
) -> None:
    changes, kind, words = case
    path = recipe_of(tmp_path, tiny_gpt2, changes)
    told = []
    for go in ("plan", "run"):
        with pytest.raises(kind, match=words) as caught:
            start(go, path)
        assert type(caught.value) is kind
        assert "\n" not in caught.value.message
        told.append(caught.value.message)
    assert told[0] == told[1]
    assert not [p for p in (tmp_path / "run").glob("*") if p.name != ".hfcli.lock"]


# Own settings of a model, those of a recipe, and what is saved of them.
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "greedy on a model that samples": (
        {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "top_k": 40},
        {"do_sample": False},
        {"do_sample": False, "temperature": None, "top_p": None, "top_k": None},
    ),
    "temperature 0 on a model that samples": (
        {"do_sample": True, "top_p": 0.9}, {"temperature": 0},
        {"do_sample": False, "temperature": None, "top_p": None},
    ),
    "temperature on a model without do_sample": (
        {}, {"temperature": 0.5}, {"do_sample": True, "temperature": 0.5},
    ),
    "min_p on a model without do_sample": ({}, {"min_p": 0.1}, {"do_sample": True, "min_p": 0.1}),
    "a model's own contradiction": (
        {"do_sample": False, "temperature": 0.9, "top_p": 0.6}, {},
        {"do_sample": False, "temperature": 0.9, "top_p": 0.6},
    ),
    "beside a model's own contradiction": (
        {"do_sample": False, "temperature": 0.9}, {"max_new_tokens": 7},
        {"do_sample": False, "temperature": 0.9, "max_new_tokens": 7},
    ),
    "a model's own contradiction that the recipe ends": (
        {"do_sample": False, "temperature": 0.9}, {"do_sample": True},
        {"do_sample": True, "temperature": 0.9},
    ),
}  # fmt: skip


@pytest.mark.parametrize("lora", [False, True], ids=["whole", "lora"])
@pytest.mark.parametrize("case", SETTINGS.values(), ids=SETTINGS)
def test_generation_settings_are_saved_whatever_they_are(
    case: Any, lora: bool, tiny_gpt2: Path, tmp_path: Path
) -> None:
    own, given, saved = case
    weights = tmp_path / "model"
    shutil.copytree(tiny_gpt2, weights)
    (weights / "generation_config.json").write_text(json.dumps(own))
    changes = {
        "generation": given,
        "model": {"lora": {"r": 2}} if lora else {},
        "training": {"save_strategy": "steps", "save_steps": 1, "eval_strategy": "no"},
    }
    recipe = load_recipe(recipe_of(tmp_path, weights, changes))
    notes = [plan(recipe=recipe, listener=nothing).notes]
    notes.append(finetune(recipe=recipe, listener=nothing, options=RunOptions()).notes)
    for told in notes:
        contradict = saved["do_sample"] is False and saved["temperature"] is not None
        assert any("contradict each other" in note for note in told) is contradict
    found = json.loads((tmp_path / "run/generation_config.json").read_text())
    # False is the default, and defaults are not written.
    assert {name: found.get(name) or None for name in saved} == {
        name: value or None for name, value in saved.items()
    }


def test_an_adapter_that_peft_refuses_is_a_line(tiny_gpt2: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, MambaConfig, MambaForCausalLM

    weights = tmp_path / "mamba"
    AutoTokenizer.from_pretrained(tiny_gpt2).save_pretrained(weights)
    config = MambaConfig(vocab_size=300, hidden_size=16, num_hidden_layers=1, state_size=4)
    MambaForCausalLM(config).save_pretrained(weights)
    changes = {"model": {"lora": {"r": 2}}, "task": TEXTS}
    path = recipe_of(tmp_path, weights, changes)
    for how in ("plan", "run"):
        with pytest.raises(RecipeError, match=r"model.lora: peft refuses an adapter .*out_proj"):
            start(how, path)
    assert not (tmp_path / "run/run.json").exists()
