"""Laws of training on tiny models: resumed equals uninterrupted, divided equals whole."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from hfcli.errors import HfcliError, RunError
from hfcli.recipe.load import load_recipe
from hfcli.results import Event
from hfcli.training import checkpoints
from hfcli.training.run import RunOptions, finetune
from tests.conftest import SENTENCES

ROWS = [
    (f"{SENTENCES[i % 4]} {'again and ' * (i % 7)}{i}", ("calm", "storm")[i % 3 == 0])
    for i in range(45)
]
TRAINING: dict[str, Any] = {
    "num_train_epochs": 3, "per_device_train_batch_size": 4, "logging_steps": 1,
    "learning_rate": 1e-3, "eval_strategy": "steps", "eval_steps": 5, "save_strategy": "steps",
    "save_steps": 4, "bf16": False, "warmup_steps": 2,
}  # fmt: skip
# Everything that changes the order or the shape of the batches.
RUNS: dict[str, dict[str, Any]] = {
    "packed": {"task": {"name": "text-generation", "block_size": 48}},
    "wrapped": {"task": {"name": "text-generation", "block_size": 32, "packing": "wrapped"}},
    "padded": {"task": {"name": "text-generation", "packing": "no"}},
    "accumulated": {
        "task": {"name": "text-generation", "packing": "no"},
        "training": {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 3},
    },
    "random": {
        "task": {"name": "text-classification"},
        "training": {"train_sampling_strategy": "random"},
    },
    "grouped": {"task": {"name": "text-classification"}, "training": {"logging_steps": 3}},
    "lora": {"task": {"name": "text-classification"}, "model": {"lora": {"r": 4}}},
    "frozen": {
        "task": {"name": "text-generation", "packing": "no"},
        "model": {"freeze_layers": 1},
    },
    "best": {
        "task": {"name": "text-classification"},
        "training": {"eval_steps": 4, "load_best_model_at_end": True, "save_total_limit": 1},
    },
}


class Killed(BaseException):
    """Stands for kill -9 in a test that stays in one process."""


def write_recipe(folder: Path, weights: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": text, "label": label}) for text, label in ROWS]
    (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    values = {
        "task": changes["task"],
        "model": {"name_or_path": str(weights), **changes.get("model", {})},
        "data": {"train": "rows.jsonl", "validation_size": 0.2, **changes.get("data", {})},
        "training": {**TRAINING, **changes.get("training", {})},
        "generation": changes.get("generation", {}),
        "output_dir": "run",
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return folder / "recipe.yaml"


def run(
    path: Path,
    *overrides: str,
    kill_at: int | None = None,
    listener: Callable[[Event], None] = lambda _event: None,
    **options: Any,
) -> Path:
    """Train in this process, and be killed after step `kill_at`; the output folder."""

    def listen(event: Event) -> None:
        listener(event)
        if kill_at is not None and getattr(event, "step", None) == kill_at:
            raise Killed

    recipe = load_recipe(path, overrides)
    finetune(recipe=recipe, listener=listen, options=RunOptions(**options))
    assert recipe.output_dir is not None
    return recipe.output_dir


def log(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "tokens_per_second"} for line in lines]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = folder.glob("*model.safetensors")
    return load_file(file)


def assert_same(folder: Path, reference: Path) -> None:
    """Equal to the last bit: what was logged, and what was learned."""
    assert log(folder) == log(reference)
    one, other = weights(folder), weights(reference)
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.fixture(scope="module")
def references(
    tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Path, Path]]:
    """Name of a run -> its recipe and the folder of its uninterrupted run."""
    made: dict[str, tuple[Path, Path]] = {}

    def get(name: str) -> tuple[Path, Path]:
        if name not in made:
            path = write_recipe(tmp_path_factory.mktemp(name), tiny_gpt2, **RUNS[name])
            made[name] = (path, run(path))
        return made[name]

    return get


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("kill_at", [6, 11])  # within the first epoch or later, off a checkpoint
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(
    name: str, kill_at: int, references: Any, tmp_path: Path
) -> None:
    path, reference = references(name)
    steps = json.loads((reference / "result.json").read_text())["steps"]
    assert steps > kill_at, "the run must be longer than that"
    where = f"output_dir={tmp_path / 'run'}"
    with pytest.raises(Killed):
        run(path, where, kill_at=kill_at)
    assert not (tmp_path / "run" / "result.json").exists()
    assert_same(run(path, where, resume=True), reference)


@pytest.mark.parametrize("steps", [5, 12, 13])  # within an epoch, and at the end of one
def test_a_run_that_had_only_to_be_saved_takes_no_further_step(
    steps: int, tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = {"max_steps": steps, "num_train_epochs": 1, "save_steps": steps}
    task = {"name": "text-generation", "packing": "no"}
    path = write_recipe(tmp_path, tiny_gpt2, task=task, training=training)
    reference = run(path)
    where = f"output_dir={tmp_path / 'other'}"
    with monkeypatch.context() as patch:
        patch.setattr("hfcli.training.run.save_model", _killed)
        with pytest.raises(Killed):
            run(path, where)
    assert_same(run(path, where, resume=True), reference)
    assert len(log(reference)) >= steps


def _killed(*_args: Any) -> None:
    raise Killed


def test_samples_are_written_at_every_evaluation_and_change_nothing(
    references: Any, tmp_path: Path
) -> None:
    from hfcli.generation.samples import write_samples

    path, reference = references("padded")
    prompts = "training.sample_prompts=[The harbour, In the]"
    where = f"output_dir={tmp_path / 'run'}"
    folder = run(path, prompts, where, write_samples=write_samples)
    assert_same(folder, reference)
    samples = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in log(folder) if "eval_loss" in line]
    assert steps
    assert [(s["step"], s["prompt"]) for s in samples] == [
        (step, prompt) for step in steps for prompt in ("The harbour", "In the")
    ]
    assert len({s["text"] for s in samples}) > 1


def test_frozen_layers_stay_as_they_are(references: Any, tiny_gpt2: Path) -> None:
    learned = weights(references("frozen")[1])
    before = weights(tiny_gpt2)
    assert torch.equal(
        learned["transformer.h.0.mlp.c_fc.weight"], before["transformer.h.0.mlp.c_fc.weight"]
    )
    assert not torch.equal(
        learned["transformer.h.1.mlp.c_fc.weight"], before["transformer.h.1.mlp.c_fc.weight"]
    )


def test_the_set_of_runs_covers_the_second_epoch(references: Any) -> None:
    assert RUNS
    for name in ("packed", "grouped"):
        result = json.loads((references(name)[1] / "result.json").read_text())
        assert result["steps"] / 3 < 11, "the second kill must fall into a later epoch"


def test_half_written_checkpoints_are_passed_over(references: Any, tmp_path: Path) -> None:
    path, reference = references("grouped")
    where = f"output_dir={tmp_path / 'run'}"
    with pytest.raises(Killed):
        run(path, where, kill_at=11)
    newest = checkpoints.last_checkpoint(tmp_path / "run")
    assert newest is not None
    assert newest.name == "checkpoint-8"
    later = newest.with_name("checkpoint-10")
    shutil.copytree(newest, later)
    data = (later / "optimizer.pt").read_bytes()
    (later / "optimizer.pt").write_bytes(data[: len(data) // 2])
    (tmp_path / "run" / ".saving" / "checkpoint-12").mkdir(parents=True)
    assert checkpoints.last_checkpoint(tmp_path / "run") == newest
    assert_same(run(path, where, resume=True), reference)


def test_a_run_can_be_resumed_when_it_has_no_checkpoint_yet(
    references: Any, tmp_path: Path
) -> None:
    path, reference = references("packed")
    where = f"output_dir={tmp_path / 'run'}"
    with pytest.raises(Killed):
        run(path, where, kill_at=2)
    assert_same(run(path, where, resume=True), reference)


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that has no room for more than two rows in training."""
    from transformers import GPT2ForSequenceClassification

    forward: Any = GPT2ForSequenceClassification.forward

    def limited(self: Any, input_ids: Any = None, **rest: Any) -> Any:
        if self.training and len(input_ids) > 2:
            torch.rand(1)  # a step that is given up has used random numbers
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")
        return forward(self, input_ids=input_ids, **rest)

    limited.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(GPT2ForSequenceClassification, "forward", limited)


