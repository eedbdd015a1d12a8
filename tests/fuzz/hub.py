"""Thirty kinds of broken Hub, met by every command that talks to one."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fake_uploads import Uploads
from tests.fuzz.broken_hub import FAULTS, PLACES, broken_hub
from tests.fuzz.case import Command
from tests.fuzz.models import bases

NUMBER = len(FAULTS)
METRIC = """import datasets
import evaluate


class Agreement(evaluate.Metric):
    def _info(self):
        kinds = {name: datasets.Value("int64") for name in ("predictions", "references")}
        values = datasets.Features(kinds)
        return evaluate.MetricInfo(description="", citation="", features=values)

    def _compute(self, predictions, references):
        return {"agreement": 1.0}
"""


def build(seed: int, folder: Path) -> Iterator[Command]:
    """Start a broken Hub and yield commands that ask it; it ends when all were run."""
    chance = random.Random(seed)
    fault = FAULTS[seed % len(FAULTS)]
    where = chance.choice(PLACES)
    name = f"someone/x{os.getpid()}-{seed}"  # caches are by name
    repos = _repos(folder, name)
    uploads = Uploads(folder / "pushed", token="hf_secret")
    with broken_hub(fault, where, repos, uploads) as endpoint, endpoint_of_libraries(endpoint):
        env = {
            "HF_ENDPOINT": endpoint,
            "HF_HUB_OFFLINE": "0",
            "HFCLI_HUB_TIMEOUT": "1",
            "HF_TOKEN": "hf_secret",
            "NO_PROXY": "*",
        }
        for arguments in _commands(name, folder):
            yield Command(arguments, env=env, wall_seconds=30)


def _repos(folder: Path, name: str) -> dict[str, Path]:
    data, space = folder / "data", folder / "space"
    data.mkdir()
    space.mkdir()
    (data / "train.csv").write_text("text,label\n" + "good one,pos\nbad one,neg\n" * 8)
    (space / f"{name.partition('/')[2]}.py").write_text(METRIC)
    model = bases()["gpt2"]
    return {f"models/{name}": model, f"datasets/{name}": data, f"spaces/{name}": space}


def _commands(name: str, folder: Path) -> list[list[str]]:
    bert = str(bases()["bert"])
    recipe = {
        "task": {"name": "text-classification"},
        "model": {"name_or_path": bert},
        "data": {"path": name, "train": "train"},
        "training": {"max_steps": 1},
        "output_dir": "run",
    }
    (folder / "data.yaml").write_text(json.dumps(recipe))
    (folder / "d.csv").write_text("text,label\n" + "good one,pos\nbad one,neg\n" * 6)
    metric = ["--metric", name, "--allow-remote-metric"]
    return [
        ["generate", "hello", "--model", name, "--max-new-tokens", "3"],
        ["finetune", "data.yaml", "--dry-run"],
        ["finetune", "data.yaml", "--dry-run", "data.streaming=true"],
        ["eval", "--model", bert, "--data", "d.csv", "-o", "scores", *metric],
        ["export", "push", str(bases()["gpt2"]), "someone/pushed"],
    ]


@contextmanager
def endpoint_of_libraries(endpoint: str) -> Iterator[None]:
    """What the imported libraries think the Hub is; they read the environment once."""
    import datasets
    from huggingface_hub import constants

    template = constants.HUGGINGFACE_CO_URL_TEMPLATE
    values: dict[tuple[Any, str], Any] = {
        (constants, "ENDPOINT"): endpoint,
        (constants, "HUGGINGFACE_CO_URL_TEMPLATE"): template.replace(constants.ENDPOINT, endpoint),
        (constants, "HF_HUB_OFFLINE"): False,
        (constants, "HF_HUB_DISABLE_XET"): True,
        (datasets.config, "HF_ENDPOINT"): endpoint,
        (datasets.config, "HF_HUB_OFFLINE"): False,
    }
    before: dict[tuple[Any, str], Any] = {key: getattr(*key) for key in values}
    for (module, name), value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name), value in before.items():
            setattr(module, name, value)
