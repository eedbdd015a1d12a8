"""Memory is an accelerator's own: what the machine has never stands in for it."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hfcli import device
from hfcli.generation.admission import memory_budget
from hfcli.training import trial as memory
from hfcli.training.batch_size import UNKNOWN, largest_rows

FREE, USED, PEAK = 7_000, 1_000, 5_000
TRAINED = 10  # parameters


class Counting:
    """An accelerator as torch.cuda, torch.xpu and torch.npu describe theirs."""

    held = USED
    peak = 10**9  # of earlier work

    def mem_get_info(self, _device: Any) -> tuple[int, int]:
        return FREE, 10**6

    def memory_allocated(self, _device: Any) -> int:
        return self.held

    def reset_peak_memory_stats(self, _device: Any) -> None:
        self.peak = self.held

    def max_memory_allocated(self, _device: Any) -> int:
        return self.peak

    def work(self) -> None:
        self.peak = max(self.peak, PEAK)


class Pooling:
    """An accelerator as torch.mps describes it: no peak, but a pool that keeps what was freed."""

    pool = 10**9  # of earlier work

    def recommended_max_memory(self) -> int:
        return FREE + self.pool

    def driver_allocated_memory(self) -> int:
        return self.pool

    def empty_cache(self) -> None:
        self.pool = USED

    def work(self) -> None:
        self.pool = max(self.pool, PEAK)


class Silent:
    """An accelerator that says nothing."""

    def work(self) -> None:
        pass


class Refusing(Counting):
    """An accelerator whose driver cannot be asked."""

    def mem_get_info(self, _device: Any) -> tuple[int, int]:
        raise RuntimeError("The device does not support querying available memory")


KINDS = [("cuda", Counting), ("xpu", Counting), ("npu", Counting), ("mps", Pooling)]


@pytest.fixture(autouse=True)
def no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for the machine's memory is an error here."""

    def asked(*_args: object) -> None:
        raise AssertionError("the machine's memory was asked for")

    for module, name in (
        (device, "free_host_memory"), (memory, "_told"), (memory, "_peak"), (memory, "_reset"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, asked)


def put(monkeypatch: pytest.MonkeyPatch, kind: str, module: Any) -> Any:
    """Make `torch.KIND` a module, and return a device of that kind."""
    monkeypatch.setattr(torch, kind, module, raising=False)
    return SimpleNamespace(type=kind)


def test_every_kind_that_a_run_may_use_is_tried_here() -> None:
    assert {kind for kind, _module in KINDS} == set(device.ACCELERATORS)


@pytest.mark.parametrize(("kind", "module"), KINDS)
def test_free_used_and_peak_are_those_of_the_device(
    kind: str, module: type[Counting | Pooling], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = module()
    place = put(monkeypatch, kind, made)
    assert device.free_memory(place) == FREE
    assert memory.used_memory(place) == USED
    peak = memory.peak_memory(work=made.work, device=place, trained_parameters=TRAINED)
    assert peak == PEAK + memory.ADAM_BYTES * TRAINED


@pytest.mark.parametrize("kind", [*device.ACCELERATORS, "privateuseone"])
@pytest.mark.parametrize("module", [Silent, Refusing, None])
def test_a_device_that_does_not_tell_is_not_known(
    kind: str, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = module and module()
    place = put(monkeypatch, kind, made)
    assert device.free_memory(place) is None
    if not isinstance(made, Refusing):
        assert memory.used_memory(place) == 0
        work = made.work if made else (lambda: None)
        assert memory.peak_memory(work=work, device=place, trained_parameters=TRAINED) is None
    model: Any = SimpleNamespace(
        config=SimpleNamespace(
            get_text_config=lambda decoder: SimpleNamespace(
                hidden_size=8, num_hidden_layers=2, vocab_size=9
            )
        ),
        dtype=torch.float32,
        device=place,
    )
    assert memory_budget(model, None).memory is None


@pytest.mark.parametrize("fits", [0, 1, 2, 3, 4, 7, 8, 64])
@pytest.mark.parametrize("total", [1, 6, 7, 64])
def test_where_nothing_is_known_batches_are_tried(total: int, fits: int) -> None:
    tried: list[int] = []

    def need(rows: int) -> float | None:
        tried.append(rows)
        return None if rows <= fits else math.inf

    for room in (None, 10**12):
        chosen = largest_rows(total, need, room)
        assert total % chosen == 0
        assert chosen == 1 or chosen <= min(fits, UNKNOWN)
        larger = [n for n in range(chosen + 1, UNKNOWN + 1) if total % n == 0]
        assert all(n > fits for n in larger)
        assert chosen in tried or chosen == 1
        assert room is not None or max(tried) <= UNKNOWN