@pytest.mark.usefixtures("small_memory")
def test_a_run_that_is_out_of_memory_divides_its_batches_and_says_so(
    references: Any, tmp_path: Path
) -> None:
    path, _reference = references("grouped")
    no_dropout = "training.max_steps=6"
    notes: list[str] = []

    def listen(event: Event) -> None:
        notes.append(getattr(event, "text", ""))

    folder = run(path, no_dropout, f"output_dir={tmp_path / 'run'}", listener=listen)
    told = [note for note in notes if "out of memory" in note]
    assert len(told) == 1
    assert "per_device_train_batch_size 2 and gradient_accumulation_steps 2" in told[0]
    again = "training.per_device_train_batch_size=2"
    double = "training.gradient_accumulation_steps=2"
    other = run(path, no_dropout, again, double, f"output_dir={tmp_path / 'other'}")
    assert_same(folder, other)


@pytest.mark.usefixtures("small_memory")
def test_out_of_memory_with_one_row_is_an_error(
    references: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import GPT2ForSequenceClassification

    def none_fits(self: Any, input_ids: Any = None, **rest: Any) -> Any:
        raise MemoryError

    forward: Any = GPT2ForSequenceClassification.forward
    none_fits.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(GPT2ForSequenceClassification, "forward", none_fits)
    path, _reference = references("grouped")
    with pytest.raises(RunError, match="out of memory"):
        run(path, f"output_dir={tmp_path / 'run'}")


@pytest.mark.parametrize("name", ["packed", "padded", "grouped"])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_rows_and_checkpoint(
    name: str, references: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate import Accelerator

    path, _reference = references(name)
    backward, calls = Accelerator.backward, [0]

    def broken(self: Any, loss: Any, **kwargs: Any) -> None:
        calls[0] += 1
        if calls[0] == 6:
            loss.data.fill_(float("nan"))
        backward(self, loss, **kwargs)

    monkeypatch.setattr(Accelerator, "backward", broken)
    with pytest.raises(RunError, match=r"the loss is nan at step 6 \(rows: .*rows.jsonl:") as e:
        run(path, f"output_dir={tmp_path / 'run'}")
    assert "checkpoint-4" in str(e.value.hint)


def test_a_changed_recipe_cannot_be_resumed_unless_the_change_is_harmless(
    references: Any, tmp_path: Path
) -> None:
    path, _reference = references("packed")
    where = f"output_dir={tmp_path / 'run'}"
    with pytest.raises(Killed):
        run(path, where, kill_at=6)
    with pytest.raises(RunError, match=r"training.learning_rate: 0.001 -> 0.01"):
        run(path, where, "training.learning_rate=1e-2", resume=True)
    with pytest.raises(RunError, match=r"seed: 42 -> 1"):
        run(path, where, "seed=1", resume=True)
    notes: list[str] = []
    run(
        path, where, "training.max_steps=9", resume=True,
        listener=lambda event: notes.append(getattr(event, "text", "")),
    )  # fmt: skip
    assert any("training.max_steps: -1 -> 9" in note for note in notes)


def test_early_stopping_stops_and_counts_on_after_a_resume(references: Any, tmp_path: Path) -> None:
    path, _reference = references("grouped")
    stop = [
        "training.early_stopping_patience=2", "training.metric_for_best_model=accuracy",
        "training.eval_steps=2", "training.save_steps=2", "training.learning_rate=1e-9",
    ]  # fmt: skip
    reference = run(path, *stop, f"output_dir={tmp_path / 'whole'}")
    steps = json.loads((reference / "result.json").read_text())["steps"]
    assert steps == 6, "the first evaluation is the best, two more are not better"
    where = f"output_dir={tmp_path / 'run'}"
    with pytest.raises(Killed):
        run(path, *stop, where, kill_at=5)
    assert_same(run(path, *stop, where, resume=True), reference)
    (reference / "result.json").unlink()  # killed after the last checkpoint
    weights_before = weights(reference)
    again = run(path, *stop, f"output_dir={tmp_path / 'whole'}", resume=True)
    assert json.loads((again / "result.json").read_text())["steps"] == 6
    for name, tensor in weights(again).items():
        assert torch.equal(tensor, weights_before[name])


def test_the_record_reproduces_the_run(references: Any, tmp_path: Path) -> None:
    _path, reference = references("accumulated")
    record = reference / "run.json"
    told = json.loads(record.read_text())
    assert told["recipe"]["training"]["gradient_accumulation_steps"] == 3
    assert {"versions", "hardware", "git", "data", "command", "seed", "model"} <= set(told)
    assert_same(run(record, f"output_dir={tmp_path / 'run'}", reproduce=told), reference)


@pytest.mark.parametrize(
    "wrong", ["data.train=nowhere.jsonl", "task.text_column=nothing", "training.warmup_steps=5000"]
)
def test_a_run_that_cannot_start_leaves_nothing_and_deletes_nothing(
    wrong: str, references: Any, tmp_path: Path
) -> None:
    path, _ = references("padded")
    with pytest.raises(HfcliError):
        run(path, wrong, f"output_dir={tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text("an earlier run")
    with pytest.raises(HfcliError):
        run(path, wrong, f"output_dir={tmp_path / 'run'}", overwrite=True)
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["recipe.yaml"]


def test_a_run_killed_while_it_wrote_its_first_file_can_go_on(
    references: Any, tmp_path: Path
) -> None:
    path, reference = references("packed")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".run.json.tmp").write_text("{")
    assert_same(run(path, f"output_dir={tmp_path / 'run'}", resume=True), reference)


@pytest.mark.parametrize("recorded", [True, False], ids=["record", "checkpoint"])
def test_a_run_whose_labels_have_another_order_cannot_go_on(
    recorded: bool, references: Any, tmp_path: Path
) -> None:
    path, _whole = references("random")
    with pytest.raises(Killed):
        run(path, f"output_dir={tmp_path}", kill_at=6)
    record = json.loads((tmp_path / "run.json").read_text())
    assert record.pop("labels") == ["calm", "storm"]
    if recorded:
        record["labels"] = ["storm", "calm"]
    (tmp_path / "run.json").write_text(json.dumps(record))
    (checkpoint,) = tmp_path.glob("checkpoint-*")
    config = json.loads((checkpoint / "config.json").read_text())
    config["id2label"] = {"0": "storm", "1": "calm"}
    (checkpoint / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match="order of the labels"):
        run(path, f"output_dir={tmp_path}", resume=True)


def test_labels_that_look_alike_are_told_before_training(tiny_gpt2: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, tiny_gpt2, task={"name": "text-classification"})
    rows = [{"text": f"text {i}", "label": ["on", "off", "Off"][i % 3]} for i in range(30)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    events: list[Event] = []
    run(path, "training.max_steps=3", listener=events.append)
    assert "labels 'Off', 'off' differ in letter case only" in str(events)
