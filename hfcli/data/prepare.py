"""Rows -> features on disk, encoded once: what is trained on is read back as it is needed.

Features are an Arrow file that is mapped into memory, so that a data set may be larger than
memory. The file lies in the cache under a key of everything it depends on, and is written under
another name first. Knows nothing about recipes' training sections.
"""

from __future__ import annotations

import copy
import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli import cache, files
from hfcli.errors import DataError, RunError
from hfcli.faults import environment_errors
from hfcli.tasks.base import Feature, Prepared, RowCounts, Task, Tools
from hfcli.tasks.prepared import Features

if TYPE_CHECKING:
    from datasets import Dataset

TOKENS_AT_ONCE, FEATURES_AT_ONCE = 200_000, 1000  # in memory before they are written
FEATURES_FILE, COUNTS_FILE = "features.arrow", "counts.json"
Encoded = tuple[RowCounts, "Stored | None"]  # None where nothing is left of the rows


def prepare(
    *,
    task: Task,
    rows: Callable[[], Dataset],
    tools: Tools,
    train: bool,
    folder: Path | None = None,
) -> Prepared:
    """Encode rows, or find them encoded.

    Args:
        task: says how.
        rows: gives the rows; not called when they are encoded already.
        tools: tokenizer, model, and what to do with long rows; its counts are filled.
        train: for training, else for scoring.
        folder: where the encoded rows are, or will be; None: a folder of this process.

    Raises:
        DataError: rows that cannot be encoded, or nothing left of them.
    """
    found = _found(folder) if folder is not None else None
    if found is None:
        found = _made(folder, task, rows, tools, train)
    counts, features = found
    if features is None:
        raise DataError(f"nothing is left of {counts.rows} row(s): {'; '.join(counts.sentences())}")
    lengths = features.lengths()
    arranged = task.arrange(features, lengths, tools) if train else (features, lengths)
    return Prepared(arranged[0], arranged[1], counts, task.label_names(tools.model))


def check_losses(prepared: Prepared, max_dropped: float) -> None:
    """Stop when more is lost than was allowed.

    Args:
        max_dropped: largest share of the rows with text that may be left out.

    Raises:
        DataError: more rows were left out.
    """
    counts = prepared.counts
    share = counts.lost / max(1, counts.rows - counts.empty)
    if share > max_dropped:
        raise DataError(
            f"{counts.lost:,} of {counts.rows - counts.empty:,} rows are lost ({share:.1%}), more"
            f" than data.max_dropped allows ({max_dropped:.1%}): {'; '.join(counts.sentences())}",
            hint="raise the longest length, or data.max_dropped",
        )


@dataclass
class Stored(Features):
    """Features in an Arrow file, mapped into memory."""

    path: Path
    _rows: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        from datasets import Dataset

        self._rows = Dataset.from_file(str(self.path)).with_format("numpy")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        feature = dict(self._rows[index])
        del feature["length"]
        feature["origin"] = str(feature["origin"])
        return feature

    def column(self, name: str) -> list[Any]:
        """One value a feature."""
        values: list[Any] = self._rows.with_format(None)[name][:]
        return values

    def lengths(self) -> Sequence[int]:
        """Tokens of each feature, four bytes apiece."""
        lengths = array("i")
        for chunk in self._rows.data.column("length").chunks:
            lengths.frombytes(chunk.to_numpy().tobytes())
        return lengths


def _found(folder: Path) -> Encoded | None:
    """What is in a folder of the cache, where it is what was written, to the bit."""
    if not cache.is_sound(folder):
        return None
    try:
        return _read(folder)
    except FileNotFoundError:  # another process removed it just now
        return None


def _read(folder: Path) -> Encoded:
    counts = _read_counts(folder / COUNTS_FILE)
    return counts, Stored(folder / FEATURES_FILE) if counts.kept else None


def _made(
    folder: Path | None, task: Task, rows: Callable[[], Dataset], tools: Tools, train: bool
) -> Encoded:
    """Encode into the cache, or where it cannot be written into a folder of this process."""
    before = copy.deepcopy(vars(tools.counts))
    if folder is not None:
        try:
            _open_cache()
            _write(folder, task.encode(rows(), tools, train=train), tools.counts)
            return _read(folder)
        except CacheFault as e:
            cache.log.info("the cache is not used: %s", e)
            vars(tools.counts).update(before)
    own = files.scratch_name("features")
    _write(own, task.encode(rows(), tools, train=train), tools.counts)
    return _read(own)


def _open_cache() -> None:
    try:
        cache.open_cache()
    except RunError as e:
        raise CacheFault(e.message, hint=e.hint) from e


class CacheFault(RunError):  # noqa: N818 - the way back to `_made`
    """Encoded rows cannot be written where they should go; other places may do."""


def _write(folder: Path, features: Iterator[Feature], counts: RowCounts) -> None:
    """Encode into a folder beside the final one, which then takes its place."""
    with environment_errors(folder, CacheFault):
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = files.create_temporary(folder, folder=True)
    try:
        _write_features(partial / FEATURES_FILE, features)
        with environment_errors(folder, CacheFault):
            text = json.dumps(counts.to_dict())
            (partial / COUNTS_FILE).write_text(text, encoding="utf-8")
            try:
                cache.seal(partial)
                cache.put_in_place(partial, folder)
            except RunError as e:
                raise CacheFault(e.message, hint=e.hint) from e
    finally:
        files.remove(partial)


def _write_features(path: Path, features: Iterator[Feature]) -> None:
    import pyarrow

    writer = schema = None
    for chunk in _chunks(features):
        schema = schema or _schema(chunk[0])
        lengths = [len(feature["input_ids"]) for feature in chunk]
        columns = {name: [feature[name] for feature in chunk] for name in chunk[0]}
        table = pyarrow.table({**columns, "length": lengths}, schema=schema)
        with environment_errors(path, CacheFault):
            if writer is None:
                writer = pyarrow.ipc.new_stream(str(path), schema)
            writer.write_table(table)
    if writer is not None:
        with environment_errors(path, CacheFault):
            writer.close()


def _chunks(features: Iterator[Feature]) -> Iterator[list[Feature]]:
    chunk: list[Feature] = []
    tokens = 0
    for feature in features:
        chunk.append(feature)
        tokens += len(feature["input_ids"])
        if tokens >= TOKENS_AT_ONCE or len(chunk) == FEATURES_AT_ONCE:
            yield chunk
            chunk, tokens = [], 0
    if chunk:
        yield chunk


def _schema(feature: Feature) -> Any:
    from datasets import Features as Schema
    from datasets import Sequence as ListOf
    from datasets import Value

    def kind(name: str, value: Any) -> Any:
        if isinstance(value, str):
            return Value("string")
        if isinstance(value, float):
            return Value("float64")
        if isinstance(value, int):
            return Value("int64")
        inner = "float64" if value and isinstance(value[0], float) else "int32"
        return ListOf(Value(inner))

    types = {**{k: kind(k, v) for k, v in feature.items()}, "length": Value("int32")}
    return Schema(types).arrow_schema


def _read_counts(path: Path) -> RowCounts:
    values = json.loads(path.read_text(encoding="utf-8"))
    values.pop("kept")
    return RowCounts(**{**values, "labels": Counter(values["labels"])})
