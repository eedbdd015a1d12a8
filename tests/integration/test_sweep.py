"""A sweep on tiny models: its runs are those of `hfcli finetune` alone, also after a kill."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from hfcli.cli.sweep import plan_of_sweep
from hfcli.errors import Interrupted
from hfcli.recipe.sweep import SweptRun, load_sweep
from hfcli.results import Event, FinetuneResult, SweepResult
from hfcli.training.run import RunOptions, finetune
from hfcli.training.sweep import sweep
from tests.integration.test_training import RUNS, Killed, assert_same, run, write_recipe


def run_sweep(
    path: Path, folder: Path, sweeps: list[str], listener: Callable[[Event], None], resume: bool
) -> SweepResult:
    _, runs = load_sweep(path, [f"output_dir={folder}"], sweeps)

    def train(one: SweptRun, go_on: bool) -> FinetuneResult:
        return finetune(
            recipe=one.recipe, listener=listener, options=RunOptions(resume=go_on, more_follow=True)
        )

    return sweep(runs=runs, folder=folder, train=train, listener=listener, resume=resume)


@pytest.mark.parametrize("name", ["packed", "grouped", "lora"])
def test_a_killed_sweep_goes_on_and_every_run_is_what_it_is_alone(
    name: str, tiny_gpt2: Path, tmp_path: Path
) -> None:
    path = write_recipe(tmp_path / name, tiny_gpt2, **RUNS[name])
    sweeps = ["training.learning_rate=1e-3,5e-3", "training.bf16=false"]
    kill_at, seen = 6, []

    def kill(event: Event) -> None:
        if getattr(event, "step", None) == kill_at:
            seen.append(event)
            if len(seen) > 1:
                raise Killed

    with pytest.raises(Killed):
        run_sweep(path, tmp_path / "sweep", sweeps, kill, resume=False)
    names = [f"training.learning_rate={rate},training.bf16=false" for rate in ("1e-3", "5e-3")]
    first, second = (tmp_path / "sweep" / name for name in names)
    assert (first / "result.json").is_file()
    assert not (second / "result.json").exists()
    written = (first / "metrics.jsonl").stat().st_mtime_ns
    notes: list[Any] = []
    told = run_sweep(path, tmp_path / "sweep", sweeps, notes.append, resume=True)
    assert (first / "metrics.jsonl").stat().st_mtime_ns == written, "it was run again"
    assert any("resuming from" in getattr(note, "text", "") for note in notes)
    for folder, rate in ((first, "1e-3"), (second, "5e-3")):
        alone = run(path, f"training.learning_rate={rate}", f"output_dir={tmp_path / rate}")
        assert_same(folder, alone)
        scores = json.loads((alone / "result.json").read_text())["metrics"]
        (mine,) = [one for one in told.runs if one.folder == str(folder)]
        assert mine.metrics == scores
    losses = [one.metrics["loss"] for one in told.runs]
    assert losses == sorted(losses, key=lambda loss: loss or 0.0)
    assert losses[0] != losses[1]


def test_a_run_in_bfloat16_leaves_the_next_one_as_it_is_alone(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    path = write_recipe(tmp_path / "recipe", tiny_gpt2, **RUNS["packed"])
    sweeps = ["training.bf16=true,false", "training.max_steps=3"]
    run_sweep(path, tmp_path / "sweep", sweeps, lambda _event: None, resume=False)
    alone = run(path, "training.max_steps=3", f"output_dir={tmp_path / 'alone'}")
    assert_same(tmp_path / "sweep" / "training.bf16=false,training.max_steps=3", alone)


def test_a_plan_tells_of_every_run_and_writes_nothing(
    tiny_gpt2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_recipe(tmp_path / "recipe", tiny_gpt2, **RUNS["grouped"])
    # A warm-up longer than the run is known only when the rows are counted.
    sweeps = ["training.per_device_train_batch_size=4,45", "training.num_train_epochs=1,2"]
    with pytest.raises(typer.Exit) as ended:
        plan_of_sweep(
            recipe=path, overrides=[f"output_dir={tmp_path / 'sweep'}"], sweeps=sweeps,
            offline=True, json=False,
        )  # fmt: skip
    assert ended.value.exit_code == 6
    shown = capsys.readouterr()
    lines = [line.split() for line in shown.out.splitlines()]
    assert [line[:4] for line in lines[2:]] == [
        ["4", "1", "9", "4"], ["4", "2", "18", "4"], ["45", "1", "-", "-"], ["45", "2", "-", "-"],
    ]  # fmt: skip
    assert shown.err.count("would fail: training.per_device_train_batch_size=45") == 2
    assert "warmup_steps (2) is not shorter than the run (1 steps)" in shown.err
    assert not (tmp_path / "sweep").exists()


def test_a_signal_in_the_last_step_of_a_run_ends_the_sweep(tiny_gpt2: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path / "recipe", tiny_gpt2, **RUNS["packed"])
    sweeps = ["seed=1,2", "training.max_steps=3"]

    sent: list[Event] = []

    def stop(event: Event) -> None:
        if getattr(event, "step", None) == 3 and not sent:  # a second one would end the tests
            sent.append(event)
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted) as caught:
        run_sweep(path, tmp_path / "sweep", sweeps, stop, resume=False)
    assert caught.value.exit_code == 143
    first, second = (tmp_path / "sweep" / f"seed={n},training.max_steps=3" for n in (1, 2))
    assert (first / "result.json").is_file()
    assert not second.exists()
    told = run_sweep(path, tmp_path / "sweep", sweeps, lambda _event: None, resume=True)
    assert [one.state for one in told.runs] == ["done", "done"]
