"""Bulk generation against a loop over transformers' pipeline: equal texts, or no figure.

    python benchmarks/bulk.py [--model bundled] [--rows 256] [--repeats 3]

Prompts of 8 to 256 tokens, texts of 16 to 128 tokens, most of them short, greedy, float32. Both
sides run as whole processes, in turn. Prints tokens a second of each, the ratio with its spread,
and how many tokens hfcli ran the model on for every token of prompts and texts.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TEXT = (
    "the people of these states have seen a great war and a long peace on land and at sea and"
    " their house shall stand while the ship of the king goes down before the white whale"
)
PLAIN = """
import json, sys
from transformers import pipeline
model, source, target = sys.argv[1:]
write = pipeline("text-generation", model=model, dtype="float32", device="cpu")
with open(source) as file, open(target, "w") as out:
    for line in file:
        row = json.loads(line)
        (made,) = write(
            row["body"]["prompt"], max_new_tokens=row["body"]["max_tokens"], do_sample=False,
            return_full_text=False, repetition_penalty=1.0,
        )
        out.write(json.dumps([row["custom_id"], made["generated_text"]]) + "\\n")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "prompts.jsonl"
        write_prompts(source, options.rows)
        ratios: list[float] = []
        last: dict[str, Any] = {}
        for repeat in range(options.repeats):
            plain_seconds, plain = run_plain(options.model, source, folder / f"plain-{repeat}")
            seconds, ours, last = run_hfcli(options.model, source, folder / f"hfcli-{repeat}")
            if ours != plain:
                different = sum(ours[key] != plain[key] for key in plain)
                sys.exit(f"{different} texts differ: not the same work, no figure")
            ratios.append(plain_seconds / seconds)
            tokens = last["n_new_tokens"]
            print(
                f"plain {tokens / plain_seconds:8.1f} tokens/s   hfcli {tokens / seconds:8.1f}"
                f" tokens/s   {ratios[-1]:.1f}x"
            )
        print(
            f"median {statistics.median(ratios):.1f}x ({min(ratios):.1f} to {max(ratios):.1f});"
            f" {last['computed_per_token']:.2f} tokens computed a token,"
            f" batches of {last['batch_size']}"
        )


def write_prompts(path: Path, rows: int) -> None:
    choose = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for i in range(rows):
            length = int(8 * 32 ** choose.random() ** 2)  # 8 to 256, most of them short
            longest = int(16 * 8 ** choose.random() ** 2)  # 16 to 128, likewise
            prompt = " ".join(choose.choices(TEXT.split(), k=length))
            body = {"prompt": prompt, "max_tokens": longest, "repetition_penalty": 1.0}
            file.write(json.dumps({"custom_id": str(i), "body": {**body, "temperature": 0}}) + "\n")


def run_plain(model: str, source: Path, target: Path) -> tuple[float, dict[str, str]]:
    folder = Path(__file__).parent.parent / "hfcli" / "bundled" if model == "bundled" else model
    seconds = _timed([sys.executable, "-c", PLAIN, str(folder), str(source), str(target)])
    lines = target.read_text(encoding="utf-8").splitlines()
    return seconds, dict(json.loads(line) for line in lines)


def run_hfcli(
    model: str, source: Path, target: Path
) -> tuple[float, dict[str, str], dict[str, Any]]:
    output = target.with_suffix(".jsonl")
    flags = ["--model", model, "-i", str(source), "-o", str(output), "--device", "cpu"]
    told = target.with_suffix(".json")
    with told.open("w") as stdout:
        flags += ["--no-chat-template", "--json"]
        seconds = _timed([sys.executable, "-m", "hfcli", "generate", *flags], stdout=stdout)
    texts = {}
    for line in output.read_text(encoding="utf-8").splitlines():
        answer = json.loads(line)
        texts[answer["custom_id"]] = answer["response"]["body"]["choices"][0]["text"]
    return seconds, texts, json.loads(told.read_text())


def _timed(command: list[str], **options: Any) -> float:
    start = time.perf_counter()
    subprocess.run(
        command, check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
