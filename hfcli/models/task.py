"""Which task the files of a model are for. Reads configurations only."""

from __future__ import annotations

from typing import Any

from hfcli.errors import ModelError, RecipeError
from hfcli.models.adapter import peft_task_type
from hfcli.models.json_file import read_object
from hfcli.models.resolve import ModelSource
from hfcli.runfolder.names import MODEL_CONFIG_FILE
from hfcli.tasks import task_classes


def guess_task(source: ModelSource) -> str:
    """The task whose head the model's configuration names; a GGUF file holds a causal LM.

    Raises:
        RecipeError: no task of hfcli has such a head.
    """
    names = list(task_classes())
    adapter = source.adapter_config()
    path = source.folder / ("config.json" if adapter is None else MODEL_CONFIG_FILE)
    if source.gguf_file:
        return names[0]
    if not path.is_file():
        return _of_adapter(adapter or {}) or names[0]
    architectures = read_object(path).get("architectures") or []
    if not isinstance(architectures, list) or not all(isinstance(a, str) for a in architectures):
        raise ModelError(f"{path}: architectures is not a list of names")
    for name, cls in task_classes().items():
        if any(architecture.endswith(cls.head_suffixes) for architecture in architectures):
            return name
    raise RecipeError(
        f"{source.name}: cannot tell its task from its architecture {architectures}",
        hint=f"name it with --task: {', '.join(names)}",
    )


def task_settings(source: ModelSource, name: str) -> dict[str, Any]:
    """What the model's configuration tells of the task beside its name."""
    own = "config.json" if source.adapter_config() is None else MODEL_CONFIG_FILE
    path = source.folder / own
    if source.gguf_file or not path.is_file() or name not in task_classes():
        return {}
    return task_classes()[name].settings_of(read_object(path))


def _of_adapter(config: dict[str, object]) -> str | None:
    """The task of an adapter that another tool wrote, by peft's name for it."""
    kind = config.get("task_type")
    for name, cls in task_classes().items():
        if kind is not None and kind == peft_task_type(cls.head_suffixes):
            return name
    return None
