"""Adapter folders (peft): the model they belong on, what they hold, and merging one into a model.

A folder written by hfcli has, beside peft's two files, `model_config.json` with what the base's
own config.json cannot know: the labels of the head that was trained with the adapter. It is not
called config.json, because transformers takes a folder with that for a whole model.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli import files
from hfcli.errors import ModelError
from hfcli.foreign import foreign_errors
from hfcli.models.json_file import read_object
from hfcli.models.options import LoadOptions, need_permission
from hfcli.models.resolve import ModelSource, resolve_model
from hfcli.runfolder.names import MODEL_CONFIG_FILE

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WEIGHTS_FILE = "adapter_model.safetensors"
PICKLE_FILE = "adapter_model.bin"
LABELS = ("id2label", "label2id", "problem_type")
# How a transformers class name ends -> peft's name for what the model does.
PEFT_TASK_TYPES = {
    "ForCausalLM": "CAUSAL_LM",
    "ForSequenceClassification": "SEQ_CLS",
    "ForTokenClassification": "TOKEN_CLS",
    "ForQuestionAnswering": "QUESTION_ANS",
}
PREFIX = "base_model.model."  # before every name in an adapter's weights


def resolve_chain(source: ModelSource) -> list[ModelSource]:
    """`source`, and where that is an adapter its base, and the base of that; a model comes last.

    Raises:
        ModelError: an adapter names no base, or one that cannot be found.
    """
    chain = [source]
    while (config := chain[-1].adapter_config()) is not None:
        name = chain[-1].adapter_base()
        if name is None:
            raise ModelError(f"{chain[-1].name}: the adapter does not name its base model")
        try:
            base = resolve_model(name, revision=_revision(chain[-1], config))
        except ModelError as e:
            raise ModelError(
                f"{chain[-1].name}: is an adapter, and its base model is not here: {e.message}",
                hint="adapter_config.json names the base under base_model_name_or_path",
            ) from e
        if base.folder in (known.folder for known in chain):
            raise ModelError(f"{source.name}: the adapter names itself as its base model")
        chain.append(base)
    return chain


def _revision(source: ModelSource, config: dict[str, Any]) -> str | None:
    revision = config.get("revision")
    if revision is not None and not isinstance(revision, str):
        raise ModelError(f"{source.folder / 'adapter_config.json'}: revision is not a string")
    return revision


def peft_task_type(head_suffixes: Iterable[str]) -> str | None:
    """peft's name for a task; None: peft's AutoPeftModelFor... classes have none for it."""
    return next((PEFT_TASK_TYPES[end] for end in head_suffixes if end in PEFT_TASK_TYPES), None)


def saved_labels(source: ModelSource) -> dict[str, Any]:
    """Configuration values of the head in an adapter folder, with indices as numbers."""
    path = source.folder / MODEL_CONFIG_FILE
    if not path.is_file():
        return {}
    config = read_object(path)
    values = {name: config[name] for name in LABELS if config.get(name) is not None}
    if "id2label" in values:
        names = values["id2label"]
        if not isinstance(names, dict) or not all(i.isdecimal() for i in names):
            raise ModelError(f"{path}: id2label does not map indices to labels")
        values["id2label"] = {int(i): name for i, name in names.items()}
    return values


def save(model: Any, folder: Path) -> None:
    """Write an adapter folder that `load_model` and peft itself read, and nothing else.

    By itself, peft would save the whole embeddings where they grew by a padding token (hundreds of
    megabytes for an adapter of one), ask the Hub for the base's configuration to find that out, and
    write a model card of placeholders, or its own lines into the card that is there.

    Args:
        model: a peft.PeftModel.
        folder: is made where it is missing; files of these names are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = files.create_temporary(folder / "adapter", folder=True)
    try:
        model.save_pretrained(str(written), save_embedding_layers=False)
        base: Any = model.get_base_model()
        _save_labels(base, written)
        if base.can_generate():
            base.generation_config.save_pretrained(written)
        (written / "README.md").unlink(missing_ok=True)
        for path in written.iterdir():
            os.replace(path, folder / path.name)
    finally:
        files.remove(written)


def _save_labels(model: PreTrainedModel, folder: Path) -> None:
    """Write what `saved_labels` reads, and the architecture, which tells the task."""
    config = model.config.to_dict()
    values = {"architectures": [type(model).__name__]}
    if model.get_output_embeddings() is None:
        values |= {name: config[name] for name in LABELS if config.get(name) is not None}
    text = json.dumps(values, indent=2) + "\n"
    files.write_text(folder / MODEL_CONFIG_FILE, text)


def weight_names(source: ModelSource, options: LoadOptions) -> set[str]:
    """Names of the weights in an adapter, as the model names them.

    Raises:
        ModelError: it is no adapter, has no weights, or only pickled ones that may not be read.
    """
    from safetensors import safe_open

    if source.adapter_config() is None:
        raise ModelError(f"{source.name}: is no adapter (it has no adapter_config.json)")
    path = source.folder / WEIGHTS_FILE
    if not path.is_file():
        return _pickled_names(source, options)
    with (
        foreign_errors(ModelError, f"{source.name}: damaged weights"),
        safe_open(path, framework="pt") as file,
    ):
        return {name.removeprefix(PREFIX) for name in file.keys()}  # noqa: SIM118


def _pickled_names(source: ModelSource, options: LoadOptions) -> set[str]:
    import torch

    path = source.folder / PICKLE_FILE
    if not path.is_file():
        raise ModelError(f"{source.name}: the adapter folder has no {WEIGHTS_FILE}")
    need_permission(source, options)
    with foreign_errors(ModelError, f"{source.name}: damaged weights"):
        names = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(names, dict):
        raise ModelError(f"{path}: holds no weights by name")
    return {str(name).removeprefix(PREFIX) for name in names}


def merge(model: PreTrainedModel, adapters: Iterable[ModelSource]) -> PreTrainedModel:
    """Put adapters onto a model, one after the other, and merge their weights into it.

    Raises:
        ModelError: an adapter does not fit, or lacks weights that its configuration promises.
    """
    from peft import PeftModel

    for source in adapters:
        misfit = f"{source.name}: the adapter does not fit its base model"
        with foreign_errors(ModelError, misfit), quiet_peft():
            # Without them the adapter would be loaded with random weights.
            warnings.filterwarnings("error", "Found missing adapter keys", UserWarning)
            adapted: Any = PeftModel.from_pretrained(model, str(source.folder))
        if not hasattr(adapted.base_model, "merge_and_unload"):  # prompt tuning and its like
            raise ModelError(
                f"{source.name}: an adapter of type {_kind(source)} cannot be merged",
                hint="hfcli takes adapters that change weights: LoRA, DoRA, IA3, LoHa, ...",
            )
        with foreign_errors(ModelError, misfit), quiet_peft():
            model = adapted.merge_and_unload()
        model.requires_grad_(True)  # peft froze it, and it may be trained further
    return model


def _kind(source: ModelSource) -> str:
    return str((source.adapter_config() or {}).get("peft_type"))


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Without two warnings of peft that tell the user nothing."""
    with warnings.catch_warnings():
        # peft 0.21 asks transformers 5.23 for an attribute under its old name.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        # What a user who names an embedding in modules_to_save asks for.
        warnings.filterwarnings("ignore", "Input and output embeddings are no longer", UserWarning)
        yield
