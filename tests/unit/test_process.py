"""Several processes are refused before anything is written; one is not, whoever started it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfcli.errors import RunError
from hfcli.process import RANKS, SIZES, check_single_process
from tests.helpers import hfcli, write_csv

ONE = [
    {}, {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}, {"SLURM_NTASKS": "8"},
    {"SLURM_NTASKS": "8", "SLURM_PROCID": "3", "SLURM_LOCALID": "3"}, {"LOCAL_RANK": "-1"},
    {"WORLD_SIZE": ""},
]  # fmt: skip
SEVERAL = [
    *({name: "2"} for name in SIZES), *({name: "1"} for name in RANKS), {"WORLD_SIZE": "x"},
    {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}, {"WORLD_SIZE": "1", "RANK": "7"},
]  # fmt: skip


@pytest.mark.parametrize("environ", ONE, ids=str)
def test_a_single_process_goes_on(environ: dict[str, str]) -> None:
    check_single_process(environ)


@pytest.mark.parametrize("environ", SEVERAL, ids=str)
def test_one_of_several_processes_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(RunError, match="hfcli runs in one process"):
        check_single_process(environ)


def test_every_command_that_writes_refuses_before_it_claims_anything(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "d.csv", [("one", "a"), ("two", "b")] * 8)
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "task: {name: text-classification}\nmodel: {name_or_path: bundled}\n"
        "data: {train: d.csv, validation_size: 0.5}\noutput_dir: run\n"
    )
    out = tmp_path / "out"
    commands: list[list[str | Path]] = [
        ["finetune", recipe], ["finetune", recipe, "--dry-run"],
        ["finetune", recipe, "--sweep", "seed=1,2"],
        ["finetune", recipe, "--sweep", "seed=1,2", "--dry-run"],
        ["export", "merge", "bundled", "-o", out], ["export", "push", tmp_path, "me/it"],
        ["eval", "--model", "bundled", "--data", data, "-o", out],
        ["generate", "-i", data, "-o", out / "texts.jsonl"],
    ]  # fmt: skip
    before = sorted(tmp_path.iterdir())
    for command in commands:
        done = hfcli(*command, env={"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"})
        assert done.returncode == 5, done.stderr
        assert "hfcli runs in one process" in done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before
