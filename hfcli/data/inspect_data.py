"""Files -> what they could teach: the task, its columns, the labels, and a sample of the texts.

The step before a recipe, where `hfcli.data.splits` is the step after it. Knows nothing about
models or tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hfcli.data.files import FileOptions, expand
from hfcli.data.profile import Profile, profile
from hfcli.data.shapes import Shape, Wanted, shape_of
from hfcli.data.tables import OTHER_DELIMITER, SEPARATORS, only_one_column
from hfcli.errors import DataError, RecipeError, did_you_mean
from hfcli.origins import as_typed
from hfcli.recipe.starting_points import DataFacts
from hfcli.tasks import task_classes
from hfcli.tasks.labels import YES_OR_NO

SPLIT_WORDS = {
    "train": {"train", "training"},
    "validation": {"dev", "val", "valid", "validation", "eval"},
    "test": {"test"},
}
COMPLETE = "remove or complete the row, or leave such rows out: --on-bad-row skip"


def inspect_data(
    *,
    patterns: Sequence[str],
    task: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    column_names: Sequence[str] | None = None,
    encoding: str = "utf-8",
    on_bad_row: str = "error",
    tell: Callable[[str], None] = lambda told: None,
) -> DataFacts:
    """Read files and say what they could teach; what is given is not guessed.

    Args:
        patterns: names of files, globs allowed; `train`, `dev` or `test` in a name says its split.
        task: name of the task.
        text_column, label_column: columns.
        column_names: names for the columns of csv and tsv files that have no header line.
        encoding: of text files, as Python names it.
        on_bad_row: `error`, or `skip` rows that cannot be read or lack a value.
        tell: takes sentences about how files are read.

    Raises:
        RecipeError: arguments that are unknown or contradict each other.
        DataError: files that cannot be read, or that leave open what to learn from them.
    """
    wanted = _wanted(task, text_column, label_column)
    files = _by_split(patterns)
    names = tuple(name.strip() for name in column_names) if column_names else None
    skips = on_bad_row == "skip"
    how = FileOptions(names, encoding=encoding, tell=tell)
    seen = profile(expand(files["train"]), how, skip_bad_rows=skips)
    _check_separator(seen, text_column)
    shape = shape_of(seen, wanted)
    if skips:
        quiet = FileOptions(names, encoding=encoding)  # all was told the first time
        seen = profile(expand(files["train"]), quiet, skip_bad_rows=True, needed=shape.columns)
        if seen.left_out:
            tell(f"{seen.left_out:,} row(s) that cannot be read or lack a value are left out")
    else:
        _check_filled(seen, shape)
    labels = _labels_of(seen, shape)
    if labels is not None and shape.label is not None and "validation" not in files:
        _check_rare(labels, str(shape.label))
    return DataFacts(
        task=shape.task,
        keys=shape.keys,
        files=files,
        rows=seen.rows,
        complete=seen.complete,
        texts=["\n".join(_as_text(row.get(name)) for name in shape.read) for row in seen.sample],
        mean_lengths={name: seen.columns[name].mean_length for name in shape.read},
        labels=labels,
        unused=[name for name in seen.columns if name not in shape.columns],
        column_names=names,
        is_plain_text=seen.suffixes == {".txt"},
        several_labels=bool(shape.labels),
        options={
            **({"encoding": encoding} if encoding != "utf-8" else {}),
            **({"on_bad_row": on_bad_row} if skips else {}),
        },
    )


def _labels_of(seen: Profile, shape: Shape) -> dict[str, int] | None:
    """Rows of each label, the commonest first."""
    if shape.label is not None:
        return dict(seen.columns[shape.label].values.most_common())
    if not shape.labels:
        return None
    rows = {
        name: sum(n for value, n in seen.columns[name].values.items() if YES_OR_NO[value.lower()])
        for name in shape.labels
    }
    return dict(sorted(rows.items(), key=lambda item: -item[1]))


def _wanted(task: str | None, text: str | None, label: str | None) -> Wanted:
    if label is not None and label == text:
        raise RecipeError(
            f"{as_typed('--text-column')} and {as_typed('--label-column')} must be two columns"
        )
    known = task_classes()
    labelled = [cls for cls in known.values() if "label_column" in cls.model_fields]
    if task is None:
        return Wanted(labelled[0] if label else None, text, label)
    if task not in known:
        near = did_you_mean(task, known)
        tail = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
        raise RecipeError(f"{as_typed('--task')}: unknown task {task!r}, {tail}")
    if label is not None and known[task] not in labelled:
        raise RecipeError(
            f"{as_typed('--label-column')} does not go with {as_typed('--task')} {task}"
        )
    return Wanted(known[task], text, label)


def _by_split(patterns: Sequence[str]) -> dict[str, list[str]]:
    """Split -> patterns; all are for training when none is left for it."""
    files: dict[str, list[str]] = {"train": []}
    for pattern in patterns:
        name = Path(pattern).name.lower().removesuffix(".gz")
        words = set(re.split(r"[^a-z]+", Path(name).stem))
        split = next((name for name, said in SPLIT_WORDS.items() if said & words), "train")
        files.setdefault(split, []).append(pattern)
    return files if files["train"] else {"train": list(patterns)}


def _check_separator(seen: Profile, text_column: str | None) -> None:
    """A table separated by something else than commas looks like one column of texts."""
    name = next(iter(seen.columns), "")
    found = next((mark for mark in SEPARATORS if mark in name), None)
    if len(seen.columns) == 1 and found is not None and text_column is None:
        raise DataError(
            only_one_column(name, found),
            hint=f"{OTHER_DELIMITER}; if it is one column, name it by --text-column",
        )


def _check_filled(seen: Profile, shape: Shape) -> None:
    # Texts by themselves may be blank: finetune leaves them out, and says so.
    blank_too = list(shape.keys) != ["text_column"]
    for name in shape.columns:
        if name == shape.keys.get("tools_column"):
            continue  # conversations without tools
        column = seen.columns[name]
        where = column.missing or (column.blank if blank_too else None)
        if where is not None:
            raise DataError(f"{where}: column {name!r} is empty", hint=COMPLETE)


def _check_rare(labels: dict[str, int], column: str) -> None:
    if max(labels.values()) < 2:
        raise DataError(
            f"every label of column {column!r} has one row only, and validation data held out by"
            " label needs two",
            hint="add rows, give a validation file (--data dev.csv), or name another"
            " --label-column",
        )


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)
