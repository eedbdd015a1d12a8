"""Facts about data and a model -> the text of a recipe, with what was seen and why beside it.

Reads no file and no model: `hfcli.data.inspect_data` and `hfcli.models.inspect_model` do.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from statistics import quantiles

from hfcli.recipe.catalog import editor_line
from hfcli.recipe.starting_points import (
    DataFacts,
    Entry,
    ModelFacts,
    TokenFacts,
    for_labels,
    for_model,
    for_texts,
    held_out,
)
from hfcli.recipe.yaml_file import dump_value

COMMENT_COLUMN = 36
CLIP = 20_000  # characters; more of a text adds nothing to an estimate


def write_recipe(*, data: DataFacts, model: ModelFacts, to: Path) -> str:
    """Return the text of a recipe that runs as it is.

    Args:
        data, model: the facts.
        to: where the recipe will stand; its relative paths are relative to that folder.

    Raises:
        DataError: too few rows to hold any out.
    """
    tokens = _count(data, model)
    held = held_out(data)
    rows, total = (math.floor(n * held.training_share) for n in (data.rows, tokens.total))
    if data.labels:
        several = data.several_labels
        length, training = for_labels(data.labels, rows, tokens, model, several=several)
    else:
        length, training = for_texts(rows if data.has_rows else None, total, tokens, model)
    folder = to.parent
    name = _path(model.name, folder) if model.is_local else model.name
    sections: dict[str, list[Entry]] = {
        "task": [*_task(data), length],
        "model": [("name_or_path", name, "a Hub id, a local folder, or bundled")],
        "data": [*_files(data, folder), *held.entries],
        "training": [*training, *for_model(model)],
    }
    lines = [editor_line(folder) + _about(data, model, tokens)]
    for section, entries in sections.items():
        lines += [f"{section}:", *(_line(entry, indent="  ") for entry in entries)]
    lines += [_line(("seed", 42, "")), _line(("output_dir", f"runs/{_run_name(data, to)}", ""))]
    return "\n".join(lines) + "\n"


def _about(data: DataFacts, model: ModelFacts, tokens: TokenFacts) -> str:
    names = ", ".join(os.path.basename(name) for name in data.files["train"])
    rows = f"{'' if data.complete else 'the first '}{data.rows:,} row{'s' * (data.rows != 1)}"
    lines = [f"Made by `hfcli recipes init` from {names}: {rows}."]
    if data.labels:
        shown = [f"{label} ({rows:,})" for label, rows in list(data.labels.items())[:8]]
        more = len(data.labels) - len(shown)
        end = f" and {more} more" if more else ""
        lines.append(f"{len(data.labels)} labels: {', '.join(shown)}{end}.")
    if data.rows > 1:
        lines.append(
            f"Tokens a row: median {tokens.median:,}, 99 of 100 up to {tokens.most:,}, longest"
            f" {tokens.longest:,}."
        )
    lines.append(f"About {tokens.total:,} tokens, as the tokenizer of {model.tokenizer} counts.")
    if data.unused:
        lines.append(f"Columns that are not used: {', '.join(data.unused)}.")
    return "\n".join(f"# {_printable(line)}" for line in lines)


def _count(data: DataFacts, model: ModelFacts) -> TokenFacts:
    clipped = [text[:CLIP] for text in data.texts]
    counts = sorted(
        math.ceil(count * len(text) / max(len(part), 1))
        for count, text, part in zip(model.count_tokens(clipped), data.texts, clipped, strict=True)
    )
    longest = counts[-1]
    most = longest if len(counts) < 2 else math.ceil(quantiles(counts, n=100)[98])
    total = sum(counts) * data.rows // len(counts)
    return TokenFacts(counts[len(counts) // 2], min(most, longest), longest, total)


def _task(data: DataFacts) -> list[Entry]:
    entries: list[Entry] = [("name", data.task.model_fields["name"].default, "")]
    for key, name in data.keys.items():
        if not isinstance(name, str):
            entries.append((key, name, "0 or 1 in each"))
        elif name in data.mean_lengths:
            length = data.mean_lengths[name]
            entries.append((key, name, f"{length:,.0f} characters on average" if length else ""))
        else:
            entries.append((key, name, f"{len(data.labels or {})} different values"))
    return entries


def _files(data: DataFacts, folder: Path) -> list[Entry]:
    entries: list[Entry] = []
    for split, names in data.files.items():
        paths = [_path(name, folder) for name in names]
        entries.append((split, paths[0] if len(paths) == 1 else paths, ""))
    if data.column_names:
        entries.append(("column_names", list(data.column_names), "the files have no header line"))
    entries += [(key, value, "") for key, value in data.options.items()]
    if data.is_plain_text:
        entries.append(("sample_by", "document", "a file is one text; or: paragraph, line"))
    return entries


def _run_name(data: DataFacts, to: Path) -> str:
    """The recipe's own name where it has one, else that of the data."""
    stem = to.stem if to.stem != "recipe" else Path(data.files["train"][0]).stem
    return re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "run"


def _path(name: str, folder: Path) -> str:
    expanded = os.path.expanduser(name)
    return expanded if os.path.isabs(expanded) else Path(os.path.relpath(name, folder)).as_posix()


def _line(entry: Entry, indent: str = "") -> str:
    key, value, comment = entry
    text = f"{indent}{key}: {_number(value) if isinstance(value, float) else dump_value(value)}"
    return f"{text:<{COMMENT_COLUMN}} # {_printable(comment)}" if comment else text


def _number(value: float) -> str:
    """5e-4, as the shipped recipes write it; 0.1 stays."""
    return f"{value:.0e}".replace("e-0", "e-") if value < 0.001 else f"{value:g}"


def _printable(text: str) -> str:
    """A comment ends at a line end, and what labels and file names hold is not ours to choose."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
