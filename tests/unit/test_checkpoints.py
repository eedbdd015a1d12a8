"""Which checkpoints count, and which are deleted."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hfcli.errors import RunError
from hfcli.training import checkpoints
from hfcli.training.loop import Split
from hfcli.training.progress import StepLog

HEADER = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
WEIGHTS = len(HEADER).to_bytes(8, "little") + HEADER + bytes(4)


def make(folder: Path, step: int) -> Path:
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        with zipfile.ZipFile(checkpoint / name, "w") as archive:
            archive.writestr("data", "numbers")
    (checkpoint / "model.safetensors").write_bytes(WEIGHTS)
    (checkpoint / "trainer_state.json").write_text("{}")
    return checkpoint


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


DAMAGE: dict[str, Callable[[Path], None]] = {
    "a list for a state": lambda c: (c / "trainer_state.json").write_text("[1]"),  # type: ignore[dict-item]
    "a deep state": lambda c: (c / "trainer_state.json").write_text("[" * 100_000),  # type: ignore[dict-item]
    "a list for a window": lambda c: (c / "loss_window.json").write_text("[1]"),  # type: ignore[dict-item]
    "no state": lambda c: (c / "trainer_state.json").unlink(),
    "half a state": lambda c: (c / "trainer_state.json").write_text('{"step": '),  # type: ignore[dict-item]
    "no optimizer": lambda c: (c / "optimizer.pt").unlink(),
    "half an optimizer": lambda c: cut(c / "optimizer.pt"),
    "no scheduler": lambda c: (c / "scheduler.pt").unlink(),
    "no random state": lambda c: (c / "rng_state.pth").unlink(),
    "no weights": lambda c: (c / "model.safetensors").unlink(),
    "half the weights": lambda c: cut(c / "model.safetensors"),
    "empty weights": lambda c: (c / "model.safetensors").write_bytes(b""),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_checkpoint_does_not_count(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    older, newer = make(tmp_path, 9), make(tmp_path, 10)
    assert checkpoints.last_checkpoint(tmp_path) == newer
    damage(newer)
    assert checkpoints.last_checkpoint(tmp_path) == older


def left(folder: Path) -> list[int]:
    return [int(path.name.removeprefix("checkpoint-")) for path in checkpoints.checkpoints(folder)]


@pytest.mark.parametrize(
    ("keep", "best", "stay"),
    [
        (None, None, [2, 4, 6, 10]),
        (3, None, [4, 6, 10]),
        (1, None, [10]),
        (2, 2, [2, 10]),
        (1, 4, [4, 10]),
    ],
)
def test_the_newest_and_the_best_stay(
    keep: int | None, best: int | None, stay: list[int], tmp_path: Path
) -> None:
    for step in (2, 4, 6, 10):
        make(tmp_path, step)
    checkpoints.rotate(tmp_path, keep, tmp_path / f"checkpoint-{best}" if best else None)
    assert left(tmp_path) == stay
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_only_good_one_is_never_deleted(tmp_path: Path) -> None:
    make(tmp_path, 2)
    for step in (4, 6):
        cut(make(tmp_path, step) / "optimizer.pt")
    checkpoints.rotate(tmp_path, 1, None)
    assert 2 in left(tmp_path)
    assert checkpoints.last_checkpoint(tmp_path) == tmp_path / "checkpoint-2"


def test_what_a_kill_left_is_cleaned_away(tmp_path: Path) -> None:
    make(tmp_path / checkpoints.SAVING, 4)
    make(tmp_path, 2).rename(tmp_path / f"{checkpoints.DELETING}checkpoint-2")
    checkpoints.clean(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("split", "smaller"),
    [((8, 1), (4, 2)), ((4, 3), (2, 6)), ((3, 1), (1, 3)), ((5, 2), (2, 5)), ((1, 8), None)],
)
def test_a_divided_step_has_as_many_rows(
    split: tuple[int, int], smaller: tuple[int, int] | None
) -> None:
    found = Split(*split).smaller()
    assert (found and (found.rows, found.times)) == smaller
    if smaller is not None:
        assert smaller[0] * smaller[1] == split[0] * split[1]


@pytest.mark.parametrize("damage", [b"[1]", b"null", b"\xff\xfe", b"{}", b"[" * 100_000])
def test_a_damaged_line_of_metrics_is_told_and_nothing_is_lost(
    damage: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "metrics.jsonl"
    content = b'{"step": 1}\n' + damage + b'\n{"step": 2}\n'
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"metrics\.jsonl:2: is damaged"):
        StepLog(path).cut_after(2)
    assert path.read_bytes() == content
    path.write_bytes(b'{"step": 1}\n{"st')  # a kill
    StepLog(path).cut_after(2)
    assert path.read_bytes() == b'{"step": 1}\n'
