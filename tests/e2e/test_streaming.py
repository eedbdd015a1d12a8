"""A Hub data set that is streamed: the rows of the whole one, and no more fetched than needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fake_hub import fake_hub, hub_env
from tests.helpers import ROOT

# datasets fills the buffer from ten shards at a time, and reads a little ahead in each.
SHARDS, ROWS_PER_SHARD, BUFFER = 60, 60, 100
# Loads each section with the task beside it, and prints what it holds.
LOAD = """
import json, sys
import datasets
from hfcli.data import hub
from hfcli.data.arrow_file import rows_hash
from hfcli.data.splits import load_splits
from hfcli.errors import DataError
from hfcli.recipe.schema import DataSection
from hfcli.tasks.text_classification import TextClassification
from hfcli.tasks.text_generation import TextGeneration

tasks = {"label": TextClassification(), "text": TextGeneration(), "chat": TextGeneration(
    messages_column="messages")}
datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 1  # of 5 seconds
hub.BUFFER_ROWS = int(sys.argv[2])
for task, section in json.loads(sys.argv[1]):
    try:
        splits = load_splits(section=DataSection(**section), task=tasks[task], seed=3)
    except DataError as e:
        print(json.dumps({"error": e.message, "hint": e.hint}))
        continue
    told = {}
    for name, rows in splits.by_name.items():
        told[name] = {
            "rows": rows[:],
            "names": getattr(rows.features.get("label"), "names", None),
            "mark": rows_hash(rows),
        }
    print(json.dumps(told), flush=True)
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A data set of parquet files with named labels, and one of jsonl files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("hub")
    labelled, talks = folder / "labelled", folder / "talks"
    labelled.mkdir()
    talks.mkdir()
    for shard in range(SHARDS):
        numbers = range(shard * ROWS_PER_SHARD, (shard + 1) * ROWS_PER_SHARD)
        columns = {"text": [f"text {i}" for i in numbers], "label": [i % 3 > 0 for i in numbers]}
        table = pa.table(columns).cast(pa.schema([("text", pa.string()), ("label", pa.int64())]))
        pq.write_table(
            table.append_column("more", table["text"]), labelled / f"train-{shard}.parquet"
        )
    few = table.slice(0, 40)
    pq.write_table(few.append_column("more", few["text"]), labelled / "test-0.parquet")
    names = {"class_label": {"names": {"0": "calm", "1": "storm"}}}
    features = [
        {"name": "text", "dtype": "string"}, {"name": "label", "dtype": names},
        {"name": "more", "dtype": "string"},
    ]  # fmt: skip
    files = [{"split": split, "path": f"{split}-*"} for split in ("train", "test")]
    card = {"configs": [{"config_name": "default", "data_files": files}],
            "dataset_info": {"features": features}}  # fmt: skip
    (labelled / "README.md").write_text(f"---\n{yaml.safe_dump(card)}---\n", encoding="utf-8")
    talk = [{"role": "user", "content": "Is it calm?"}, {"role": "assistant", "content": "It is."}]
    lines = [json.dumps({"text": f"line {i}", "messages": talk}) for i in range(20)]
    (talks / "train.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return {"datasets/someone/labelled": labelled, "datasets/someone/talks": talks}


def load(hub: dict[str, Path], home: Path, *wanted: tuple[str, dict[str, Any]]) -> Any:
    """What each section holds, and which data files were asked for."""
    asked: list[str] = []
    with fake_hub(hub, asked) as endpoint:
        env = hub_env(endpoint, home)
        done = subprocess.run(
            [sys.executable, "-c", LOAD, json.dumps(wanted), str(BUFFER)],
            capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **env},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = {path.rpartition("/")[2] for path in asked}
    return [json.loads(line) for line in done.stdout.splitlines()], files


def test_streamed_rows_are_those_of_the_whole_data_set(
    hub: dict[str, Path], tmp_path: Path
) -> None:
    labelled = {"path": "someone/labelled", "train": ["test"], "test": ["test+test"]}
    talks = {"path": "someone/talks", "train": ["train"], "validation": ["train"]}
    cases = [("label", labelled), ("text", {**labelled, "validation_from": "end"}),
             ("text", talks), ("chat", talks)]  # fmt: skip
    both = [(task, {**s, "streaming": on}) for task, s in cases for on in (False, True)]
    told, _files = load(hub, tmp_path, *both)
    assert len(told) == 8
    for whole, streamed in zip(told[::2], told[1::2], strict=True):
        assert set(whole) == set(streamed)
        for name, split in whole.items():
            assert streamed[name]["rows"] == split["rows"]
            assert streamed[name]["names"] == split["names"]
    assert told[1]["train"]["names"] == ["calm", "storm"]
    assert len(told[1]["test"]["rows"]["text"]) == 80


def test_a_sample_fetches_no_more_than_its_buffer_takes(
    hub: dict[str, Path], tmp_path: Path
) -> None:
    section = {"path": "someone/labelled", "train": ["train"], "streaming": True, "max_samples": 90}
    (one, same), files = load(hub, tmp_path, ("label", section), ("label", section))
    assert one == same  # the marks too: the cache finds what was encoded
    texts = one["train"]["rows"]["text"] + one["validation"]["rows"]["text"]
    assert len(one["train"]["rows"]["text"]) == 90
    assert len(set(texts)) == len(texts) == 100
    labels = Counter(one["train"]["rows"]["label"] + one["validation"]["rows"]["label"])
    for label, count in Counter(one["validation"]["rows"]["label"]).items():
        assert abs(count - labels[label] / 10) < 1
    fetched = {name for name in files if name.endswith(".parquet")}
    assert 1 < len(fetched) < 0.7 * SHARDS


def test_what_cannot_be_streamed_is_said(hub: dict[str, Path], tmp_path: Path) -> None:
    base = {"path": "someone/labelled", "streaming": True}
    wrong = [("label", {**base, "train": ["train[:10]"]}), ("label", {**base, "train": ["dev"]}),
             ("chat", {**base, "train": ["test"]})]  # fmt: skip
    (sliced, unknown, columns), _files = load(hub, tmp_path, *wrong)
    assert "data.max_samples takes a part" in sliced["hint"]
    assert "dev" in unknown["error"]
    assert unknown["hint"] is None
    assert "no column 'messages'; it has ['text', 'label', 'more']" in columns["error"]
