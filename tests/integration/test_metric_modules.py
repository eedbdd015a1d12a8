"""Metrics as `evaluate` modules: shipped ones by name, scripts by path, Hub ids when allowed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hfcli.errors import DataError, RunError
from hfcli.metrics import shipped_metrics
from hfcli.metrics.modules import ShippedMetric, load_metric, load_module
from tests.fake_hub import fake_hub, hub_env
from tests.helpers import ROOT
from tests.unit.metric_cases import random_inputs

SCRIPT = """\
import datasets
import evaluate


class Agreement(evaluate.Metric):
    def _info(self):
        integer = datasets.Value("int64")
        features = datasets.Features(predictions=integer, references=integer)
        return evaluate.MetricInfo("", "", features)

    def _compute(self, predictions, references):
        same = sum(p == r for p, r in zip(predictions, references))
        return {"agreement": same / len(references)}
"""


@pytest.mark.parametrize("name", shipped_metrics())
def test_the_module_gives_the_number_of_the_function(name: str) -> None:
    import evaluate

    inputs = random_inputs(name, 3)
    module = load_module(name, offline=True)
    assert isinstance(module, evaluate.Metric)
    plain = shipped_metrics()[name].compute(**inputs)
    assert module.compute(**inputs) == {name: plain}
    without = load_metric(name)
    assert isinstance(without, ShippedMetric)
    assert without.compute(**inputs) == {name: plain}
    for rows in (slice(0, 10), slice(10, None)):
        module.add_batch(**{key: values[rows] for key, values in inputs.items()})
    assert module.compute() == {name: plain}


@pytest.mark.parametrize("load", [load_module, load_metric])
def test_options_reach_the_function(load: Callable[[str], Any]) -> None:
    module = load("support_per_class")
    value = module.compute(predictions=[0, 1], references=[1, 1], labels=[2, 1, 0])
    assert value == {"support_per_class": [0, 2, 0]}


@pytest.mark.parametrize("load", [load_module, load_metric])
def test_a_text_and_a_list_of_texts_may_stand_side_by_side(load: Callable[[str], Any]) -> None:
    module = load("exact_match")
    value = module.compute(predictions=["a", "b", "c"], references=["a", ["x", "b"], "x"])
    assert value == {"exact_match": pytest.approx(2 / 3)}


def test_a_module_whose_library_is_not_installed_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    for load in (load_module, load_metric):
        with pytest.raises(RunError, match="sacrebleu"):
            load("bleu", offline=True)


def test_a_script_is_loaded_by_its_path_and_again_after_an_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "agreement.py"
    script.write_text(SCRIPT, encoding="utf-8")
    inputs: dict[str, Any] = {"predictions": [0, 1, 1, 0], "references": [0, 1, 0, 0]}
    module = load_module(str(script), offline=True)
    assert module.compute(**inputs) == {"agreement": 0.75}
    script.write_text(SCRIPT.replace("same / len", "100 * same / len"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    module = load_module("./agreement.py", offline=True)
    assert module.compute(**inputs) == {"agreement": 75.0}


def test_a_script_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    script = tmp_path / "scaled.py"
    script.write_text(
        "from .scale import SCALE\n" + SCRIPT.replace("same / len", "SCALE * same / len"),
        encoding="utf-8",
    )
    with pytest.raises(DataError, match="scale"):
        load_module(str(script), offline=True)
    (tmp_path / "scale.py").write_text("SCALE = 10\n", encoding="utf-8")
    module = load_module(str(script), offline=True)
    assert module.compute(predictions=[0, 1], references=[0, 0]) == {"agreement": 5.0}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "there is no such file"),
        ("import evaluate\n", "holds no metric that can be made"),
        ("import evaluate\nfrom evaluate import Metric\n", "holds no metric that can be made"),
        ("import evaluate\nclass M(evaluate.Metric):\n", "expected an indented block"),
        ("import not_a_library\n", "not_a_library"),
    ],
    ids=["missing", "empty", "only-imports", "syntax", "library"],
)
def test_a_script_that_is_no_metric_is_named(tmp_path: Path, text: str | None, told: str) -> None:
    script = tmp_path / "broken.py"
    if text is not None:
        script.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=told) as caught:
        load_module(str(script), offline=True)
    assert str(script) in caught.value.message


@pytest.mark.parametrize("name", ["someone/agreement", "rouge"])
def test_a_hub_metric_is_refused_unless_it_is_allowed(name: str) -> None:
    with pytest.raises(DataError, match=name) as caught:
        load_module(name)
    assert "--allow-remote-metric" in (caught.value.hint or "")


def test_an_allowed_hub_metric_that_is_not_cached_is_told_offline() -> None:
    with pytest.raises(DataError, match="not in the local cache"):
        load_module("someone/agreement", offline=True, allow_remote=True)


def test_an_allowed_hub_metric_is_fetched_and_run(tmp_path: Path) -> None:
    (tmp_path / "agreement.py").write_text(SCRIPT, encoding="utf-8")
    code = (
        "import json\n"
        "from hfcli.metrics.modules import load_module\n"
        "module = load_module('someone/agreement', allow_remote=True)\n"
        "print(json.dumps(module.compute(predictions=[0, 1], references=[0, 0])))\n"
    )
    with fake_hub({"spaces/someone/agreement": tmp_path}) as endpoint:
        env = hub_env(endpoint, tmp_path / "home")
        done = run(code, env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"agreement": 0.5}


def run(code: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **env},
    )  # fmt: skip
