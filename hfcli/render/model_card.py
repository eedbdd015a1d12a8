"""A finished run -> README.md as the Hub reads it: metadata, what is known, and what is not.

Says only what the run knows. Knows nothing about the Hub's network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hfcli
from hfcli.render.report.blocks import Block, Code, Notes, Page, Prose, Section
from hfcli.render.report.markdown import markdown
from hfcli.render.report.text import visible

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

ADAPTER_FILE = "adapter_config.json"
PLACE = "path/to/this/model"
UNKNOWN = (
    "Who should use the model and for what: hfcli knows how it was trained, not why.",
    "Its licence. Those of the base model and of the data apply, and were not looked at.",
    "The languages it works in, and what views and errors it has taken over from its data.",
    "How it does on other data. The scores above are on the validation split, which may have"
    " decided when training stopped or which checkpoint was kept.",
)


def model_card(
    *, folder: Path, result: Mapping[str, Any], recipe_text: str, known: Sequence[Section]
) -> str:
    """The text of README.md.

    Args:
        folder: of the run, which holds the model.
        result: `FinetuneResult.to_dict()`.
        recipe_text: the resolved recipe as YAML.
        known: sections with scores, charts and data; the PNG of every chart is in `folder`.
    """
    from huggingface_hub import ModelCard

    sections = [
        Section("Use", _use(result)),
        *known,
        Section("Recipe", [Code("The resolved recipe", recipe_text, "yaml")]),
        Section("Not known", [Notes(UNKNOWN)]),
    ]
    page = Page(folder.resolve().name, _facts(result), sections)
    data = _metadata(folder, result, _data_section(recipe_text))
    body = markdown(page, pictures=True)
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}"))


def short_name(result: Mapping[str, Any]) -> str:
    """A Hub id as it is; of a folder of this machine only its own name."""
    model = str(result.get("model") or "a model")
    return visible(model if result.get("revision") else Path(model).name)


def _use(result: Mapping[str, Any]) -> list[Block]:
    commands = [command.format(folder=PLACE) for command in result.get("try_next") or []]
    python = (
        f"from transformers import pipeline\n\n"
        f'model = pipeline("{result.get("task")}", model="{PLACE}")\n'
        f'print(model("Your text here."))'
    )
    blocks: list[Block] = [Prose(f"With {PLACE} for this folder, or its name on the Hub:")]
    if commands:
        blocks.append(Code("With hfcli", "\n".join(commands), "sh"))
    return [*blocks, Code("With transformers", python, "python")]


def _facts(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    start = short_name(result)
    if result.get("revision"):
        start += f" at {result['revision']}"
    facts = [("task", str(result.get("task"))), ("started from", start)]
    if result.get("steps") is not None and result.get("epochs") is not None:
        facts.append(("trained for", f"{result['steps']:,} steps, {result['epochs']:.3g} epochs"))
    if result.get("train_rows") is not None:
        facts.append(("training rows", f"{result['train_rows']:,}"))
    facts.append(("trained with", f"hfcli {hfcli.__version__}"))
    return facts


def _metadata(folder: Path, result: Mapping[str, Any], data: Mapping[str, Any]) -> ModelCardData:
    from huggingface_hub import ModelCardData

    scores = {
        name: value
        for name, value in (result.get("metrics") or {}).items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
    return ModelCardData(
        library_name="peft" if (folder / ADAPTER_FILE).is_file() else "transformers",
        # Only a model with a revision is one of the Hub; a folder of this machine tells no one.
        base_model=str(result["model"]) if result.get("revision") else None,
        pipeline_tag=result.get("task"),
        tags=["hfcli"],
        datasets=[data["path"]] if data.get("path") else None,
        metrics=[name for name in scores if name != "loss"] or None,
        model_name=folder.resolve().name,
        eval_results=_eval_results(str(result.get("task")), scores, data) or None,
    )


def _eval_results(
    task: str, scores: Mapping[str, float], data: Mapping[str, Any]
) -> list[EvalResult]:
    from huggingface_hub import EvalResult

    files = ", ".join(Path(name).name for name in data.get("train") or [])
    return [
        EvalResult(
            task_type=task,
            dataset_type=data.get("path") or "local",
            dataset_name=data.get("path") or files or "local files",
            dataset_config=data.get("name"),
            dataset_split="validation",
            metric_type=name,
            metric_value=value,
        )
        for name, value in scores.items()
    ]


def _data_section(recipe_text: str) -> Mapping[str, Any]:
    from hfcli.recipe.yaml_file import YamlError, parse_yaml  # YAML 1.2, as it was written

    try:
        recipe = parse_yaml(recipe_text).data
    except YamlError:
        return {}
    section = recipe.get("data") if isinstance(recipe, dict) else None
    return section if isinstance(section, dict) else {}
