"""Reading and encoding in memory that does not grow with the rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from hfcli.device import Placement
from hfcli.recipe.load import load_recipe
from hfcli.tasks.documents import PlainText
from hfcli.training.setup import set_up
from tests.helpers import ROOT
from tests.integration.test_training import ROWS, write_recipe

pytestmark = pytest.mark.long

MB = 1e6
# Reads and encodes each file in turn. Tells the peak of the process' own memory, that of all, and
# the bytes of the files that are mapped into it, which the system takes back when it needs room.
CHILD = """
import json, resource, sys, threading
from pathlib import Path
import psutil, torch
from hfcli import files
from hfcli.data import prepare
from hfcli.data.splits import load_splits
from hfcli.device import Placement
from hfcli.models.load import ensure_pad_token, load_model
from hfcli.models.resolve import resolve_model
from hfcli.recipe.schema import DataSection
from hfcli.tasks.base import Tools
from hfcli.tasks.text_generation import TextGeneration

task, source = TextGeneration(), resolve_model("bundled", revision=None, offline=True)
loaded = load_model(source=source, task=task, dtype=torch.float32,
                    placement=Placement(torch.device("cpu")))
ensure_pad_token(loaded)
process, peak, done = psutil.Process(), [0], threading.Event()

def watch():
    while not done.wait(0.002):
        info = process.memory_info()
        peak[0] = max(peak[0], info.rss - info.shared)

def mapped():
    return sum(path.stat().st_size for path in files.scratch().rglob("*.arrow"))

threading.Thread(target=watch, daemon=True).start()
told = []
for name in sys.argv[1:]:
    splits = load_splits(section=DataSection(train=[name]), task=task, seed=1)
    for split in ("train", "validation"):
        tools = Tools(loaded.tokenizer, loaded.model)
        prepare.prepare(task=task, rows=lambda: splits.get(split), tools=tools,
                        train=split == "train")
    whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    told.append({"own": peak[0], "whole": whole, "mapped": mapped()})
done.set()
print(json.dumps(told))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell whose memory it is")
def test_ten_times_the_rows_take_no_more_memory_than_their_lengths(tmp_path: Path) -> None:
    paths = []
    for n in (600, 6_000, 60_000):
        paths.append(tmp_path / f"{n}.jsonl")
        with paths[-1].open("w") as file:
            for i in range(n):
                file.write(json.dumps({"text": f"{i} boats lay still", "unused": "x" * 300}) + "\n")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, paths)],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    _warm, few, many = json.loads(done.stdout)
    assert paths[-1].stat().st_size > 20 * MB
    assert many["own"] - few["own"] < 16 * MB  # 54,000 rows of 200 bytes
    assert many["whole"] - few["whole"] < 16 * MB + many["mapped"] - few["mapped"]


def test_no_more_rows_are_encoded_than_max_samples(
    tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HFCLI_CACHE", str(tmp_path / "cache"))
    seen: list[str] = []
    encode = PlainText.documents

    def watched(self: PlainText, batch: Any, tokenizer: Any) -> Any:
        seen.extend(batch[self.column])
        return encode(self, batch, tokenizer)

    monkeypatch.setattr(PlainText, "documents", watched)
    path = write_recipe(tmp_path, tiny_gpt2, task={"name": "text-generation", "block_size": 40})
    recipe = load_recipe(path, ["data.max_samples=11", "data.validation_size=0.5"])
    setup = set_up(recipe=recipe, placement=Placement(torch.device("cpu")))
    assert setup.validation is not None
    assert len(ROWS) > 2 * 22
    assert len(seen) == setup.train.counts.rows + setup.validation.counts.rows == 22
    assert len(set(seen)) <= 22
