"""`hfcli finetune` and `hfcli eval` as a user runs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fake_hub import fake_hub, hub_env
from tests.helpers import RECIPES, SHARED, hfcli, write_csv

SHIPPED = sorted(RECIPES.glob("*.yaml"))
ROWS = [(f"the boat {i} lay still", "calm") for i in range(12)] + [
    (f"the wind {i} took every word", "storm") for i in range(12)
]


def recipe(folder: Path, model: Path | str, **sections: Any) -> Path:
    """A small classification recipe beside its data."""
    write_csv(folder / "rows.csv", ROWS)
    values: dict[str, Any] = {
        "task": {"name": "text-classification"},
        "model": {"name_or_path": str(model)},
        "data": {"train": "rows.csv", "validation_size": 0.25},
        "training": {"max_steps": 2, "per_device_train_batch_size": 4, "logging_steps": 1},
        "output_dir": "run",
    }
    values |= sections
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def finished(tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished classification run that others may read."""
    folder = tmp_path_factory.mktemp("finished")
    done = hfcli("finetune", recipe(folder, tiny_gpt2))
    assert done.returncode == 0, done.stderr
    return folder / "run"


def test_all_five_recipes_are_looked_at() -> None:
    assert {path.stem for path in SHIPPED} >= {
        "bundled-pretrain",
        "bundled-text-classification",
        "bundled-text-generation",
        "gpt2-text-classification",
        "gpt2-text-generation",
    }


