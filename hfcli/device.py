"""Placement: which device and number type a run uses, decided by accelerate. Loads no weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli.errors import HfcliError, RunError

if TYPE_CHECKING:
    import torch

ACCELERATORS = ("cuda", "mps", "xpu", "npu")
CGROUPS = Path("/sys/fs/cgroup")
CPUINFO = Path("/proc/cpuinfo")
BF16 = frozenset(["avx512_bf16", "amx_bf16", "bf16", "sve_bf16", "svebf16"])  # x86-64; ARM
# What libraries say where they raise a plain RuntimeError or OSError, in lower case.
NO_MEMORY = (
    "out of memory",  # CUDA, MPS, "std::bad_alloc: out of memory" of XPU and drivers
    "allocate memory",  # DefaultCPUAllocator: can't allocate memory; OSError 12
    "not enough memory",  # DefaultCPUAllocator on Windows
    "bad_alloc",  # C++ extensions
    "bad allocation",  # the same from Microsoft's compiler
    "alloc_failed",  # CUBLAS_STATUS_ALLOC_FAILED, CUDNN_STATUS_ALLOC_FAILED
    "out_of_device_memory",  # UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY of XPU
    "out_of_host_memory",
    "out_of_resources",
    "paging file is too small",  # OSError 1455 on Windows
)


@dataclass(frozen=True)
class Placement:
    """Where a model goes.

    Args:
        device: where inputs go.
        spread: let accelerate's device_map spread the weights over what there is.
    """

    device: torch.device
    spread: bool = False

    def load_options(self, weight_bytes: int) -> dict[str, Any]:
        """Keyword arguments for from_pretrained, given the size of the weights on disk.

        On a machine without an accelerator the weights are only spread (to disk) when they do not
        fit into the memory that is free: a device_map costs hooks on every layer.
        """
        if self.spread and (self.device.type != "cpu" or weight_bytes > free_host_memory()):
            return {"device_map": "auto"}
        return {}


def available_devices() -> list[str]:
    """Names that `--device` takes here, `cpu` first."""
    import torch

    names = ["cpu"]
    for kind in ACCELERATORS:
        module = getattr(torch, kind, None)
        if module is None or not module.is_available():
            continue
        count = module.device_count()
        names += [kind] if count == 1 else [kind, *(f"{kind}:{i}" for i in range(count))]
    return names


def resolve_device(name: str) -> Placement:
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`, ... -> a placement.

    Raises:
        RunError: the device is not there; the message lists what is.
    """
    import torch

    if name == "auto":
        return Placement(_best_device(), spread=True)
    names = available_devices()
    known = {*names, *(f"{n}:0" for n in names if ":" not in n)}
    if name not in known:
        raise RunError(f"device {name!r} is not here", hint=f"available: auto, {', '.join(names)}")
    return Placement(torch.device(name))


def _best_device() -> torch.device:
    """accelerate's choice; it is not imported where there is nothing to choose from."""
    import torch

    if not torch.accelerator.is_available():
        return torch.device("cpu")
    from accelerate import PartialState

    device: torch.device = PartialState().device
    return device


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the number type of a name.

    `auto` is float32 on a CPU, bfloat16 on a GPU that computes in it (Ampere and later), and
    float16 on any other (T4, V100, MPS).
    """
    import torch

    if name != "auto":
        dtype: torch.dtype = getattr(torch, name)
        return dtype
    if device.type == "cpu":
        return torch.float32
    return torch.bfloat16 if computes_bf16(device) else torch.float16


def computes_bf16(device: torch.device) -> bool:
    """Whether the device has bfloat16 instructions; emulation is up to a hundred times slower.

    On a CPU, torch counts those that have AVX-512 without its bfloat16, which train at less than
    half the speed of float32.
    """
    import torch

    if device.type == "cpu":
        has_onednn: Any = torch.backends.mkldnn.is_available
        return bool(has_onednn()) and not BF16.isdisjoint(cpu_features())
    if device.type not in ("cuda", "xpu"):
        return False
    # By default torch counts GPUs that only emulate it, such as T4 and V100.
    return bool(getattr(torch, device.type).is_bf16_supported(including_emulation=False))


def cpu_features() -> frozenset[str]:
    """The names of a processor's instruction sets, as torch or Linux tell them."""
    import torch

    told: Any = getattr(torch.cpu, "get_capabilities", None)
    if told is not None:
        return frozenset(name for name, has in told().items() if has is True)
    return linux_features()


