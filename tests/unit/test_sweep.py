"""Sweeps without training: combinations, names, errors, and what is made of the outcomes."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

import pytest

from hfcli.errors import Interrupted, RecipeError, RunError
from hfcli.recipe.load import dump_recipe, load_recipe
from hfcli.recipe.sweep import SweptRun, load_sweep, run_name
from hfcli.render.sweep import show_sweep
from hfcli.results import FinetuneResult, Note, SweepResult
from hfcli.runfolder.names import SWEEP_FILE
from hfcli.training.record import describe_inputs
from hfcli.training.sweep import sweep
from tests.helpers import RECIPES

RECIPE = RECIPES / "bundled-text-classification.yaml"
RATES = "training.learning_rate=5e-4,1e-3"


def load(tmp_path: Path, *sweeps: str, overrides: tuple[str, ...] = ()) -> list[SweptRun]:
    folder, runs = load_sweep(RECIPE, [f"output_dir={tmp_path / 'sweep'}", *overrides], sweeps)
    assert folder == tmp_path / "sweep"
    return runs


def result(metrics: dict[str, float | None]) -> FinetuneResult:
    return FinetuneResult(
        task="t", model="m", revision=None, output_dir="", steps=3, epochs=1.0, train_rows=1,
        train_loss=None, metrics=metrics, tokens_seen=1, seconds=1.0, seed=0, device="cpu",
        bf16=False,
    )  # fmt: skip


def test_every_combination_is_what_the_same_overrides_give(tmp_path: Path) -> None:
    runs = load(tmp_path, RATES, "seed=1,2", "training.extra={optim: sgd},{}")
    assert len(runs) == 8
    for run in runs:
        settings = [f"{key}={json.dumps(value)}" for key, value in run.values.items()]
        alone = load_recipe(RECIPE, [f"output_dir={run.folder}", *settings])
        assert dump_recipe(run.recipe) == dump_recipe(alone)
    names = [run.name for run in runs]
    assert len({*names}) == 8
    assert [run.folder for run in runs] == [tmp_path / "sweep" / name for name in names]


def test_a_folder_is_named_by_what_is_swept_as_it_was_typed(tmp_path: Path) -> None:
    names = [run.name for run in load(tmp_path, RATES, "seed=1")]
    assert names == [
        "training.learning_rate=5e-4,seed=1",
        "training.learning_rate=1e-3,seed=1",
    ]


@pytest.mark.parametrize(
    "value", ["../x", "/etc", "a b", "'a, b'", "[1, 2]", "ä", "a\nb", "x" * 300, "~", "a:b"]
)
def test_a_name_is_a_safe_one_whatever_is_swept(value: str) -> None:
    name = run_name([("model.name_or_path", value), ("seed", "1")])
    assert name.startswith("model.name_or_path=")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.,=+-")
    assert len(name) <= 120
    assert run_name([("model.name_or_path", value + "y"), ("seed", "1")]) != name


def test_lists_and_quoted_commas_are_one_value(tmp_path: Path) -> None:
    runs = load(
        tmp_path,
        "evaluation.metrics=[accuracy, f1_macro],[accuracy]",
        'data.train=["a,b.csv"],"c,d.csv"',
    )
    assert [run.recipe.evaluation.metrics for run in runs[::2]] == [
        ["accuracy", "f1_macro"],
        ["accuracy"],
    ]
    assert [Path(run.recipe.data.train[0]).name for run in runs[:2]] == ["a,b.csv", "c,d.csv"]


WRONG: dict[str, tuple[list[str], list[str]]] = {
    "values": (
        ["training.learning_rate=5e-4,-1,x", "training.max_steps=-7,5"],
        [
            "--sweep training.learning_rate: input should be greater than 0 (found -1)",
            "--sweep training.learning_rate: input should be a valid number",
            "--sweep training.max_steps: input should be greater than or equal to -1 (found -7)",
        ],
    ),
    "key": (
        ["training.lerning_rate=1,2", "seed=1,2"],
        ["--sweep training.lerning_rate: unknown key, did you mean learning_rate?"],
    ),
    "together": (
        ["training.max_steps=1,9", "training.warmup_steps=0,3"],
        [
            "training: warmup_steps (3) is not shorter than the run (max_steps 1)"
            " (run training.max_steps=1,training.warmup_steps=3)"
        ],
    ),
    "nothing": (["seed", "training.max_steps="], ["--sweep seed: a sweep", "max_steps=: a sweep"]),
    "list": (["seed=[1,2"], ["--sweep seed=[1,2: the values are not a list"]),
    "twice": (["seed=1,2", "seed=3,4"], ["--sweep seed: is set twice"]),
    "inside": (
        ["training={},{max_steps: 3}", "training.max_steps=1,2"],
        ["--sweep training.max_steps: and training set the same key"],
    ),
    "folder": (["output_dir=a,b"], ["every run has its own folder"]),
    "equal": (
        ["training.learning_rate=1e-3,0.001"],
        ["training.learning_rate=1e-3 and training.learning_rate=0.001 are the same run"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_everything_that_is_wrong_is_told_at_once(name: str, tmp_path: Path) -> None:
    sweeps, expected = WRONG[name]
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, *sweeps)
    lines = caught.value.message.splitlines()
    assert len(lines) == len(expected), lines
    for part in expected:
        assert any(part in line for line in lines), (part, lines)


def test_a_key_that_is_set_cannot_be_swept_too(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="--sweep seed: is set twice"):
        load(tmp_path, "seed=1,2", overrides=("seed=3",))


def run_all(
    runs: list[SweptRun], scores: dict[str, Any], **options: Any
) -> tuple[SweepResult, list[str]]:
    """A sweep whose runs give `scores`, by name, and the runs that were trained."""
    trained: list[str] = []

    def train(run: SweptRun, resume: bool) -> FinetuneResult:
        trained.append(run.name)
        score = scores[run.name]
        if isinstance(score, BaseException):
            raise score
        run.folder.mkdir(exist_ok=True)
        (run.folder / "result.json").write_text("{}")
        record = {**describe_inputs(run.recipe), "model": {"sha256": "x"}}
        (run.folder / "run.json").write_text(json.dumps(record))
        return result({"accuracy": score})

    told = sweep(
        runs=runs, folder=runs[0].folder.parent, train=train, listener=lambda _event: None,
        **options,
    )  # fmt: skip
    return told, trained


def test_runs_are_sorted_by_the_mean_over_seeds_in_the_direction_of_the_metric(
    tmp_path: Path,
) -> None:
    runs = load(tmp_path, RATES, "seed=1,2,3")
    values = [0.1, 0.9, 0.5, 0.6, 0.65, 0.61]
    scores = dict(zip([run.name for run in runs], values, strict=True))
    told, _ = run_all(runs, scores)
    assert told.metric == "accuracy"
    assert [run.metrics["accuracy"] for run in told.runs] == [0.65, 0.61, 0.6, 0.9, 0.5, 0.1]
    assert [group.values for group in told.groups] == [
        {"training.learning_rate": 1e-3},
        {"training.learning_rate": 5e-4},
    ]
    for group, half in zip(told.groups, (values[3:], values[:3]), strict=True):
        assert group.n == 3
        assert group.mean == pytest.approx(math.fsum(half) / 3)
        assert group.sd == pytest.approx(statistics.stdev(half))


def test_the_table_has_a_line_a_run_and_the_spread_in_the_first_of_a_group(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = load(tmp_path, RATES, "seed=1,2")
    scores: dict[str, Any] = dict(
        zip([run.name for run in runs], [0.25, 0.5, 0.75, 1.0], strict=True)
    )
    scores[runs[1].name] = RunError("the loss is nan\nmore")
    told, _ = run_all(runs, scores)
    show_sweep(told)
    shown = capsys.readouterr()
    header, _line, *lines = [line.split() for line in shown.out.splitlines()]
    assert header == [
        "training.learning_rate", "seed", "accuracy", "mean", "sd", "seeds", "time", "run",
    ]  # fmt: skip
    assert lines == [
        ["0.001", "2", "1.0000", "0.8750", "0.1768", "2", "1", "s", "done"],
        ["0.001", "1", "0.7500", "1", "s", "done"],
        ["0.0005", "1", "0.2500", "0.2500", "-", "1", "1", "s", "done"],
        ["0.0005", "2", "-", "-", "failed"],
    ]
    assert "learning_rate=5e-4,seed=2: the loss is nan\n" in shown.err
    assert "best by mean accuracy:" in shown.err
    assert "learning_rate=1e-3,seed=2\n" in shown.err


def test_a_failed_run_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    runs = load(tmp_path, "seed=1,2,3")
    scores = {"seed=1": 0.5, "seed=2": RunError("the loss is nan"), "seed=3": 0.7}
    told, trained = run_all(runs, scores)
    assert trained == ["seed=1", "seed=2", "seed=3"]
    assert [(run.name, run.state, run.exit_code) for run in told.runs] == [
        ("seed=3", "done", None), ("seed=1", "done", None), ("seed=2", "failed", 5),
    ]  # fmt: skip
    assert told.groups[0].n == 2
    assert told.groups[0].mean == pytest.approx(0.6)
    assert json.loads((tmp_path / "sweep" / SWEEP_FILE).read_text()) == told.to_dict()


def test_an_interrupted_sweep_goes_on_with_what_is_not_done(tmp_path: Path) -> None:
    runs = load(tmp_path, "seed=1,2,3")
    scores: dict[str, Any] = {"seed=1": 0.5, "seed=2": Interrupted("x", signal=2), "seed=3": 0.7}
    with pytest.raises(Interrupted):
        run_all(runs, scores)
    told = json.loads((tmp_path / "sweep" / SWEEP_FILE).read_text())
    assert {run["name"]: run["state"] for run in told["runs"]} == {
        "seed=1": "done", "seed=2": "unfinished", "seed=3": "unfinished",
    }  # fmt: skip
    with pytest.raises(RunError, match="not empty"):
        run_all(runs, scores)
    done, trained = run_all(runs, scores | {"seed=2": 0.6}, resume=True)
    assert trained == ["seed=2", "seed=3"]
    assert {run.state for run in done.runs} == {"done"}
    assert run_all(runs, {}, resume=True) == (done, [])


def test_a_sweep_of_another_recipe_cannot_go_on(tmp_path: Path) -> None:
    run_all(load(tmp_path, "seed=1,2"), {"seed=1": 0.5, "seed=2": 0.6})
    changed = load(tmp_path, "seed=1,2", overrides=("training.learning_rate=1e-5",))
    with pytest.raises(RunError, match=r"seed=1: .*training.learning_rate: 0.0005 -> 1e-05"):
        run_all(changed, {}, resume=True)
    # What a run can go on with, it does.
    longer = load(tmp_path, "seed=1,2", overrides=("training.num_train_epochs=9",))
    _, trained = run_all(longer, {"seed=1": 0.5, "seed=2": 0.6}, resume=True)
    assert trained == ["seed=1", "seed=2"]


def test_a_folder_that_no_sweep_wrote_is_left_alone(tmp_path: Path) -> None:
    runs = load(tmp_path, "seed=1,2")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "recipe.yaml").write_text("mine")
    for options, told in (({"resume": True}, "no sweep"), ({"overwrite": True}, "will not delete")):
        with pytest.raises(RunError, match=told):
            run_all(runs, {}, **options)
    assert (tmp_path / "sweep" / "recipe.yaml").read_text() == "mine"


def test_notes_say_which_run_it_is(tmp_path: Path) -> None:
    notes: list[Any] = []
    runs = load(tmp_path, "seed=1,2")
    sweep(
        runs=runs, folder=tmp_path / "sweep", train=lambda run, resume: result({}),
        listener=notes.append,
    )  # fmt: skip
    assert notes == [Note("run 1 of 2, seed=1"), Note("run 2 of 2, seed=2")]
