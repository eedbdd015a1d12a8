"""Keys and values of earlier versions, which are read for one minor version more."""

from __future__ import annotations

import logging
from typing import Any

from hfcli.fast import current_name

OLD, NEW = "plain", "disable_optimizations"
log = logging.getLogger(__name__)


def rename_optimizations(data: dict[str, Any], origins: dict[tuple[str | int, ...], str]) -> None:
    """Read `training.plain` as `training.disable_optimizations`, and old names in either.

    Args:
        data: of a recipe, changed in place, with a line of notice for each name.
        origins: where each key came from, by its path.
    """
    training = data.get("training")
    if not isinstance(training, dict):
        return
    if OLD in training and NEW not in training:
        training[NEW] = training.pop(OLD)
        for path in [path for path in origins if path[:2] == ("training", OLD)]:
            origins[("training", NEW, *path[2:])] = origins[path]
        if training[NEW]:  # records of runs spell out an empty list
            log.warning("note: training.%s is called training.%s now", OLD, NEW)
    given = training.get(NEW)
    if isinstance(given, list) and all(isinstance(name, str) for name in given):
        found = [current_name(name, "training") for name in given]
        for _name, notice in found:
            if notice is not None:
                log.warning("note: training.%s: %s", NEW, notice)
        training[NEW] = [name for name, _notice in found if name is not None]
