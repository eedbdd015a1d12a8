"""Real text from outside the repository; skipped where it is absent, a failure in CI."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.helpers import RECIPES, SHARED, hfcli


def test_the_bundled_model_keeps_its_promise_on_held_out_text(
    need_shared: Callable[[Path], Path],
) -> None:
    need_shared(SHARED / "books")
    done = hfcli("eval", RECIPES / "bundled-pretrain.yaml", "--model", "bundled", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["split"] == "validation"
    assert result["n_rows"] == 3
    assert result["metrics"]["bits_per_byte"] < 1.8


def test_sst2_files_without_a_header_are_read_and_trained_on(
    need_shared: Callable[[Path], Path], tmp_path: Path
) -> None:
    sst2 = need_shared(SHARED / "sst2")
    recipe = tmp_path / "sst2.yaml"
    recipe.write_text(
        "task: {name: text-classification, max_length: 64}\n"
        "model: {name_or_path: bundled}\n"
        f"data:\n  train: {sst2}/train.tsv\n  validation: {sst2}/dev.tsv\n"
        "  column_names: [text, label]\n  max_samples: 2000\n"
        "training: {num_train_epochs: 1, learning_rate: 5e-4, per_device_train_batch_size: 32}\n"
        "output_dir: run\n",
        encoding="utf-8",
    )
    done = hfcli("finetune", recipe, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["train_rows"] == 2000
    # 0.51 of the 872 sentences are of one label: four standard errors above that.
    assert result["metrics"]["accuracy"] > 0.58
