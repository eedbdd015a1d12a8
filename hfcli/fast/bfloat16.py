"""What is made faster where it wins on this machine, and the names that switch it off.

`--without NAME` switches one off, `--verbose` says what was chosen and why. Holds no methods of
its own but the probe of bfloat16.
"""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

from hfcli.cache import remember, remembered
from hfcli.device import computes_bf16

SWITCHES = {
    "lean-start": "import transformers without what inference on a CPU never uses",
    "forward": "compute GPT-2 and Llama models in fewer operations than their modules take",
    "prepack": "lay weights out for the processor",
    "guesses": "check several tokens at once where a text repeats itself",
    "bfloat16": "where float32 was not asked for and no text depends on the others for it",
    "gguf-cache": "keep what a GGUF file was converted to",
}
LARGE = 64 * 2**20  # bytes of weights; reading smaller ones is not what takes the time
GAIN = 1.2  # of a product, below which other digits are not worth it
_ROWS, _WIDTH, _LAYERS = 3072, 768, 12  # 28 million weights, more than a cache holds


def bfloat16_wins(weight_bytes: int) -> tuple[bool, str]:
    """Whether a CPU writes one text faster in bfloat16, and why (not)."""
    import torch

    if weight_bytes < LARGE:
        return False, "the model is small"
    if not computes_bf16(torch.device("cpu")):
        return False, "the processor has no instructions for bfloat16"
    gain = _measured_gain()
    return gain >= GAIN, f"products in bfloat16 take 1/{gain:.1f} of the time of float32 here"


def _measured_gain() -> float:
    import torch

    key = [processor(), torch.__version__, torch.get_num_threads()]
    stored = remembered("starts", ["bfloat16", *key])
    if stored is None:
        with torch.inference_mode():
            stored = _seconds(torch.float32) / _seconds(torch.bfloat16)
        remember("starts", ["bfloat16", *key], stored)
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


def processor() -> str:
    """The processor at hand, as far as what was measured on it goes."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    told = ("model name", "model", "stepping", "flags")
    return "; ".join(line for line in lines[:40] if line.partition("\t")[0] in told)
