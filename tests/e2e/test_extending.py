"""What docs/extending.md shows works as it is written there, in a package beside hfcli."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT, hfcli
from tests.token_classification import entities, f1, precision, recall

PAGE = ROOT / "docs" / "extending.md"


def example(heading: str, folder: Path) -> dict[str, str]:
    """Write the code of a section into a folder, with a package's metadata; the environment."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"```(python|toml)\n(.*?)```", section, flags=re.DOTALL)
    assert {kind for kind, _ in blocks} == {"python", "toml"}
    points: dict[str, dict[str, str]] = {}
    for kind, code in blocks:
        if kind == "python":
            (folder / code.split("\n", 1)[0].removeprefix("# ")).write_text(code, encoding="utf-8")
        else:
            points |= tomllib.loads(code)["project"]["entry-points"]
    return install(points, folder)


def install(points: Mapping[str, Mapping[str, str]], folder: Path) -> dict[str, str]:
    """Write the metadata of a package with these entry points; the environment that has it."""
    lines = [
        line
        for group, entries in points.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    name = f"extension-{folder.name.lower().replace(' ', '-').replace('_', '-')}"
    metadata = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def test_an_engine(tmp_path: Path) -> None:
    environment = example("An engine", tmp_path)
    words = ("generate", "--model", "bundled", "--max-new-tokens", "12", "The sea")
    plain = hfcli(*words)
    loud = hfcli(*words, "--engine", "shout", env=environment)
    assert loud.returncode == 0, loud.stderr
    assert plain.stdout.strip()
    assert loud.stdout == plain.stdout.upper() != plain.stdout


def test_an_engine_that_cannot_be_imported_is_named_with_its_package(tmp_path: Path) -> None:
    environment = example("An engine", tmp_path)
    (tmp_path / "shout.py").write_text("import nothing_of_this_name\n")
    told = hfcli("generate", "--engine", "shout", "x", env=environment)
    assert told.returncode == 5
    assert re.search(r"'shout' of the package extension-\S+ cannot be loaded", told.stderr)
    near = hfcli("generate", "--engine", "shot", "x", env=environment)
    assert near.returncode == 2
    assert "did you mean shout?" in near.stderr


def test_a_metric_and_a_task(tmp_path: Path) -> None:
    for heading in ("A metric", "A task"):
        (tmp_path / heading).mkdir()
    own = [example(heading, tmp_path / heading) for heading in ("A metric", "A task")]
    environment = {"PYTHONPATH": os.pathsep.join(paths["PYTHONPATH"] for paths in own)}
    rows = [{"review": f"{'good' if i % 2 else 'bad'} {i}", "stars": 1 + i % 2} for i in range(24)]
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    (tmp_path / "reviews.jsonl").write_text(text)
    (tmp_path / "bad.jsonl").write_text(text + '{"review": "x", "stars": 6}\n')
    recipe = tmp_path / "stars.yaml"
    recipe.write_text(
        "task: {name: stars}\nmodel: {name_or_path: bundled}\ntraining: {max_steps: 2}\n"
        "data: {train: reviews.jsonl, validation: reviews.jsonl}\noutput_dir: run\n"
    )
    trained = hfcli("finetune", recipe, env=environment, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    told = hfcli("eval", "run", "--metric", "error_rate", "--metric", "accuracy", "--json",
                 env=environment, cwd=tmp_path)  # fmt: skip
    assert told.returncode == 0, told.stderr
    report = json.loads(told.stdout)
    scores = report["metrics"]
    assert scores["error_rate"] == pytest.approx(1 - scores["accuracy"])
    assert report["intervals"]["error_rate"]["high"] > scores["error_rate"]
    bad = hfcli("finetune", recipe, "data.train=bad.jsonl", "--overwrite",
                env=environment, cwd=tmp_path)  # fmt: skip
    assert bad.returncode == 3
    assert "bad.jsonl:25: 6 is not a number of stars" in bad.stderr
    wrong = hfcli("eval", "run", "--metric", "error_rat", env=environment, cwd=tmp_path)
    assert wrong.returncode == 2
    assert "did you mean error_rate?" in wrong.stderr


def test_a_speed_up() -> None:
    section = PAGE.read_text(encoding="utf-8").split("\n## A speed-up\n", 1)[1]
    code = section.split("```python\n", 1)[1].split("```", 1)[0]
    found: dict[str, Any] = {}
    exec(compile(code, "squares.py", "exec"), found)
    kind = found["FastSquares"]
    assert kind().refusal("cpu") is None
    assert "cuda" in kind().refusal("cuda")
    for name, prepare in {
        "other-numbers": lambda _self: lambda x: (x * x).mean(),
        "no-such-name": lambda _self: found["torch"].no_such_operation,
    }.items():
        broken = type(name, (kind,), {"name": name, "prepare": prepare})
        assert "self-test" in broken().refusal("cpu")


TAGGER = "tests.token_classification"
POINTS = {
    "hfcli.tasks": {"token-classification": f"{TAGGER}:TokenClassification"},
    "hfcli.metrics": {
        f"seqeval_{name}": f"{TAGGER}:{name.upper()}" for name in ("f1", "precision", "recall")
    },
}
# From seqeval's own documentation, which gives 0.50 for the F1.
REFERENCES = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
PREDICTIONS = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]


def test_the_metrics_of_the_task_are_seqevals() -> None:
    scores = [f(PREDICTIONS, REFERENCES) for f in (f1, precision, recall)]
    assert scores == [0.5, 0.5, 0.5]
    # An I- without a B-, and one of another type, begin an entity; an O ends it.
    assert entities(["I-A", "I-A", "I-B", "O", "B-B", "B-B"]) == {
        ("A", 0, 1), ("B", 2, 2), ("B", 4, 4), ("B", 5, 5),
    }  # fmt: skip


def tagged(n: int) -> str:
    """Sentences with a name in each, by JSON lines."""
    names = ["Anna", "Ben", "Carla", "David"]
    rows = [
        {"words": ["then", name, "came", "home"], "tags": ["O", "B-PER", "O", "O"]}
        if i % 2
        else {"words": ["nobody", "saw", name, "there"], "tags": ["O", "O", "B-PER", "O"]}
        for i, name in ((i, names[i % 4]) for i in range(n))
    ]
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def test_a_task_trains_scores_and_reports(tmp_path: Path) -> None:
    environment = install(POINTS, tmp_path)
    (tmp_path / "train.jsonl").write_text(tagged(64))
    (tmp_path / "dev.jsonl").write_text(tagged(24))
    (tmp_path / "tags.yaml").write_text(
        "task: {name: token-classification}\n"
        "model: {name_or_path: bundled}\n"
        "data: {train: train.jsonl, validation: dev.jsonl}\n"
        "training: {max_steps: 30, learning_rate: 1e-3, per_device_train_batch_size: 8,"
        " metric_for_best_model: seqeval_f1, eval_strategy: steps, eval_steps: 15,"
        " save_strategy: steps, save_steps: 15, load_best_model_at_end: true}\n"
        "output_dir: run\n"
    )
    trained = hfcli("finetune", tmp_path / "tags.yaml", env=environment, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    scored = hfcli("eval", "run", "--json", env=environment, cwd=tmp_path)
    assert scored.returncode == 0, scored.stderr
    report = json.loads(scored.stdout)
    written = (tmp_path / "run/eval-validation/predictions.jsonl").read_text()
    rows = [json.loads(line) for line in written.splitlines()]
    assert len(rows) == 24
    own = f1([row["prediction"] for row in rows], [row["gold"] for row in rows])
    assert report["metrics"]["seqeval_f1"] == pytest.approx(own)
    assert own > 0.9, "it learns what the second or third word is"
    assert report["labels"] == ["B-PER", "O"]
    assert "seqeval_f1" in (tmp_path / "run/eval-validation/report.html").read_text()
    compared = hfcli("compare", "run", "run", "--json", env=environment, cwd=tmp_path)
    assert compared.returncode == 0, compared.stderr
    (pair,) = json.loads(compared.stdout)["comparisons"]
    found = {one["metric"]: one for one in pair["metrics"]}
    assert found["seqeval_f1"]["a"] == found["seqeval_f1"]["b"] == pytest.approx(own)
    unknown = hfcli("finetune", tmp_path / "tags.yaml", "task.tag_column=x", env=environment)
    assert unknown.returncode == 2
    assert "did you mean tags_column?" in unknown.stderr
    without = hfcli("finetune", tmp_path / "tags.yaml")
    assert without.returncode == 2
    assert "unknown task 'token-classification'" in without.stderr
