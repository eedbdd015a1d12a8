"""A low-rank adapter on a loaded model, by peft: which layers get one, and what is saved with it.

Layers are chosen by what they are, not by a table of architectures, so that GPT-2's Conv1D counts
as the linear layer it is. Knows nothing about training; `hfcli.models.adapter.save` writes the
folder that `hfcli.models.load` and peft itself read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli.errors import RecipeError, RunError, did_you_mean
from hfcli.foreign import foreign_errors
from hfcli.models.adapter import peft_task_type, quiet_peft
from hfcli.models.load import LoadedModel
from hfcli.models.resolve import ModelSource
from hfcli.recipe.sections import LoraSection
from hfcli.tasks.base import Task

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


def add_lora(*, loaded: LoadedModel, section: LoraSection, task: Task) -> LoadedModel:
    """Freeze the model and put a trainable adapter onto it.

    To be called when the tokenizer is complete (after `ensure_padding`). The head of a
    classifier, and whatever else `loaded.new_weights` says starts at random, is trained and saved
    whole. Rows that the embeddings grew by are not saved: `load_model` makes them again, and their
    token is no label.

    Returns:
        The same, with a `peft.PeftModel` in eval mode as its model.

    Raises:
        RecipeError: target_modules or modules_to_save names what the model does not have.
    """
    from peft import LoraConfig, get_peft_model

    model = loaded.model
    whole = [*_heads(model), *_modules_of(loaded.new_weights)]
    whole += _named(model, section.modules_to_save or [])
    whole = [name for name in dict.fromkeys(whole) if not _inside(name, set(whole) - {name})]
    layers = _linear_layers(model, outside=whole)
    targets = _targets(model, layers, section)
    config = LoraConfig(
        **section.model_dump(exclude={"target_modules", "modules_to_save"}),
        target_modules=targets,
        modules_to_save=whole or None,
        fan_in_fan_out=any(not _is_linear(layers[name]) for name in targets),
        task_type=peft_task_type(task.head_suffixes),
    )
    _check_size(section.r, [layers[name] for name in targets])
    refused = foreign_errors(
        RecipeError, "model.lora: peft refuses an adapter", hint="model.lora.target_modules names"
        " the layers that get one",
    )  # fmt: skip
    with quiet_peft(), refused:
        adapted: Any = get_peft_model(model, config)
    config = adapted.peft_config["default"]
    config.base_model_name_or_path, config.revision = _base_name(loaded.source)
    adapted.eval()
    return replace(loaded, model=adapted)


def _check_size(rank: int, layers: Sequence[Any]) -> None:
    """Raise before memory is asked for that no machine has.

    Args:
        rank: of the two matrices that each layer gets, (rank, inputs) and (outputs, rank).
        layers: that get an adapter.

    Raises:
        RunError: they are larger than this machine's memory.
    """
    import psutil

    size = 4 * rank * sum(sum(layer.weight.shape) for layer in layers)
    if size > psutil.virtual_memory().total:
        raise RunError(
            f"out of memory: an adapter of rank {rank} takes {size / 2**30:,.0f} GiB",
            hint="a smaller model.lora.r; common ranks are 4 to 64",
        )


def _heads(model: PreTrainedModel) -> list[str]:
    """Modules beside the body of a model that has no output embeddings, such as `score`."""
    if model.get_output_embeddings() is not None:
        return []
    body = model.base_model_prefix
    return [
        name
        for name, module in model.named_children()
        if name != body and any(True for _ in module.parameters())
    ]


def _modules_of(weights: Iterable[str]) -> list[str]:
    return [module for weight in weights if (module := weight.rpartition(".")[0])]


def _linear_layers(model: PreTrainedModel, *, outside: list[str]) -> dict[str, nn.Module]:
    """Layers that can get an adapter, by name: not those trained whole, nor one whose weights are
    the embeddings', since merging would change the embeddings too."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    embeddings: Any = model.get_input_embeddings().weight
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
        and module.weight is not embeddings
        and not _inside(name, outside)
    }


def _targets(
    model: PreTrainedModel, layers: dict[str, nn.Module], section: LoraSection
) -> list[str]:
    if section.target_modules is None:
        head = model.get_output_embeddings()
        return [name for name, module in layers.items() if module is not head]
    return _matches("target_modules", section.target_modules, layers, "linear layer")


def _named(model: PreTrainedModel, wanted: list[str]) -> list[str]:
    names = [name for name, _ in model.named_modules() if name]
    return _matches("modules_to_save", wanted, names, "module")


def _matches(key: str, wanted: list[str], known: Iterable[str], kind: str) -> list[str]:
    """Full names of the known modules that are called as wanted, or end so after a dot.

    Raises:
        RecipeError: for every wanted name that there is none of.
    """
    known = list(known)
    ends = sorted({end for name in known if not (end := name.rpartition(".")[2]).isdigit()})
    found, problems = [], []
    for want in wanted:
        matches = [name for name in known if name == want or name.endswith(f".{want}")]
        found += matches
        if not matches:
            near = did_you_mean(want, [*ends, *known])
            tail = f", did you mean {near}?" if near else ""
            problems.append(f"model.lora.{key}: the model has no {kind} {want!r}{tail}")
    if problems:
        raise RecipeError(problems, hint=f"its {kind}s are {', '.join(ends)}")
    return list(dict.fromkeys(found))


def _inside(name: str, modules: Iterable[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def _is_linear(module: nn.Module) -> bool:
    from torch import nn

    return isinstance(module, nn.Linear)


def _base_name(source: ModelSource) -> tuple[str, str | None]:
    """What the adapter says it belongs on: a Hub id and commit, a full path, or `bundled`."""
    if source.revision is not None:
        return source.name, source.revision
    path = Path(source.name).expanduser()
    return (str(path.absolute()) if path.exists() else source.name), None
