"""What transformers' Trainer must have, so that no promise of a run is dropped without a word.

hfcli stops on NaN, scores and resumes in methods and events of Trainer. All are public; a Trainer
that calls others would train without them all the same. Such a Trainer is refused.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from types import CodeType
from typing import Any

from hfcli.errors import RunError

TESTED = "5.4 to 5.24"
# Methods of Trainer that hfcli's subclass replaces, with the parameters that it relies on.
METHODS: Mapping[str, tuple[str, ...]] = {
    "get_train_dataloader": (),
    "training_step": ("model", "inputs", "num_items_in_batch"),
    "compute_loss": ("model", "inputs", "return_outputs", "num_items_in_batch"),
    "evaluate": ("eval_dataset", "ignore_keys", "metric_key_prefix"),
    "save_model": ("output_dir",),
    "log": ("logs", "start_time"),
}
EVENTS = (
    "on_train_begin", "on_step_begin", "on_pre_optimizer_step", "on_step_end", "on_epoch_end",
    "on_save",
)  # fmt: skip


def check_trainer(trainer: type) -> None:
    """See that a Trainer class has and uses everything that hfcli replaces in it.

    Raises:
        RunError: it does not; the message names the version of transformers.
    """
    missing = missing_hooks(trainer)
    if not missing:
        return
    import transformers

    raise RunError(
        f"transformers {transformers.__version__}: its Trainer lacks {', '.join(missing)},"
        " needed to stop on NaN, score and resume",
        hint=f"hfcli trains with transformers {TESTED}: pip install 'transformers>=5.4,<6'",
    )


def missing_hooks(trainer: type) -> list[str]:
    """Return the methods and events that the class lacks, takes otherwise, or never uses."""
    used = set(_names(trainer))
    missing = [
        name for name, parameters in METHODS.items()
        if name not in used or not _takes(getattr(trainer, name, None), parameters)
    ]  # fmt: skip
    return missing + [name for name in EVENTS if name not in used]


def _takes(method: Any, parameters: tuple[str, ...]) -> bool:
    return method is not None and set(parameters) <= set(inspect.signature(method).parameters)


def _names(trainer: type) -> Iterator[str]:
    """Every name that the code of the class's methods uses as an attribute or a global."""
    for kind in trainer.__mro__:
        for value in vars(kind).values():
            code = getattr(inspect.unwrap(value), "__code__", None) if callable(value) else None
            if code is not None:
                yield from _names_of(code)


def _names_of(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_of(constant)
