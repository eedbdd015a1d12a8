"""Which model generates, how its weights are held, and loading it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hfcli.device import resolve_device, resolve_dtype
from hfcli.errors import ModelError
from hfcli.fast.batch_invariance import BatchInvariance
from hfcli.fast.bfloat16 import Bfloat16, bfloat16_wins
from hfcli.fast.decoders import FusedDecoder, is_known
from hfcli.fast.linear import PrepackedWeights
from hfcli.fast.portable import ConvertedFiles
from hfcli.fast.startup import DeferredImports
from hfcli.models.adapter import resolve_chain
from hfcli.models.load import LoadedModel, load_model, weight_bytes
from hfcli.models.options import LoadOptions
from hfcli.models.resolve import ModelSource, resolve_model
from hfcli.origins import as_typed
from hfcli.results import Choice, Listener, Note
from hfcli.tasks.text_generation import TextGeneration

if TYPE_CHECKING:
    import torch

TYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class ModelChoice:
    """Which model to load, and how.

    Args:
        adapter: folder or Hub id of a LoRA adapter for the model.
        load_in: `8bit` or `4bit`, by bitsandbytes.
        allow_pickle: load weights that are pickles where there are no safetensors.
        trust_remote_code: run Python code that comes with the model; that of a Hub id is pinned
            by `revision`, a commit.
        kept_dtype: what `auto` was when the run that goes on began.
        without: names of speed-ups that are off; see `hfcli.fast`.
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
    kept_dtype: str | None = None
    without: frozenset[str] = frozenset()

    def fast(self, name: str) -> bool:
        """Return whether the speed-up of this name may be used."""
        return name not in self.without


@dataclass(frozen=True)
class FoundModel:
    """Files that are here; nothing is loaded yet."""

    choice: ModelChoice
    source: ModelSource
    adapter: ModelSource | None

    def defer_imports(self, listener: Listener) -> None:
        """Import transformers with deferred imports, where that is what the choice allows.

        Other libraries that load a model (peft, bitsandbytes, code that comes with it) get all of
        what they were tested with.
        """
        choice = self.choice
        others = choice.load_in is not None or choice.trust_remote_code or self.has_adapter
        start = DeferredImports()
        if choice.fast(start.name) and choice.device in ("auto", "cpu") and not others:
            _deferred, reason = start.prepare()
            if reason is not None:
                listener(Choice(f"{start.name}: off, {reason}"))

    @property
    def has_adapter(self) -> bool:
        """Whether peft puts an adapter on the model."""
        return self.adapter is not None or self.source.adapter_config() is not None


def load_for_generation(
    choice: ModelChoice, listener: Listener, *, one_stream: bool = False
) -> LoadedModel:
    """The model, ready to generate; see `load_found`.

    Raises:
        ModelError, RunError: see `hfcli.errors`.
    """
    return load_found(find_model(choice, listener), listener, one_stream=one_stream)


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


def load_found(
    found: FoundModel, listener: Listener, *, one_stream: bool = False, many: bool = False
) -> LoadedModel:
    """Load the weights; the network is off from here on.

    Args:
        found: by `find_model`.
        listener: gets notes.
        one_stream: one text at a time, which no other has to be equal to: `auto` may be bfloat16
            on a CPU, too.
        many: many texts; `auto` may be bfloat16 on a CPU where their rows may be batch-invariant.

    Raises:
        ModelError, RunError: see `hfcli.errors`.
    """
    choice = found.choice
    found.defer_imports(listener)
    placement = resolve_device(choice.device)
    kept = choice.kept_dtype if choice.dtype == "auto" and choice.kept_dtype in TYPES else None
    dtype = resolve_dtype(kept or choice.dtype, placement.device)
    if kept is not None:
        listener(Choice(f"{kept}: as the run began"))
    elif choice.dtype == "auto" and placement.device.type == "cpu":
        dtype, why = _dtype_on_cpu(found, one_stream, many)
        listener(Choice(f"{str(dtype).removeprefix('torch.')}: {why}"))
    return load_model(
        source=found.source,
        task=TextGeneration(),
        dtype=dtype,
        placement=placement,
        options=LoadOptions(
            adapter=found.adapter,
            load_in=choice.load_in,
            allow_pickle=choice.allow_pickle,
            trust_remote_code=choice.trust_remote_code,
            gguf_cache=choice.fast(ConvertedFiles.name),
        ),
    )


def _dtype_on_cpu(found: FoundModel, one_stream: bool, many: bool) -> tuple[torch.dtype, str]:
    """What `auto` is on a CPU, and why."""
    import torch

    *_, base = resolve_chain(found.source)
    if not one_stream and not (many and _may_be_invariant(found.choice, base)):
        return torch.float32, "texts do not depend on how they are batched"
    if not found.choice.fast(Bfloat16.name):
        return torch.float32, "--without bfloat16"
    wins, why = bfloat16_wins(weight_bytes(base))
    return (torch.bfloat16 if wins else torch.float32), why


def _may_be_invariant(choice: ModelChoice, base: ModelSource) -> bool:
    """Whether it is worth loading a model to see; converting a GGUF file twice would not be."""
    needed = (FusedDecoder, PrepackedWeights, BatchInvariance)
    fast = all(choice.fast(one.name) for one in needed)
    return fast and base.gguf_file is None and is_known(base.folder)


def draft_choice(choice: ModelChoice, name: str) -> ModelChoice:
    """The same placement for a draft model, whose own code is never run."""
    alone = replace(choice, revision=None, adapter=None, trust_remote_code=False, kept_dtype=None)
    return replace(alone, name=name)


def _check_commit(source: ModelSource, base: ModelSource | None, revision: str | None) -> None:
    """A branch or tag can be moved to other code overnight; a commit cannot."""
    flag = as_typed("--trust-remote-code")
    if source.revision is not None and revision != source.revision:
        raise ModelError(
            f"{source.name}: {flag} runs code from the Hub, and needs its commit",
            hint=f"read that code, then add --revision {source.revision}",
        )
    if base is not None and base.revision is not None:
        raise ModelError(
            f"{source.name}: {flag} would run code of its base {base.name}",
            hint=f"--model {base.name} --revision {base.revision} --adapter {source.name}",
        )
