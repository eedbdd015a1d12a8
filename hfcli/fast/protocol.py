"""What every speed-up is: a name, where it works, what it does, and a test of itself."""

from __future__ import annotations

import json
import sys
from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hfcli.device import out_of_memory
from hfcli.foreign import first_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Stage = Literal["inference", "training"]
# What a speed-up raises where a library is not as it was: a name is gone, an operation takes other
# arguments, or refuses them.
BROKEN = (
    AttributeError, TypeError, RuntimeError, NotImplementedError, ImportError, ValueError, KeyError,
    IndexError, AssertionError,
)  # fmt: skip
_tested: dict[tuple[str, Versions, str], str | None] = {}


@dataclass(frozen=True)
class Versions:
    """Installed versions of the libraries that speed-ups reach into."""

    torch: str
    transformers: str

    @classmethod
    def installed(cls) -> Versions:
        """Read them without importing the libraries."""
        from importlib import metadata  # here: it takes time of every start

        return cls(metadata.version("torch"), metadata.version("transformers"))


class SpeedUp(ABC):
    """Something that is made faster, and may step aside.

    A subclass says what it is in the class variables, refuses in `supports`, and compares tiny
    results in `self_test`. What it does has a signature of its own, named in its docstring.

    Args:
        name: what `--without` or `training.disable_optimizations` takes.
        help: what it does, for people.
        scope: where it applies, beyond what `supports` knows.
        tolerance: the largest difference that a test may find, in float32 and in 16 bits.
        aliases: names of earlier versions.
    """

    name: ClassVar[str]
    help: ClassVar[str]
    scope: ClassVar[str]
    stage: ClassVar[Stage] = "inference"
    tolerance: ClassVar[float] = 0.0
    tolerance_16_bits: ClassVar[float] = 0.0
    aliases: ClassVar[tuple[str, ...]] = ()

    def supports(self, versions: Versions, device: str) -> str | None:
        """Return why it cannot be used with these versions on this kind of device, or None."""
        del versions, device
        return None

    def self_test(self) -> float:
        """Return the largest difference that it makes to tiny results; see `in_float32`.

        Raises:
            Any of BROKEN: a library is not as it was.
        """
        return 0.0

    def in_float32(self, difference: float, dtype: Any) -> float:
        """Return the difference in float32 that is as large a part of what is tolerated.

        Args:
            difference: relative to the largest value.
            dtype: in which it was found.
        """
        if dtype.itemsize > 2:
            return difference
        return difference * self.tolerance / self.tolerance_16_bits

    def refusal(self, device: str) -> str | None:
        """Return why it is not used on a kind of device; None: it works. Tested once a process."""
        versions = Versions.installed()
        key = (self.name, versions, device)
        if key not in _tested:
            reason = self.supports(versions, device)
            _tested[key] = self.failure(self.self_test) if reason is None else reason
        return _tested[key]

    def failure(self, measure: Callable[[], float]) -> str | None:
        """Return why a test of it failed, or None.

        Args:
            measure: gives the largest difference.
        """
        try:
            difference = measure()
        except BROKEN as e:
            if "torch" in sys.modules and out_of_memory(e):
                raise
            return f"its self-test fails ({first_line(e)})"
        if difference <= self.tolerance:
            return None
        return f"its self-test differs by {difference:.1e}, more than {self.tolerance:.0e}"

    def failure_on(self, model: PreTrainedModel, measure: Callable[[], float]) -> str | None:
        """Return why a test on a model failed, or None.

        The answer is cached by processor, threads, versions, and the model's class and settings.
        """
        import torch

        config = json.dumps(model.config.to_diff_dict(), sort_keys=True, default=str)
        kind = [type(model).__name__, str(model.dtype), str(model.config._attn_implementation)]
        versions = Versions.installed()
        key = [
            self.name, self.tolerance, versions.torch, versions.transformers,
            torch.get_num_threads(), processor(), *kind, config,
        ]  # fmt: skip
        stored = recall(key)
        if not isinstance(stored, str):
            stored = self.failure(measure) or ""
            store(key, stored)
        return stored or None


def only_on_cpu(device: str) -> str | None:
    """Return the refusal of what is made for CPUs."""
    return None if device == "cpu" else f"models run on {device} here"


def difference(found: Any, expected: Any) -> float:
    """Return the largest difference of two tensors, relative to the largest expected value."""
    assert found.shape == expected.shape
    scale = expected.detach().double().abs().max().item() or 1.0
    return float((found.detach().double() - expected.detach().double()).abs().max().item() / scale)


def processor() -> str:
    """Return what identifies the processor, as far as measurements on it go."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        import platform

        return platform.processor() or platform.machine()
    fields = ("model name", "model", "stepping", "flags")
    return "; ".join(line for line in lines[:40] if line.partition("\t")[0] in fields)


# The cache is imported when it is used: the names of speed-ups are part of every start.


def recall(key: object) -> Any:
    """Return the verdict that `store` kept under a key, or None."""
    from hfcli.cache import remembered

    return remembered("starts", key)


def store(key: object, verdict: Any) -> None:
    """Keep a verdict for processes to come, where the cache can be written."""
    from hfcli.cache import remember

    remember("starts", key, verdict)
