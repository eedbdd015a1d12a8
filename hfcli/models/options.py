"""What goes beyond loading weights as they are, and is done only when asked for by name."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hfcli.device import Placement
from hfcli.errors import ModelError, RunError
from hfcli.models.resolve import ModelSource
from hfcli.origins import as_typed

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class LoadOptions:
    """What goes beyond loading the weights as they are.

    Args:
        adapter: a peft adapter to merge into the model.
        load_in: `8bit` or `4bit`: quantize by bitsandbytes while loading.
        allow_pickle: load pickled weights where there are no safetensors.
        trust_remote_code: run Python code from the model's folder.
        gguf_cache: keep what a GGUF file is converted to, and load that.
    """

    adapter: ModelSource | None = None
    load_in: str | None = None
    allow_pickle: bool = False
    trust_remote_code: bool = False
    gguf_cache: bool = True


def quantization(load_in: str | None, source: ModelSource, placement: Placement) -> dict[str, Any]:
    """Keyword arguments of from_pretrained for `--load-in`; a quantized model cannot be moved.

    Raises:
        ModelError: a GGUF file.
        RunError: bitsandbytes is not installed.
    """
    if load_in is None:
        return {}
    if source.gguf_file:
        raise ModelError(f"{source.name}: {as_typed('--load-in')} does not go with a GGUF file")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise RunError(
            f"{as_typed('--load-in')} {load_in} needs bitsandbytes",
            hint="pip install 'hfcli[quantized]'",
        )
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(load_in_8bit=load_in == "8bit", load_in_4bit=load_in == "4bit")
    where = {} if placement.spread else {"device_map": {"": placement.device}}
    return {"quantization_config": config, **where}


def check_quantized(model: PreTrainedModel, source: ModelSource) -> None:
    """See that bitsandbytes can compute with what it has quantized.

    Raises:
        ModelError: on a CPU its 4-bit blocks have to end where the rows of a matrix end.
    """
    if model.device.type != "cpu":
        return
    for name, module in model.named_modules():
        state: Any = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is not None and state.shape[1] % state.blocksize:
            raise ModelError(
                f"{source.name}: {as_typed('--load-in')} 4bit on a CPU takes blocks of"
                f" {state.blocksize} numbers, and the rows of {name} have {state.shape[1]}",
                hint="--load-in 8bit",
            )


def needs_pickle(source: ModelSource, options: LoadOptions) -> bool:
    """Whether the weights have to be read from a pickle.

    Raises:
        ModelError: they have to, and it is not allowed.
    """
    if source.gguf_file or any(source.folder.glob("*.safetensors")):
        return False
    if not any(source.folder.glob("*.bin")):
        return False
    need_permission(source, options)
    return True


def need_permission(source: ModelSource, options: LoadOptions) -> None:
    """See that pickled weights may be read.

    Raises:
        ModelError: they may not.
    """
    if not options.allow_pickle:
        raise ModelError(
            f"{source.name}: its weights are a pickle, which can run code when it is loaded",
            hint="if you trust where it comes from, --allow-pickle",
        )
