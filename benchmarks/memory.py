"""Memory and time of reading and encoding training data of growing size.

    python benchmarks/memory.py [--rows 10000 100000 400000] [--words 12] [--task generation]

Writes jsonl files of so many rows, and sets up a run over each in a process of its own: rows are
read, split and encoded with the bundled model's tokenizer, nothing is trained. Prints the peak of
the process' memory, that of its own memory (without pages of files on disk that are mapped, which
the system takes back when it needs room), the growth of both for every row, and the seconds.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

TEXT = (
    "the people of these states have seen a great war and a long peace on land and at sea and"
    " their house shall stand while the ship of the king goes down before the white whale"
)
TASKS = {"generation": "text-generation", "classification": "text-classification"}
SAMPLED_EVERY = 0.01  # seconds
MB = 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 400_000])
    parser.add_argument("--words", type=int, default=12, help="words a row")
    parser.add_argument("--task", choices=TASKS, default="generation")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    before: dict[str, Any] | None = None
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as name:
            recipe = write_recipe(Path(name), rows, options.words, TASKS[options.task])
            told = measure(recipe, options.set)
        print(show(rows, told, before), flush=True)
        before = {**told, "rows": rows}


def write_recipe(folder: Path, rows: int, words: int, task: str) -> Path:
    choose = random.Random(0)
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for i in range(rows):
            text = " ".join(choose.choices(TEXT.split(), k=choose.randint(words // 2, 2 * words)))
            file.write(json.dumps({"text": f"{i} {text}", "label": f"label {i % 3}"}) + "\n")
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f"task: {{name: {task}}}\nmodel: {{name_or_path: bundled}}\n"
        "data: {train: rows.jsonl, cache: false}\n",
        encoding="utf-8",
    )
    return recipe


def measure(recipe: Path, overrides: list[str]) -> dict[str, Any]:
    """Set up the run in another process."""
    command = [sys.executable, __file__, "--child", str(recipe), *overrides]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def child(recipe: Path, overrides: list[str]) -> None:
    import psutil
    import torch

    from hfcli.device import Placement
    from hfcli.recipe.load import load_recipe
    from hfcli.training.setup import set_up

    gc.set_threshold(100_000, 50, 50)  # as the command does
    process = psutil.Process()
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLED_EVERY):
            info = process.memory_info()
            peak[0] = max(peak[0], info.rss - getattr(info, "shared", 0))

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    setup = set_up(recipe=load_recipe(recipe, overrides), placement=Placement(torch.device("cpu")))
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    unit = 1 if sys.platform == "darwin" else 1024
    whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    told = {"peak": whole, "own": peak[0], "seconds": seconds, "kept": len(setup.train.lengths)}
    print(json.dumps(told))


def show(rows: int, told: dict[str, Any], before: dict[str, Any] | None) -> str:
    line = (
        f"{rows:>9,} rows   peak {told['peak'] / MB:6.0f} MB   own {told['own'] / MB:6.0f} MB"
        f"   {told['seconds']:6.1f} s"
    )
    if before is None:
        return line
    more = rows - before["rows"]
    whole, own = ((told[k] - before[k]) / more for k in ("peak", "own"))
    return f"{line}   a row more: {whole:5.0f} bytes, own {own:5.0f}"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), sys.argv[3:])
    else:
        main()
