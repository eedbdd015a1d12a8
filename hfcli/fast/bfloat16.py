"""bfloat16 on a CPU, where a probe of the processor says that it wins."""

from __future__ import annotations

import time
from typing import Any

from hfcli.device import computes_bf16
from hfcli.fast.protocol import BROKEN, SpeedUp, Versions, only_on_cpu, processor, recall, store
from hfcli.foreign import first_line

LARGE = 64 * 2**20  # bytes of weights; reading smaller ones is not what takes the time
GAIN = 1.2  # of a product, below which other digits are not worth it
_ROWS, _WIDTH, _LAYERS = 3072, 768, 12  # 28 million weights, more than a cache holds


class Bfloat16(SpeedUp):
    """Its numbers differ by design, so there is no test of them; its speed is measured."""

    name = "bfloat16"
    help = "hold weights in bfloat16 where float32 was not asked for"
    scope = "where no text depends on the others for it"

    def supports(self, versions: Versions, device: str) -> str | None:
        """See `SpeedUp.supports`."""
        if device != "cpu":
            return only_on_cpu(device)
        wins, why = bfloat16_wins(LARGE)
        return None if wins else why


def bfloat16_wins(weight_bytes: int) -> tuple[bool, str]:
    """Return whether a CPU writes one text faster in bfloat16, and why (not)."""
    import torch

    if weight_bytes < LARGE:
        return False, "the model is small"
    if not computes_bf16(torch.device("cpu")):
        return False, "the processor has no instructions for bfloat16"
    try:
        gain = _measured_gain()
    except BROKEN as e:
        return False, f"its probe fails ({first_line(e)})"
    return gain >= GAIN, f"products in bfloat16 take 1/{gain:.1f} of the time of float32 here"


def _measured_gain() -> float:
    import torch

    key = [processor(), torch.__version__, torch.get_num_threads()]
    stored = recall(["bfloat16", *key])
    if stored is None:
        with torch.inference_mode():
            stored = _seconds(torch.float32) / _seconds(torch.bfloat16)
        store(["bfloat16", *key], stored)
    return float(stored)


def _seconds(dtype: Any) -> float:
    """Of one row through some layers, in the form in which each type is used; the best of three."""
    import torch

    ops: Any = torch.ops.mkldnn
    x = torch.ones(1, _WIDTH, dtype=dtype)
    weights = [torch.ones(_ROWS, _WIDTH, dtype=dtype) for _ in range(_LAYERS)]
    if dtype == torch.bfloat16:
        weights = [ops._reorder_linear_weight(weight) for weight in weights]
    best = float("inf")
    for _ in range(4):  # the first is slower
        start = time.perf_counter()
        for weight in weights:
            if dtype == torch.bfloat16:
                ops._linear_pointwise(x, weight, None, "none", [], "")
            else:
                torch.nn.functional.linear(x, weight)
        best = min(best, time.perf_counter() - start)
    return best
