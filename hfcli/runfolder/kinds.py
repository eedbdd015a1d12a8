"""The folders that hfcli writes, by kind: the names of their files, and the mark of each.

A mark is a file that is written first and recognised by its own content. What is not listed here
is never removed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hfcli import files
from hfcli.errors import RunError
from hfcli.faults import environment_errors
from hfcli.runfolder import names
from hfcli.runfolder.names import (
    CARD_FILE,
    LOCK_FILE,
    MARK_FILE,
    RECIPE_FILE,
    REPORT_FILE,
    RUN_FILE,
    SCORES_FILE,
    SWEEP_FILE,
)


def _any(*every: str) -> str:
    """A regular expression of these names."""
    return "|".join(map(re.escape, every))


MODEL_FILES = (
    r"(adapter_)?config\.json|generation_config\.json|chat_template\.(jinja|json)"
    r"|(model|adapter_model)(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json"
    r"|tokenizer(_config)?\.json|(special_tokens_map|added_tokens|processor_config)\.json"
    # Every name in VOCAB_FILES_NAMES of transformers 5.23.
    r"|(vocab|vocab-src|vocab-tgt|target_vocab|entity_vocab|byte_maps|emoji|normalizer)\.json"
    r"|word_(pronunciation|shape)\.json|(vocab|merges|dict)\.txt|bpe\.codes"
    r"|(tokenizer|spiece|spm|spm_char|sentencepiece|sentencepiece\.bpe)\.model"
    r"|(source|target)\.spm|prophetnet\.tokenizer|training_args\.bin"
)
RECORDS = _any(RUN_FILE, RECIPE_FILE, names.RESULT_FILE, names.METRICS_FILE, names.SAMPLES_FILE)
PICTURES = r"(loss|learning_rate|metrics|confusion_matrix)\.png"
ALWAYS = re.compile(
    rf"{re.escape(LOCK_FILE)}|{re.escape(MARK_FILE)}|{files.TEMPORARY.pattern}", re.DOTALL
)
BLANK = re.compile(r"eval-.+|.+=.+", re.DOTALL)  # names of folders inside, before their mark
CARD_START = re.compile(rb"---\n(?:.*\n){0,40}?(?:- hfcli|library_name: peft)\n")


@dataclass(frozen=True, eq=False)
class Kind:
    """What a folder of hfcli's may hold.

    Args:
        name: for messages.
        mark: the file that says whose the folder is; "" inside of a marked folder.
        is_mark: whether the first bytes of that file are hfcli's.
        names: files, as a regular expression.
        folders: regular expression of a name -> the kind of the folder.
        deep: any folder inside is of this kind, too.
    """

    name: str
    mark: str
    is_mark: re.Pattern[bytes]
    names: str
    folders: Mapping[str, Kind] = field(default_factory=dict)
    deep: bool = False

    def knows_file(self, path: Path) -> bool:
        """Return whether a file has a name that hfcli gives to files here."""
        if path.name == CARD_FILE:
            return CARD_START.match(beginning(path)) is not None
        # Earlier versions wrote a file under this name first.
        name = re.sub(r"\A\.(.+)\.tmp\Z", r"\1", path.name, flags=re.DOTALL)
        return bool(ALWAYS.fullmatch(path.name) or re.fullmatch(self.names, name))

    def kind_of(self, folder: Path) -> Kind | None:
        """Return the kind of a folder inside; None: hfcli makes none of this name here."""
        for pattern, kind in self.folders.items():
            if re.fullmatch(pattern, folder.name):
                killed = BLANK.fullmatch(folder.name) is not None and is_blank(folder)
                if not kind.mark or is_marked(folder, kind) or killed:
                    return kind
        return self if self.deep else None


NOTHING = re.compile(rb"(?!)")
OF_A_RUN = re.compile(rb'\A\{\s*"hfcli":\s*"')
EVALUATION_MARK = re.compile(rb'\A\{\s*"hfcli":\s*"[^"]*",\s*"kind":\s*"evaluation"')
MERGED_MARK = re.compile(rb'\A\{\s*"hfcli":\s*"[^"]*",\s*"kind":\s*"merged"')
OF_A_SWEEP = re.compile(rb'\A\{\s*"output_dir":\s*".*",\s*"metric":\s*"')

ANYTHING = Kind("logs of a tracker", "", NOTHING, r"(?s:.*)", deep=True)
WANDB = Kind(
    "logs of wandb",
    "",
    NOTHING,
    r"debug.*\.log|settings|wandb-resume\.json|latest-run",
    {r"(offline-)?run-\d.*": ANYTHING},
)
TRACKIO = Kind("logs of trackio", "", NOTHING, r".+\.(db(-\w+)?|parquet|json|lock)", deep=True)
EVENTS = Kind("logs of tensorboard", "", NOTHING, r"events\.out\.tfevents\..+", deep=True)
TEMPLATES = Kind("templates", "", NOTHING, r".+\.jinja")
CHECKPOINT = Kind(
    "a checkpoint",
    "",
    NOTHING,
    rf"{MODEL_FILES}|pytorch_model.*\.bin|optimizer\.(pt|bin)|(scheduler|scaler)\.pt"
    rf"|rng_state(_\d+)?\.pth|{_any(names.TRAINER_STATE_FILE)}|loss_window\.json|unplanned|callbacks?_state\.json",
    {r"additional_chat_templates": TEMPLATES},
)
SAVING = Kind("a checkpoint that is saved", "", NOTHING, r"(?!)", {r"checkpoint-\d+": CHECKPOINT})
EVALUATION = Kind(
    "hfcli eval",
    MARK_FILE,
    EVALUATION_MARK,
    _any(names.PREDICTIONS_FILE, REPORT_FILE, names.REPORT_MARKDOWN, names.REPORT_PAGE)
    + f"|{_any(SCORES_FILE, names.PROMPTS_FILE, f'.{names.TEXTS_FILE}.lock')}"
    + rf"|{_any(names.TEXTS_FILE)}(\.partial|\.tmp|\.run\.json(\.tmp)?)?",
)
_IN_A_RUN = {
    r"checkpoint-\d+": CHECKPOINT,
    r"\.deleting-checkpoint-\d+": CHECKPOINT,
    r"\.saving": SAVING,
    r"additional_chat_templates": TEMPLATES,
    r"tensorboard": EVENTS,
    r"trackio": TRACKIO,
    r"wandb": WANDB,
    r"(?s:.+)": EVALUATION,
}
RUN = Kind(
    "hfcli finetune",
    RUN_FILE,
    OF_A_RUN,
    rf"{RECORDS}|{MODEL_FILES}|{PICTURES}|{_any(names.REPORT_PAGE)}|mlflow\.db(-(wal|shm|journal))?",
    _IN_A_RUN,
)
SWEEP = Kind("hfcli finetune --sweep", SWEEP_FILE, OF_A_SWEEP, _any(SWEEP_FILE), {r"(?s:.+)": RUN})
MERGED = Kind(
    "hfcli export merge",
    MARK_FILE,
    MERGED_MARK,
    rf"{RECORDS}|{MODEL_FILES}",
    {r"additional_chat_templates": TEMPLATES, r"(?s:.+)": EVALUATION},
)


def is_marked(folder: Path, kind: Kind) -> bool:
    """Return whether the folder carries the mark of its kind, a regular file."""
    path = folder / kind.mark
    if kind is EVALUATION and not is_regular(path):
        return _is_old_evaluation(folder)
    return is_regular(path) and kind.is_mark.match(beginning(path)) is not None


def is_blank(folder: Path) -> bool:
    """Return whether a folder holds nothing, or what a process killed before its mark left."""
    return not any(entry for entry in entries(folder) if not _is_litter(entry))


def _is_litter(path: Path) -> bool:
    name = path.name
    known = name in (LOCK_FILE, f".{RUN_FILE}.tmp", f".{RECIPE_FILE}.tmp", f".{SWEEP_FILE}.tmp")
    return is_regular(path) and (known or files.TEMPORARY.fullmatch(name) is not None)


def _is_old_evaluation(folder: Path) -> bool:
    """Of a version without marks: by its report, or by the scores of one that was killed."""
    scores = beginning(folder / SCORES_FILE)
    if scores.startswith(b'{"weights_sha256": "') and b'"data_sha256": "' in scores:
        return True
    try:
        report = json.loads(files.read_bytes(folder / REPORT_FILE))
    except (RunError, ValueError, RecursionError):
        return False
    wanted = {"task", "model", "data", "data_sha256", "metrics", "versions"}
    return (
        isinstance(report, dict) and wanted <= report.keys() and "hfcli" in str(report["versions"])
    )


def is_temporary(path: Path) -> bool:
    """Return whether it has a name of `files.create_temporary`."""
    return files.TEMPORARY.fullmatch(path.name) is not None


def is_regular(path: Path) -> bool:
    """Return whether it is a file, and no link, device or pipe."""
    return path.is_file() and not path.is_symlink()


def entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, in order of names."""
    with environment_errors(folder):
        return sorted(folder.iterdir())


def beginning(path: Path) -> bytes:
    """Return the first bytes of a file; none where it cannot be read."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(4096)
    except OSError:
        return b""
