"""Rows are let in by the memory they can grow to, and that changes when they run, not what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hfcli import device
from hfcli.generation.admission import LARGEST_BATCH, MEMORY_SHARE, MemoryBudget, memory_budget
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.engines.transformers import TransformersEngine, open_engine
from hfcli.generation.loading import ModelChoice
from hfcli.generation.request import Request
from hfcli.generation.sampling import SamplingParams
from hfcli.generation.slots import Slots


@pytest.fixture(scope="module")
def engine(tiny_gpt2: Path) -> TransformersEngine:
    choice = ModelChoice(str(tiny_gpt2), device="cpu")
    return open_engine(EngineOptions(choice=choice, listener=lambda event: None))


def request(number: int, prompt: int, new: int) -> Request:
    return Request(number, tuple(range(2, 2 + prompt)), number, SamplingParams(1.0), new)


def test_rows_start_while_the_longest_of_them_fits_as_often_as_there_are_rows() -> None:
    fit = MemoryBudget(rows=4, memory=300, column=1, row=5)
    short, long = request(0, 5, 10), request(1, 5, 90)
    assert fit.admit([], [short] * 9) == 4, "by number"
    assert fit.admit([short] * 3, [short] * 9) == 1
    assert fit.admit([], [long] * 9) == 2, "by memory: 2 * (128 + 5) is 266"
    assert fit.admit([short] * 2, [long]) == 0, "3 rows of 128 columns"
    assert fit.admit([long], [short] * 9) == 1, "short rows are as wide as the longest"
    assert fit.admit([], [request(2, 500, 500)]) == 1, "alone, a row always starts"
    assert fit.admit([short], [request(2, 500, 500)]) == 0
    assert MemoryBudget(rows=3).admit([], [request(2, 500, 500)] * 5) == 3, (
        "a number that was asked for"
    )


def test_the_room_is_a_share_of_what_is_free(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hfcli.generation.admission.free_memory", lambda device: 10_000)
    fit = memory_budget(engine.loaded.model, None)
    # 2 layers of keys and values, 2 heads of 16 float32 numbers; old and new cache
    assert (fit.rows, fit.column) == (LARGEST_BATCH, 2 * 2 * 2 * 2 * 16 * 4)
    assert fit.memory == int(MEMORY_SHARE * 10_000)
    assert memory_budget(engine.loaded.model, 7) == MemoryBudget(7)


def test_every_kind_of_model_has_a_size() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM, MambaConfig, MambaForCausalLM

    llama = LlamaConfig(
        vocab_size=300, hidden_size=32, intermediate_size=32, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2,
    )  # fmt: skip
    # 3 layers of keys and values, 2 heads of 8 float32 numbers; old and new cache
    assert memory_budget(LlamaForCausalLM(llama), None).column == 2 * 3 * 2 * 2 * 8 * 4
    mamba = MambaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=2, state_size=4)
    assert memory_budget(MambaForCausalLM(mamba), None).column > 0


def test_little_memory_changes_no_text_and_is_not_exceeded(
    tiny_gpt2_long: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = ModelChoice(str(tiny_gpt2_long), device="cpu")
    engine = open_engine(EngineOptions(choice=choice, listener=lambda event: None))
    # Short rows in the first window: a batch of their size would be too large for what follows.
    requests = [request(i, 3, 4) for i in range(1024)]
    requests += [request(1024 + i, 9, 180) for i in range(6)]
    expected = {f.request.number: f.ids for f in engine.run(requests)}
    room = memory_budget(engine.loaded.model, None)
    allowed = 3 * (192 * room.column + room.row)  # three of the long rows
    monkeypatch.setattr(
        "hfcli.generation.admission.free_memory", lambda device: int(allowed / MEMORY_SHARE) + 1
    )
    held: set[tuple[int, int]] = set()
    extend = Slots.decode

    def watched(self: Slots, tokens: Any) -> Any:
        logits = extend(self, tokens)
        rows, _heads, columns, _width = self.view.layers[0].keys.shape
        held.add((rows, columns))
        return logits

    monkeypatch.setattr(Slots, "decode", watched)
    tight = TransformersEngine(engine.loaded, engine.options)
    assert {f.request.number: f.ids for f in tight.run(requests)} == expected
    assert max(columns for _, columns in held) == 192
    assert max(rows * columns for rows, columns in held) <= 3 * 192
    assert max(rows for rows, _ in held) > 3, "short rows had more room"


def test_room_for_many_short_rows_never_becomes_room_for_many_long_ones(
    tiny_gpt2_long: Path,
) -> None:
    choice = ModelChoice(str(tiny_gpt2_long), device="cpu")
    slots = Slots(open_engine(EngineOptions(choice=choice, listener=print)).loaded.model)

    def held() -> tuple[int, int]:
        rows, _heads, columns, _width = slots.view.layers[0].keys.shape
        return rows, columns

    with torch.inference_mode():
        slots.prefill([[2, 3]] * 30)
        assert held() == (30, 64)
        for _ in range(29):
            slots.free(0)
        for _ in range(100):
            slots.decode([[4]])
        assert held() == (1, 128)
        slots.free(0)
        slots.prefill([[2] * 60] * 30)
        assert held() == (30, 64)
        slots.prefill([[2] * 70])
        logits = slots.decode([[5]] * 31)
        assert held() == (31, 128)
        for row, length in ((0, 60), (29, 60), (30, 70)):
            alone = slots.recompute([2] * length + [5])
            assert torch.allclose(logits[row], alone, atol=1e-4)


def test_numbers_that_are_none_end_the_run(engine: TransformersEngine) -> None:
    from hfcli.errors import RunError

    model: Any = engine.loaded.model
    weight = model.get_input_embeddings().weight
    before = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.fill_(float("nan"))
        for decoding in (SamplingParams(), SamplingParams(temperature=1.0)):
            with pytest.raises(RunError, match="NaN"):
                list(engine.run([replace(request(0, 3, 4), decoding=decoding)]))
    finally:
        with torch.no_grad():
            weight.copy_(before)


def test_a_container_has_what_its_groups_leave(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("4:memory:/x\n0::/a/b\n")
    for folder, limit, used in (("a", "1000", 300), ("a/b", "max", 0)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "memory.max").write_text(f"{limit}\n")
        (tmp_path / folder / "memory.current").write_text(f"{used}\n")
        (tmp_path / folder / "memory.stat").write_text("anon 1\ninactive_file 50\n")
    assert device._left_in_groups(tmp_path, own) == [750]
    (tmp_path / "a/b/memory.max").write_text("20\n")
    assert device._left_in_groups(tmp_path, own) == [70, 750]
    assert device._left_in_groups(tmp_path, tmp_path / "absent") == []
    assert device.free_host_memory() > 0
    assert device.free_memory(torch.device("cpu"))
