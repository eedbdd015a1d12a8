"""The cache of encoded data: where it is, and under which key. Reads data files to hash them.

A key holds everything the features depend on by content: the bytes of the data, the tokenizer,
every option of data and task, and the seed. A learning rate is not among them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli.cache import cache_folder as cache_folder
from hfcli.cache import forget_unused as forget_unused
from hfcli.data.files import expand
from hfcli.recipe.schema import DataSection
from hfcli.tasks.base import Task, context_length

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FORMAT = 3  # of what is stored; another one misses
FACTS_FILE = "facts.json"


def rows_key(
    section: DataSection, task: Task, seed: int, marks: Mapping[str, str] | None = None
) -> str:
    """Key of the rows of all splits.

    Args:
        section: names the files, whose content is hashed.
        task: all of its options count.
        seed: decides which rows are held out.
        marks: of the splits of a Hub data set, instead of hashes.
    """
    names = ("train", "validation", "test")
    content: Any = marks or {
        n: [file_hash(path) for path in expand(getattr(section, n))] for n in names
    }
    options = section.model_dump(mode="json", exclude={*names, "max_dropped", "cache"})
    told = {"content": content, "data": options, "task": task.model_dump(), "seed": seed}
    return digest(told)


def read_facts(key: str) -> dict[str, Any] | None:
    """What was kept under the key, or None; using it keeps it from being forgotten."""
    folder = cache_folder() / key
    path = folder / FACTS_FILE
    if not path.is_file():
        return None
    os.utime(folder)
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts


def write_facts(key: str, facts: Mapping[str, Any]) -> None:
    """Keep plain data under the key, whole or not at all."""
    forget_unused(cache_folder())
    folder = cache_folder() / key
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{FACTS_FILE}.{os.getpid()}"
    partial.write_text(json.dumps(facts), encoding="utf-8")
    os.replace(partial, folder / FACTS_FILE)


def features_key(
    rows: str, split: str, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
) -> str:
    """Key of the features of one split."""
    labels = getattr(model.config, "id2label", None)
    told = {
        "rows": rows,
        "split": split,
        "tokenizer": tokenizer_hash(tokenizer),
        "context": context_length(tokenizer, model),
        "labels": {str(k): v for k, v in (labels or {}).items()},
    }
    return digest(told)


def tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """By what the tokenizer does: its tokens, rules and templates, not its name."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    rules: Any = sorted(tokenizer.get_vocab().items())
    if backend is not None:
        rules = json.loads(backend.to_str())
        for name in ("truncation", "padding"):  # as the last call left them
            del rules[name]
    special = {k: str(v) for k, v in tokenizer.special_tokens_map.items()}
    template = str(getattr(tokenizer, "chat_template", None))
    return digest({"rules": rules, "special": special, "template": template})


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Mapping[str, Any]) -> str:
    """SHA-256 of plain data."""
    text = json.dumps({"format": FORMAT, **value}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