def linux_features() -> frozenset[str]:
    """The same as Linux tells them, which is empty elsewhere. Needs no torch."""
    try:
        text = CPUINFO.read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    lines = (line.partition(":") for line in text.splitlines())
    return frozenset(
        word for name, _, words in lines if name.strip() in ("flags", "Features")
        for word in words.split()
    )  # fmt: skip


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that a device, or the machine, has no memory left.

    Args:
        error: what a call into torch or another library raised, with its causes.
    """
    known: BaseException | None = error
    while known is not None:
        names = {kind.__name__ for kind in type(known).__mro__}  # torch is slow to import
        if names & {"OutOfMemoryError", "MemoryError"}:
            return True
        if names & {"RuntimeError", "OSError", "SafetensorError"}:
            text = str(known).lower()
            if any(words in text for words in NO_MEMORY):
                return True
        known = known.__cause__
    return False


@contextmanager
def needs_memory(doing: str, *, hint: str) -> Iterator[None]:
    """Turn an error that says that memory ran out into a RunError.

    Args:
        doing: what was done, and with what; the message begins with it.
        hint: what to do about it.

    Raises:
        RunError: memory ran out.
    """
    try:
        yield
    except (RuntimeError, OSError, MemoryError, HfcliError) as e:
        if isinstance(e, RunError) or not out_of_memory(e):
            raise
        raise RunError(f"{doing}: out of memory", hint=hint) from e


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that can still be used on a device.

    Of a CPU these are the machine's or the container's; of an accelerator its own, and never the
    machine's in their place.

    Returns:
        None where the device cannot be asked.
    """
    if device.type == "cpu":
        return free_host_memory()
    module = device_module(device)
    try:
        if hasattr(module, "mem_get_info"):  # cuda, xpu, npu
            return int(module.mem_get_info(device)[0])
        if hasattr(module, "recommended_max_memory"):  # mps
            used = int(module.driver_allocated_memory())
            return max(0, int(module.recommended_max_memory()) - used)
    except (RuntimeError, NotImplementedError):  # the driver does not tell
        return None
    return None


def device_module(device: torch.device) -> Any:
    """Return torch's module of a kind of accelerator (torch.cuda, torch.xpu, ...), or None."""
    import torch

    return getattr(torch, device.type, None)


def free_host_memory() -> int:
    """Return the bytes that the machine, or the container, can still give."""
    import psutil

    free = int(psutil.virtual_memory().available)
    return min([free, *_left_in_groups(CGROUPS, Path("/proc/self/cgroup"))])


def _left_in_groups(root: Path, own: Path) -> list[int]:
    """Bytes left in each control group (version 2) around this process: what a container may use.

    Memory that only caches files counts as free; the kernel gives it back.
    """
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []  # not Linux
    path = next((line[3:] for line in lines if line.startswith("0::")), "/").lstrip("/")
    left = []
    for group in (root / path, *(root / path).parents):
        try:
            limit = (group / "memory.max").read_text("ascii").strip()
            if limit != "max":
                used = int((group / "memory.current").read_text("ascii"))
                stat = (group / "memory.stat").read_text("ascii")
                told = dict(line.split() for line in stat.splitlines())
                left.append(max(0, int(limit) - used + int(told.get("inactive_file", 0))))
        except OSError:
            pass  # the root group has no limit, and above it is no group
        if group == root:
            break
    return left
