"""Which file of transformers defines what, remembered between starts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib import metadata
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from hfcli.cache import remember, remembered


class StructureFinder(MetaPathFinder):
    """Lets transformers remember which file defines what.

    It reads all of its 2,500 files to know, twice a start. The answer of the first is kept under
    the version, and the folder's place and time.
    """

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != "transformers.utils.import_utils":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _StructureLoader(spec.loader.name, spec.loader.path)
        return spec


class _StructureLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        make = getattr(module, "define_import_structure", None)
        version = metadata.version("transformers")
        if make is not None and "dev" not in version:
            module.define_import_structure = partial(_structure, make, version)  # type: ignore[attr-defined]


def _structure(make: Callable[..., Any], version: str, path: Any, prefix: str | None = None) -> Any:
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    if folder.name != "models":
        return make(path, prefix)
    key = [version, str(folder), folder.stat().st_mtime_ns]
    stored = remembered("starts", key)
    if stored is None:
        made = make(path, None)
        stored = [
            [sorted(needs), {module: sorted(names) for module, names in found.items()}]
            for needs, found in made.items()
        ]
        remember("starts", key, stored)
    before = "" if prefix is None else f"{prefix}."
    return {
        frozenset(needs): {f"{before}{module}": set(names) for module, names in found.items()}
        for needs, found in stored
    }
