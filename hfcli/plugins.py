"""What other packages add to hfcli, found by their entry points. Imports nothing heavy.

A package names an object in its metadata, in one of the groups below; nothing else registers it.
Looking takes some milliseconds, so callers look only for names that hfcli itself does not know.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from hfcli.errors import RunError
from hfcli.foreign import foreign_errors

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENGINES = "hfcli.engines"  # a function `open_engine(options) -> Engine`
METRICS = "hfcli.metrics"  # a `hfcli.metrics.base.Metric`, under its own name
TASKS = "hfcli.tasks"  # a class that subclasses `hfcli.tasks.base.Task`, under its own name


@cache
def _points(group: str) -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # here: it takes time of every start

    return {point.name: point for point in entry_points(group=group)}


def names(group: str) -> list[str]:
    """Return the names that installed packages give to objects of a group."""
    return sorted(_points(group))


def load(group: str, name: str) -> Any:
    """Import what a package registers under a name.

    Raises:
        RunError: the package cannot be imported, or lacks what it names.
        KeyError: no package registers the name.
    """
    point = _points(group)[name]
    package = point.dist.name if point.dist else point.value
    with foreign_errors(RunError, f"{name!r} of the package {package} cannot be loaded"):
        return point.load()