def hub_of_small_things(folder: Path, model: Path) -> dict[str, Path]:
    """What the Hub recipes ask for: GPT-2 (tiny), SST-2 and WikiText-2 (a few rows)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = {
        "datasets/nyu-mll/glue": ("sst2", {"sentence": ["a film"] * 20, "label": [0, 1] * 10}),
        "datasets/Salesforce/wikitext": ("wikitext-2-raw-v1", {"text": ["", " = A = \n"] * 10}),
    }
    repos = {"models/openai-community/gpt2": model}
    for name, (config, columns) in tables.items():
        repo = folder / name
        (repo / config).mkdir(parents=True)
        splits = ("train", "validation", "test")
        for split in splits:
            pq.write_table(pa.table(columns), repo / config / f"{split}-0.parquet")
        files = [{"split": split, "path": f"{config}/{split}-*"} for split in splits]
        card = yaml.safe_dump({"configs": [{"config_name": config, "data_files": files}]})
        (repo / "README.md").write_text(f"---\n{card}---\n", encoding="utf-8")
        repos[name] = repo
    return repos


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipe_runs_from_end_to_end(
    path: Path, tmp_path: Path, tiny_gpt2_long: Path, need_shared: Any
) -> None:
    if "pretrain" in path.stem:
        need_shared(SHARED / "books")
    small: list[str | Path] = ["--set", "training.max_steps=2", "-o", tmp_path / "run"]
    if "pretrain" in path.stem:
        # The books are long: two steps need neither all of them nor all of the held-out text.
        small += ["data.validation_size=0.002"]
    repos = hub_of_small_things(tmp_path / "hub", tiny_gpt2_long)
    with fake_hub(repos) as endpoint:
        env = hub_env(endpoint, tmp_path / "home")
        done = hfcli("finetune", path, *small, "--json", env=env)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["steps"] == 2
        scored = hfcli("eval", tmp_path / "run", "--json", "--split", "validation", env=env)
        assert scored.returncode == 0, scored.stderr
    metrics = json.loads(scored.stdout)["metrics"]
    for name, value in result["metrics"].items():
        assert metrics[name] == pytest.approx(value, rel=1e-6), name
    assert (
        json.loads((tmp_path / "run" / "result.json").read_text())["metrics"] == result["metrics"]
    )


def test_the_output_folder_holds_all_and_loads_with_plain_transformers(finished: Path) -> None:
    from transformers import AutoModelForSequenceClassification, pipeline

    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json",
        "recipe.yaml", "metrics.jsonl", "result.json",
    }  # fmt: skip
    model: Any = AutoModelForSequenceClassification.from_pretrained(finished)
    assert model.config.id2label == {0: "calm", 1: "storm"}
    assert model.config.use_cache is True
    assert model.config.pad_token_id is not None
    classify: Any = pipeline("text-classification", model=str(finished))
    answers = classify(["the boat lay still", "wind"], batch_size=2)
    assert [answer["label"] in ("calm", "storm") for answer in answers] == [True, True]
    steps = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in steps if "loss" in line] == [1, 2]
    assert any("eval_accuracy" in line for line in steps)


def test_table_and_json_show_the_same_numbers(finished: Path) -> None:
    known = json.loads(hfcli("eval", finished, "--json").stdout)
    shown = hfcli("eval", finished).stdout
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.strip()}
    numbers = {k: v for k, v in known["metrics"].items() if isinstance(v, float)}
    assert len(numbers) >= 8
    for name, value in numbers.items():
        assert rows[name][0] == f"{value:.4f}"
    low, high = known["intervals"]["accuracy"]["low"], known["intervals"]["accuracy"]["high"]
    assert rows["accuracy"][1:] == [f"{low:.4f}", "to", f"{high:.4f}"]
    matrix = known["metrics"]["confusion_matrix"]
    assert sum(map(sum, matrix)) == known["n_rows"] == 6
    assert known["labels"] == ["calm", "storm"]
    assert "confusion_matrix" in shown


def test_eval_without_a_recipe_scores_any_file(finished: Path, tmp_path: Path) -> None:
    data = tmp_path / "dev.tsv"
    data.write_text("the boat lay still\t0\nthe wind took every word\t1\n", encoding="utf-8")
    done = hfcli(
        "eval", "--model", finished, "--data", data, "--column-names", "text,label", "--json"
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["task"] == "text-classification"
    assert result["n_rows"] == 2


def test_eval_of_a_recipe_scores_the_run_it_made(tiny_gpt2: Path, tmp_path: Path) -> None:
    path = recipe(tmp_path, tiny_gpt2)
    before = hfcli("eval", path)
    assert before.returncode == 4
    assert "no trained classification head" in before.stderr
    assert hfcli("finetune", path).returncode == 0
    after = hfcli("eval", path, "--json")
    assert json.loads(after.stdout)["model"] == str(tmp_path / "run")
    assert "evaluating the run this recipe made" in after.stderr


def test_bundled_model_scores_a_text_file(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The boats lay still in the harbour. " * 20, encoding="utf-8")
    result = json.loads(hfcli("eval", "--model", "bundled", "--data", text, "--json").stdout)
    metrics = result["metrics"]
    assert metrics["perplexity"] == pytest.approx(2.718281828459045 ** metrics["loss"])
    assert 0 < metrics["bits_per_byte"] < 8


def test_resumed_equals_uninterrupted(tiny_gpt2: Path, tmp_path: Path) -> None:
    training = {
        "max_steps": 6, "per_device_train_batch_size": 4, "logging_steps": 1,
        "save_strategy": "steps", "save_steps": 3, "gradient_accumulation_steps": 2,
    }  # fmt: skip
    path = recipe(tmp_path, tiny_gpt2, training=training)
    assert hfcli("finetune", path, "-o", tmp_path / "whole").returncode == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "checkpoint-6")
    (tmp_path / "cut" / "result.json").unlink()
    (tmp_path / "cut" / "model.safetensors").unlink()
    done = hfcli("finetune", path, "-o", tmp_path / "cut", "--resume")
    assert done.returncode == 0, done.stderr
    assert "checkpoint-3" in done.stderr
    whole, cut = tmp_path / "whole" / "model.safetensors", tmp_path / "cut" / "model.safetensors"
    assert whole.read_bytes() == cut.read_bytes()
    assert losses(tmp_path / "whole") == losses(tmp_path / "cut")
    assert len(losses(tmp_path / "cut")) == 6


def test_a_half_written_checkpoint_is_not_resumed_from(tiny_gpt2: Path, tmp_path: Path) -> None:
    training = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1, "logging_steps": 1}
    path = recipe(tmp_path, tiny_gpt2, training=training)
    assert hfcli("finetune", path).returncode == 0
    (tmp_path / "run" / "checkpoint-2" / "optimizer.pt").unlink()
    done = hfcli("finetune", path, "--resume")
    assert done.returncode == 0, done.stderr
    assert "checkpoint-1" in done.stderr


def test_a_folder_that_is_not_empty_is_refused(tiny_gpt2: Path, tmp_path: Path) -> None:
    path = recipe(tmp_path, tiny_gpt2)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    for flags in ([], ["--overwrite"], ["--resume"]):
        done = hfcli("finetune", path, *flags)
        assert done.returncode == 5, flags
        assert done.stdout == ""
        assert "hint: " in done.stderr or "holds no run" in done.stderr
    assert (tmp_path / "run" / "thesis.txt").read_text() == "years of work"


def test_overwrite_replaces_an_earlier_run(tiny_gpt2: Path, tmp_path: Path) -> None:
    path = recipe(tmp_path, tiny_gpt2)
    assert hfcli("finetune", path).returncode == 0
    assert hfcli("finetune", path).returncode == 5
    assert hfcli("finetune", path, "--overwrite").returncode == 0


def test_the_same_seed_gives_the_same_weights(tiny_gpt2: Path, tmp_path: Path) -> None:
    path = recipe(tmp_path, tiny_gpt2)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert hfcli("finetune", path, "-o", tmp_path / name, f"seed={seed}").returncode == 0
    a, b, c = ((tmp_path / n / "model.safetensors").read_bytes() for n in "abc")
    assert a == b != c


def test_an_encoder_learns_and_reaches_every_row(tiny_bert: Path, tmp_path: Path) -> None:
    training = {"max_steps": 60, "learning_rate": 0.003, "per_device_train_batch_size": 8}
    path = recipe(tmp_path, tiny_bert, training=training)
    result = json.loads(hfcli("finetune", path, "--json").stdout)
    assert result["metrics"]["accuracy"] == 1.0


def test_a_nan_loss_stops_the_run(tiny_gpt2: Path, tmp_path: Path) -> None:
    training = {"max_steps": 20, "learning_rate": 1e30, "max_grad_norm": 0, "logging_steps": 1}
    done = hfcli("finetune", recipe(tmp_path, tiny_gpt2, training=training))
    assert done.returncode == 5
    assert "the loss is nan" in done.stderr
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_text_model_tuned_here_writes_with_its_cache(tiny_gpt2: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The boats lay still. " * 200, encoding="utf-8")
    values = {
        "task": {"name": "text-generation", "block_size": 32},
        "data": {"train": "a.txt", "validation_from": "end"},
    }
    path = recipe(tmp_path, tiny_gpt2, **values)
    assert hfcli("finetune", path).returncode == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["use_cache"] is True
    assert (tmp_path / "run" / "generation_config.json").is_file()
    done = hfcli("generate", "The", "--model", tmp_path / "run", "--max-new-tokens", "5")
    assert done.returncode == 0, done.stderr


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_a_hub_metric_is_fetched_and_agrees_with_the_shipped_one(
    finished: Path, tmp_path: Path
) -> None:
    space = tmp_path / "space"
    space.mkdir()
    (space / "agreement.py").write_text(
        "import datasets\nimport evaluate\n"
        "class Agreement(evaluate.Metric):\n"
        "    def _info(self):\n"
        "        integer = datasets.Value('int64')\n"
        "        features = datasets.Features(predictions=integer, references=integer)\n"
        "        return evaluate.MetricInfo('', '', features)\n"
        "    def _compute(self, predictions, references):\n"
        "        same = sum(p == r for p, r in zip(predictions, references))\n"
        "        return {'agreement': same / len(references)}\n",
        encoding="utf-8",
    )
    metrics = ["--metric", "someone/agreement", "--metric", "accuracy"]
    with fake_hub({"spaces/someone/agreement": space}) as endpoint:
        env = hub_env(endpoint, tmp_path / "home")
        refused = hfcli("eval", finished, *metrics, env=env)
        done = hfcli("eval", finished, *metrics, "--allow-remote-metric", "--json", env=env)
    assert refused.returncode == 3
    assert "--allow-remote-metric allows that" in refused.stderr
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)["metrics"]
    assert values["agreement"] == values["accuracy"]
