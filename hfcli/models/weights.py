"""Weights of a model's files -> a model, and which of its weights no file gave.

Whatever the files hold, loading ends in a model or in one error: see `hfcli.foreign`.
"""

from __future__ import annotations

import contextlib
import io
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from hfcli.errors import ModelError
from hfcli.fast.startup import with_all_kernels
from hfcli.foreign import first_line, foreign_errors
from hfcli.models.causal import UNKNOWN, check_causal, is_causal_task
from hfcli.models.preflight import SizeLimit, check_files
from hfcli.models.resolve import ModelSource
from hfcli.models.tokenizer import cut_off_hint
from hfcli.tasks.base import Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_weights(
    source: ModelSource,
    task: Task,
    options: dict[str, Any],
    config_overrides: dict[str, Any],
    lenient: bool,
) -> tuple[PreTrainedModel, list[str]]:
    """Load a model, and list the weights that no file gave or gave in another shape.

    Args:
        source: files of a whole model.
        task: says which auto class to use.
        options: keyword arguments of from_pretrained.
        config_overrides: configuration values to set.
        lenient: accept weights of other shapes; they start at random.

    Raises:
        ModelError: the files are damaged, contradict each other, or are not a model for the task.
        RunError: the model does not fit into memory.
    """
    check_files(source)
    if source.gguf_file:
        options = {**options, "gguf_file": source.gguf_file}
    # The GGUF reader draws a progress bar on stderr that nothing else switches off.
    quiet = contextlib.redirect_stderr(io.StringIO() if source.gguf_file else sys.stderr)
    limit = SizeLimit(source, memory=_memory(options), itemsize=options["dtype"].itemsize)
    failed = f"{source.name}: cannot be loaded for {task.name}"
    with (
        quiet,
        foreign_errors(ModelError, failed, hint=cut_off_hint(source), say=_told),
        limit.counting(),
    ):
        make = partial(
            task.auto_class().from_pretrained,
            source.folder,
            output_loading_info=True,
            ignore_mismatched_sizes=lenient,
            **options,
            **config_overrides,
        )
        model, info = with_all_kernels(make)
        model.get_input_embeddings().weight.shape  # noqa: B018 - what everything else relies on
    if is_causal_task(task):
        check_causal(model.config, source.name)
    mismatched = {name for name, *_shapes in info["mismatched_keys"]}
    return model, sorted({*info["missing_keys"], *mismatched})


def _memory(options: dict[str, Any]) -> int | None:
    """Bytes of this machine, where the weights have to fit into them."""
    import psutil

    if "device_map" in options:
        return None
    return int(psutil.virtual_memory().total + psutil.swap_memory().total)


def _told(error: BaseException) -> str:
    """What transformers says; it has no error type of its own for "cannot load this"."""
    from safetensors import SafetensorError

    told = first_line(error)
    if UNKNOWN in told:
        kind = str(error).partition("configuration_")[2].partition(".")[0]
        return f"transformers has no such model of type {kind}" if kind else told
    if "ignore_mismatched_sizes" in told:  # the rest is a table in its log
        return "its weights are not of the sizes that its config.json says"
    return f"damaged weights: {told}" if isinstance(error, SafetensorError) else told
