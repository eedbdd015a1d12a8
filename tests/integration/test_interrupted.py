"""Law: a run that a signal interrupts, at any step, and that is resumed equals one that is not.

The same log, best checkpoint, early stopping, checkpoints left, and weights to the last bit.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hfcli.errors import Interrupted
from hfcli.results import Evaluated, Event, StepDone
from tests.integration.test_training import assert_same, run, write_recipe

STEPS = 8
TRAINING: dict[str, Any] = {
    "num_train_epochs": 2, "per_device_train_batch_size": 9, "logging_steps": 1, "warmup_steps": 0,
    "learning_rate": 0.05, "save_total_limit": 1,
}  # fmt: skip
STEPWISE = {"eval_strategy": "steps", "save_strategy": "steps"}
# Everything that decides what is evaluated, saved, best, deleted, and when a run stops.
RUNS: dict[str, dict[str, Any]] = {
    "best of the saved": {
        **STEPWISE, "eval_steps": 2, "save_steps": 4, "load_best_model_at_end": True,
    },
    "patience": {
        **STEPWISE, "eval_steps": 1, "save_steps": 1, "load_best_model_at_end": True,
        "early_stopping_patience": 3, "save_total_limit": 2,
    },
    "epochs": {
        "eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True,
        "early_stopping_patience": 2, "logging_steps": 3,
    },
    "metric": {
        **STEPWISE, "eval_steps": 3, "save_steps": 3, "load_best_model_at_end": True,
        "metric_for_best_model": "f1_macro",
    },
    "apart": {"eval_strategy": "epoch", "save_strategy": "steps", "save_steps": 4},
    "no checkpoints": {
        "eval_strategy": "steps", "eval_steps": 3, "save_strategy": "no",
        "early_stopping_patience": 2,
    },
}  # fmt: skip
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture(scope="module")
def references(
    tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Path, Path]]:
    """Name of a run -> its recipe and the folder of its uninterrupted run."""
    made: dict[str, tuple[Path, Path]] = {}

    def get(name: str) -> tuple[Path, Path]:
        if name not in made:
            path = write_recipe(
                tmp_path_factory.mktemp("run"), tiny_gpt2,
                task={"name": "text-classification"}, training={**TRAINING, **RUNS[name]},
            )  # fmt: skip
            made[name] = (path, run(path))
        return made[name]

    return get


def interrupted(path: Path, folder: Path, steps: Sequence[int], kind: type = StepDone) -> int:
    """Run to the end, with a signal at each of the steps and a resume after it; parts it took."""
    for part, step in enumerate([*steps, 0]):

        def listen(event: Event, step: int = step, part: int = part) -> None:
            if isinstance(event, kind) and getattr(event, "step", None) == step:
                signal.raise_signal(SIGNALS[part % 2])

        resume = folder.is_dir()
        message = ""
        try:
            run(path, f"output_dir={folder}", listener=listen, resume=resume)
        except Interrupted as e:
            message = e.message
        if not message:
            return part + 1
        assert f"step {step} is saved" in message
        assert (folder / f"checkpoint-{step}").is_dir()
    raise AssertionError("the run did not end")


def told(folder: Path) -> dict[str, Any]:
    """What a run tells of itself, but for its times."""
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return {k: v for k, v in result.items() if k not in {"seconds", "output_dir"}}


def kept(folder: Path) -> dict[str, tuple[Any, ...]]:
    """The checkpoints that are left, and what each calls the best."""
    found = {}
    for path in folder.glob("checkpoint-*"):
        state = json.loads((path / "trainer_state.json").read_text())
        best = Path(state["best_model_checkpoint"] or "").name
        patience = state["stateful_callbacks"].get("EarlyStoppingCallback")
        found[path.name] = best, state["best_global_step"], state["best_metric"], patience
    return found


def assert_equal_runs(folder: Path, whole: Path) -> None:
    assert_same(folder, whole)
    assert told(folder) == told(whole)
    assert kept(folder) == kept(whole)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_is_interrupted_again_and_again_equals_an_uninterrupted_one(
    name: str, references: Any, tmp_path: Path
) -> None:
    path, whole = references(name)
    parts = interrupted(path, tmp_path / "run", (1, 3, 4, 5, 7))
    assert parts > 2
    assert_equal_runs(tmp_path / "run", whole)


@pytest.mark.parametrize("step", [2, 6])
def test_one_signal_at_any_step_changes_nothing(step: int, references: Any, tmp_path: Path) -> None:
    path, whole = references("best of the saved")
    assert interrupted(path, tmp_path / "run", [step]) == 2
    assert_equal_runs(tmp_path / "run", whole)


@pytest.mark.parametrize("name", ["best of the saved", "apart"])
def test_a_signal_while_it_evaluates_changes_nothing(
    name: str, references: Any, tmp_path: Path
) -> None:
    path, whole = references(name)
    assert interrupted(path, tmp_path / "run", [4], Evaluated) == 2
    assert_equal_runs(tmp_path / "run", whole)


def test_the_runs_are_such_that_the_law_could_fail(references: Any) -> None:
    """Some run stops early, some run's best checkpoint is not its last, and some were deleted."""
    ends = {name: told(references(name)[1]) for name in RUNS}
    notes = {name: " ".join(end["notes"]) for name, end in ends.items()}
    assert any("stopped early" in note for note in notes.values()), notes
    assert any("the best by" in n and f"step {STEPS}," not in n for n in notes.values()), notes
    assert any(end["steps"] == STEPS for end in ends.values())


def test_times_and_rates_are_those_of_all_parts(
    references: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _whole = references("metric")
    now = [0.0]
    monkeypatch.setattr("hfcli.training.progress.time.perf_counter", lambda: now[0])
    rates: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, StepDone) and event.loss is not None:
            rates.append(event.tokens_per_second)
            now[0] += 10.0  # a step takes ten seconds, in each part

    def stop(event: Event) -> None:
        listen(event)
        if isinstance(event, StepDone) and event.step == 3:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        run(path, f"output_dir={tmp_path}", listener=stop)
    run(path, f"output_dir={tmp_path}", listener=listen, resume=True)
    end = told(tmp_path)
    seconds = json.loads((tmp_path / "result.json").read_text())["seconds"]
    assert seconds == pytest.approx(10 * STEPS)
    assert rates[-1] == pytest.approx(end["tokens_seen"] / (10 * (STEPS - 1)), rel=1e-3)
