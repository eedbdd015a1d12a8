"""Questions -> texts that a model writes, through files of prompts and texts.

The files are those of a bulk run, which is resumable by itself; what runs it is brought by the
caller, since this room does not know `hfcli.generation`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfcli import files
from hfcli.evaluation.ask import Answers
from hfcli.evaluation.folder import EvaluationFolder
from hfcli.evaluation.questions import Questions

PROMPTS_FILE = "prompts.jsonl"
TEXTS_FILE = "texts.jsonl"


@dataclass(frozen=True)
class Written:
    """A finished file of texts: one record a prompt, in order, with text, finish_reason, error.

    Args:
        settings: everything beside prompts and weights that the texts depend on.
    """

    model: str
    revision: str | None
    device: str
    weights_sha256: str
    settings: dict[str, Any]


Write = Callable[[Path, Path], Written]


def written_answers(
    questions: Questions,
    folder: EvaluationFolder,
    write: Write,
    depends: Callable[[], dict[str, Any]],
) -> Answers:
    """Let every prompt be continued, and read the texts back.

    Args:
        questions: what is asked.
        folder: is taken, and gets prompts.jsonl and texts.jsonl.
        write: `(prompts, texts)` writes a text for every prompt; what an earlier call finished is
            not written again.
        depends: `weights_sha256` and `settings`: what texts depend on beside the questions.
    """
    path = folder.take({"data_sha256": questions.data_sha256, **depends()})
    prompts = _write_prompts(questions, path / PROMPTS_FILE)
    written = write(prompts, path / TEXTS_FILE)
    rows = [
        _row(record, f"{prompts}:{line}: ")
        for line, record in enumerate(_records(path / TEXTS_FILE), 1)
    ]
    cut = sum(row.get("finish_reason") == "length" for row in rows)
    told = f"{cut:,} of {len(rows):,} texts were cut off at their greatest length (max_new_tokens)"
    return Answers(
        rows=rows,
        model=written.model,
        revision=written.revision,
        device=written.device,
        weights_sha256=written.weights_sha256,
        settings=written.settings,
        notes=[told] if cut else [],
    )


def _write_prompts(questions: Questions, path: Path) -> Path:
    """Equal questions give equal bytes, by which a bulk run knows that it can go on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.atomic(path) as partial, partial.open("w", encoding="utf-8") as file:
        for number, prompt in enumerate(questions.prompts()):
            file.write(json.dumps({"id": number, "prompt": prompt}, ensure_ascii=False) + "\n")
    return path


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _row(record: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What predictions say; an error names the row of the data, not that of the prompts."""
    if record["error"] is not None:
        return {"error": record["error"].removeprefix(where)}
    told = {"prediction": record["text"], "finish_reason": record["finish_reason"]}
    return {**told, "error": None}
