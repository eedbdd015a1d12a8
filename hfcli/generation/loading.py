"""Which model generates, how its weights are held, and loading it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hfcli.device import resolve_device, resolve_dtype
from hfcli.errors import ModelError
from hfcli.models.load import LoadedModel, load_model
from hfcli.models.options import LoadOptions
from hfcli.models.resolve import resolve_model
from hfcli.results import Listener, Note
from hfcli.tasks.text_generation import TextGeneration


@dataclass(frozen=True)
class ModelChoice:
    """Which model to load, and how.

    Args:
        adapter: folder or Hub id of a LoRA adapter for the model.
        load_in: `8bit` or `4bit`, by bitsandbytes.
        allow_pickle: load weights that are pickles where there are no safetensors.
        trust_remote_code: run Python code that comes with the model; a Hub id needs `revision`.
    """

    name: str | None = None
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    offline: bool = False
    adapter: str | None = None
    load_in: str | None = None
    allow_pickle: bool = False
    trust_remote_code: bool = False


def load_for_generation(choice: ModelChoice, listener: Listener) -> LoadedModel:
    """The model, ready to generate.

    Raises:
        ModelError, RunError: see `hfcli.errors`.
    """
    source = resolve_model(
        choice.name,
        revision=choice.revision,
        offline=choice.offline,
        allow_pickle=choice.allow_pickle,
        remote_code=choice.trust_remote_code,
    )
    if source.note:
        listener(Note(source.note))
    if choice.trust_remote_code and source.revision is not None and choice.revision is None:
        raise ModelError(
            f"{source.name}: --trust-remote-code runs code from the Hub, and needs a revision",
            hint=f"read that code, then add --revision {source.revision}",
        )
    placement = resolve_device(choice.device)
    adapter = choice.adapter and resolve_model(choice.adapter, offline=choice.offline)
    return load_model(
        source=source,
        task=TextGeneration(),
        dtype=resolve_dtype(choice.dtype, placement.device),
        placement=placement,
        options=LoadOptions(
            adapter=adapter or None,
            load_in=choice.load_in,
            allow_pickle=choice.allow_pickle,
            trust_remote_code=choice.trust_remote_code,
        ),
    )


def draft_choice(choice: ModelChoice, name: str) -> ModelChoice:
    """The same placement for a draft model."""
    return replace(choice, name=name, revision=None, adapter=None)
