"""`python -m hfcli.environment.probe`: what torch tells about this machine, as a line of JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from hfcli.device import available_devices, computes_bf16, cpu_features, free_memory
from hfcli.environment.machine import processor_name
from hfcli.environment.speedups import measured_speed_ups


def facts() -> dict[str, Any]:
    """Return what `hfcli.environment.torch_facts.ask_torch` describes."""
    import torch

    return {
        "features": sorted(cpu_features()),
        "bfloat16": computes_bf16(torch.device("cpu")),
        "threads": torch.get_num_threads(),
        "devices": [_device(name) for name in available_devices()],
        "speed_ups": measured_speed_ups(),
    }


def _device(name: str) -> dict[str, Any]:
    import torch

    device = torch.device(name)
    module = getattr(torch, device.type)
    described, total = processor_name() if device.type == "cpu" else name, None
    if hasattr(module, "get_device_properties") and device.type != "cpu":
        told = module.get_device_properties(device)
        described = str(getattr(told, "name", name))
        total = getattr(told, "total_memory", None)
    return {
        "name": name,
        "description": described,
        "memory": total,
        "free": free_memory(device),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(facts()) + "\n")
