"""The cache of encoded data: where it is, and under which key. Reads data files to hash them.

A key holds everything the features depend on: path and bytes of the data (the path decides how they
are read, and stands in error messages), the tokenizer, every option of data and task, and the seed.
A learning rate is not among them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hfcli
from hfcli import cache
from hfcli.cache import cache_folder as cache_folder
from hfcli.errors import DataError, RunError
from hfcli.faults import environment_errors
from hfcli.recipe.schema import DataSection
from hfcli.tasks.base import Task, context_length

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FORMAT = 4  # of what is stored; another one misses
PACKAGES = ("transformers", "tokenizers")  # whose versions may encode otherwise
FACTS_FILE = "facts.json"


def rows_key(section: DataSection, task: Task, seed: int, content: Mapping[str, Any]) -> str:
    """Key of the rows of all splits.

    Args:
        section: its options count; its files count by `content`.
        task: all of its options count.
        seed: decides which rows are held out.
        content: of each split: hashes by path, or what stands for the bytes of a Hub data set.
    """
    options = section.model_dump(mode="json", exclude={"max_dropped", "cache"})
    versions = [hfcli.__version__, *(metadata.version(name) for name in PACKAGES)]
    return digest(
        {
            "stored": [FORMAT, versions], "content": content, "data": options,
            "task": task.model_dump(), "seed": seed,
        }
    )  # fmt: skip


def read_facts(key: str) -> dict[str, Any] | None:
    """What was kept under the key, or None; using it keeps it from being forgotten."""
    folder = cache_folder() / key
    facts: dict[str, Any] | None = cache.read_json(folder / FACTS_FILE)
    if facts is not None:
        cache.touch(folder)
    return facts


def write_facts(key: str, facts: Mapping[str, Any]) -> None:
    """Keep plain data under the key; where the cache cannot be written, nothing is kept."""
    try:
        folder = cache.open_cache()
        cache.forget_unused(folder)
        cache.write_json(folder / key / FACTS_FILE, dict(facts))
    except RunError as e:
        cache.log.info("the cache is not used: %s", e)


def features_key(
    rows: str, split: str, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
) -> str:
    """Key of the features of one split."""
    labels = getattr(model.config, "id2label", None)
    told = {
        "rows": rows,
        "split": split,
        "tokenizer": [tokenizer_hash(tokenizer), _given(tokenizer)],
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
    told = {"rules": rules, "special": special, "template": template}
    if backend is None:  # one that is written in Python
        model: Any = getattr(tokenizer, "sp_model", None)
        told["pieces"] = model.serialized_model_proto().hex() if model else None
        told["merges"] = sorted(map(str, (getattr(tokenizer, "bpe_ranks", None) or {}).items()))
        told["kind"] = type(tokenizer).__qualname__
    return digest(told)


def _given(tokenizer: PreTrainedTokenizerBase) -> list[Any]:
    """Kind and options of a tokenizer that its rules do not show."""
    plain = (str, int, float, type(None))  # other values have places in memory for names
    options = tokenizer.init_kwargs.items()
    given = {k: v for k, v in options if isinstance(v, plain) and not _is_place(k)}
    return [type(tokenizer).__qualname__, given]


def _is_place(option: str) -> bool:
    """Whether an option of a tokenizer says where its files are, or how they were found."""
    return option.endswith(("_file", "_path", "_files_only", "_hash")) or option == "name_or_path"


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content.

    Raises:
        DataError: it cannot be read.
    """
    with environment_errors(path, DataError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Mapping[str, Any]) -> str:
    """SHA-256 of plain data."""
    # `format` keeps the hashes in the records of earlier versions what they were.
    text = json.dumps({"format": 2, **value}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
