"""Other tools that can write texts: sides of cases, which join in where they are installed.

Each script takes a model's folder, a number type and a file of prompts, converts the model for its
tool where that is not done yet, and tells what it did in JSON. Runs nothing.

A tool that needs other versions than hfcli does is run by the Python that `PEER_` and its module's
name say, such as `PEER_VLLM=/a/venv/bin/python`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.case import Outcome, Side
from benchmarks.processes import PLAIN, Finished, SideError

Measure = Callable[[Finished], Outcome]


@dataclass(frozen=True)
class Peer:
    """A tool.

    Args:
        name: shown.
        needs: its module.
        kind: number type, for its script.
    """

    name: str
    needs: str
    kind: str

    def side(self, model: Path, prompts: Path, measure: Measure) -> Side:
        """The side of a case with this model and these prompts."""
        own = os.environ.get(f"PEER_{self.needs.upper()}")
        script = str(PLAIN / f"peer_{self.needs}.py")
        command = [own or sys.executable, script, str(model), self.kind, str(prompts)]
        return Side(self.name, lambda _folder: command, measure, None if own else self.needs)


PEERS = (
    Peer("llama.cpp, float16", "llama_cpp", "float16"),
    Peer("llama.cpp, Q8_0", "llama_cpp", "q8_0"),
    Peer("CTranslate2, int8", "ctranslate2", "int8"),
    Peer("OpenVINO, bfloat16", "openvino", "bfloat16"),
    Peer("OpenVINO, int8", "openvino", "int8"),
    Peer("vLLM, bfloat16", "vllm", "bfloat16"),
)
# Those that write generate()'s text to the letter.
EXACT = (
    Peer("CTranslate2, float32", "ctranslate2", "float32"),
    Peer("OpenVINO, float32", "openvino", "float32"),
    Peer("vLLM, float32", "vllm", "float32"),
)


def decoded(finished: Finished, *, texts: bool) -> Outcome:
    """Seconds of decoding alone; the text of the only row."""
    told = _told(finished)
    work = {"tokens": told["tokens"], **({"text": told["text"]} if texts else {})}
    return Outcome(told["seconds"], work)


def whole(finished: Finished) -> Outcome:
    """Seconds of the whole process, without the conversion, which is done once."""
    told = _told(finished)
    work = {key: told[key] for key in ("rows", "tokens")}
    return Outcome(finished.seconds - told["converting"], work)


def write_prompts(path: Path, rows: Sequence[tuple[str, int]]) -> None:
    """A file of prompts and numbers of tokens, greedy, in the form that hfcli reads as well."""
    with path.open("w", encoding="utf-8") as file:
        for i, (prompt, n) in enumerate(rows):
            body = {"prompt": prompt, "max_tokens": n, "temperature": 0, "repetition_penalty": 1.0}
            file.write(json.dumps({"custom_id": str(i), "body": body}) + "\n")


def _told(finished: Finished) -> dict[str, Any]:
    """The last object on stdout, which some tools write their log to."""
    lines = [line for line in finished.stdout().splitlines() if line.startswith("{")]
    if not lines:
        raise SideError("nothing was told")
    told: dict[str, Any] = json.loads(lines[-1])
    return told
