"""--suite with lm-evaluation-harness itself, on a task and data of this test."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from hfcli.errors import DataError, RecipeError, RunError
from hfcli.evaluation.suite import SuiteOptions, evaluate_suite
from hfcli.results import EvalResult
from tests.conftest import SENTENCES

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("lm_eval") is None, reason="needs the extra hfcli[lm-eval]"
    ),
    pytest.mark.filterwarnings("default"),
]
CHOICES = ("bread", "the keeper")
ROWS = [{"text": f"{SENTENCES[i % 4][:-1]} {i}:", "label": i % 2} for i in range(14)]
TASK = """\
task: {name}
dataset_path: {kind}
dataset_kwargs: {{data_files: {{test: {rows}}}}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{text}}}}"
doc_to_choice: ["bread", "the keeper"]
doc_to_target: label
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
metadata: {{version: 3.0}}
"""


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    rows = folder / "rows.jsonl"
    rows.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    (folder / "lamp.yaml").write_text(TASK.format(name="lamp", kind="json", rows=rows))
    (folder / "far.yaml").write_text(TASK.format(name="far", kind="nobody/nothing", rows=rows))
    (folder / "gone.yaml").write_text(
        TASK.format(name="gone", kind="json", rows=folder / "no.jsonl")
    )
    return folder


def run(model: Path, tasks: Path, output: Path, name: str = "lamp", **options: Any) -> EvalResult:
    chosen = SuiteOptions(
        suite=f"lm-eval:{name}", path=tasks, model=str(model), device="cpu", output_dir=output,
        offline=True, **options,
    )  # fmt: skip
    return evaluate_suite(chosen, lambda _event: None)


def likeliest(model: Path) -> list[int]:
    """The choice with the highest log-likelihood after each text, token by token."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    found = []
    for row in ROWS:
        text = str(row["text"])
        sums = []
        for choice in CHOICES:
            n = len(tokenizer(text)["input_ids"])
            ids = tokenizer(f"{text} {choice}")["input_ids"]
            with torch.inference_mode():
                logits = network(torch.tensor([ids])).logits[0].log_softmax(-1)
            sums.append(sum(float(logits[i - 1, ids[i]]) for i in range(n, len(ids))))
        found.append(sums.index(max(sums)))
    return found


def test_the_result_is_the_harness_own(tiny_gpt2: Path, tasks: Path, tmp_path: Path) -> None:
    result = run(tiny_gpt2, tasks, tmp_path / "eval")
    right = [
        float(guess == row["label"]) for guess, row in zip(likeliest(tiny_gpt2), ROWS, strict=True)
    ]
    assert result.metrics["lamp/acc"] == pytest.approx(sum(right) / len(right))
    assert 0 < sum(right) < len(right), "otherwise this proves little"
    assert result.intervals["lamp/acc"]["method"] == "Wilson"
    assert result.n_rows == len(ROWS)
    told = result.settings["tasks"]["lamp"]
    assert (told["version"], told["n_shot"], told["of"]) == (3.0, 0, len(ROWS))
    assert told["stderr"]["acc"] > 0
    lines = (tmp_path / "eval" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["scores"]["acc"] for line in lines] == right
    with pytest.raises(RunError, match=r"holds another evaluation.*limit: null -> 5"):
        run(tiny_gpt2, tasks, tmp_path / "eval", limit=5)
    fewer = run(tiny_gpt2, tasks, tmp_path / "eval", limit=5, overwrite=True)
    assert fewer.n_rows == 5


def test_what_cannot_be_fetched_is_told_quickly(
    tiny_gpt2: Path, tasks: Path, tmp_path: Path
) -> None:
    start = time.perf_counter()
    with pytest.raises(DataError, match="far are not in the local cache, and the Hub cannot be"):
        run(tiny_gpt2, tasks, tmp_path, "far")
    with pytest.raises(DataError, match="the data of gone"):
        run(tiny_gpt2, tasks, tmp_path, "gone")
    assert time.perf_counter() - start < 30


def test_an_unknown_task_gets_a_suggestion(tiny_gpt2: Path, tasks: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no task 'lammp', did you mean"):
        run(tiny_gpt2, tasks, tmp_path, "lammp")


def test_a_folder_with_a_model_is_left_alone(tiny_gpt2: Path, tasks: Path) -> None:
    with pytest.raises(RunError, match="holds a model"):
        run(tiny_gpt2, tasks, tiny_gpt2)
