"""Which model generates, how its weights are held, and loading it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hfcli.device import resolve_device, resolve_dtype
from hfcli.errors import ModelError
from hfcli.models.load import LoadedModel, load_model
from hfcli.models.options import LoadOptions
from hfcli.models.resolve import ModelSource, resolve_model
from hfcli.results import Listener, Note
from hfcli.tasks.text_generation import TextGeneration


@dataclass(frozen=True)
class ModelChoice:
    """Which model to load, and how.

    Args:
        adapter: folder or Hub id of a LoRA adapter for the model.
        load_in: `8bit` or `4bit`, by bitsandbytes.
        allow_pickle: load weights that are pickles where there are no safetensors.
        trust_remote_code: run Python code that comes with the model; that of a Hub id is pinned
            by `revision`, a commit.
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


@dataclass(frozen=True)
class FoundModel:
    """Files that are here; nothing is loaded yet."""

    choice: ModelChoice
    source: ModelSource
    adapter: ModelSource | None


def load_for_generation(choice: ModelChoice, listener: Listener) -> LoadedModel:
    """The model, ready to generate.

    Raises:
        ModelError, RunError: see `hfcli.errors`.
    """
    return load_found(find_model(choice, listener))


def find_model(choice: ModelChoice, listener: Listener) -> FoundModel:
    """Fetch what is not here yet. Loading switches the network off, so that a second model has to
    be found before the first is loaded.

    Raises:
        ModelError: it cannot be had, or its code may not be run.
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
    base_name = source.adapter_base()
    base = None if base_name is None else resolve_model(base_name, offline=choice.offline)
    if choice.trust_remote_code:
        _check_commit(source, base, choice.revision)
    adapter = choice.adapter and resolve_model(choice.adapter, offline=choice.offline)
    return FoundModel(choice, source, adapter or None)


def load_found(found: FoundModel) -> LoadedModel:
    """Load the weights; the network is off from here on.

    Raises:
        ModelError, RunError: see `hfcli.errors`.
    """
    choice = found.choice
    placement = resolve_device(choice.device)
    return load_model(
        source=found.source,
        task=TextGeneration(),
        dtype=resolve_dtype(choice.dtype, placement.device),
        placement=placement,
        options=LoadOptions(
            adapter=found.adapter,
            load_in=choice.load_in,
            allow_pickle=choice.allow_pickle,
            trust_remote_code=choice.trust_remote_code,
        ),
    )


def draft_choice(choice: ModelChoice, name: str) -> ModelChoice:
    """The same placement for a draft model, whose own code is never run."""
    return replace(choice, name=name, revision=None, adapter=None, trust_remote_code=False)


def _check_commit(source: ModelSource, base: ModelSource | None, revision: str | None) -> None:
    """A branch or tag can be moved to other code overnight; a commit cannot."""
    if source.revision is not None and revision != source.revision:
        raise ModelError(
            f"{source.name}: --trust-remote-code runs code from the Hub, and needs its commit",
            hint=f"read that code, then add --revision {source.revision}",
        )
    if base is not None and base.revision is not None:
        raise ModelError(
            f"{source.name}: --trust-remote-code would run code of its base {base.name}",
            hint=f"--model {base.name} --revision {base.revision} --adapter {source.name}",
        )
