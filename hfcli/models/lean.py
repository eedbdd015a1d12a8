"""Importing transformers without the parts that inference on a CPU never uses.

Half of the time that a model class takes to import goes into torch's compiler, distributed tensors
and scipy. transformers leaves distributed tensors out where torch was built without them. Of the
others it takes names at import and uses none of them: here it gets placeholders. Whatever is done
to a placeholder (a call, an attribute, a subclass) imports the real module and is done to that, so
nothing is ever missing; marks for the compiler on functions are the one thing that is not made.
Where an import fails all the same, it is made again as usual.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module, metadata
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from hfcli.cache import remember, remembered

COMPILER = "torch._dynamo"
LATER = (COMPILER, "scipy")
# What is to be imported, with all that it needs.
BASE = ("transformers.modeling_utils", "transformers.masking_utils", "transformers.modeling_layers")


_allowed = [False]


def allow() -> None:
    """Say that this process will only write text or score: it may do without what is left out."""
    _allowed[0] = True


def import_leanly() -> bool:
    """Import what model classes are built on; whether it was done without the unused parts.

    Not where it is imported already, where there are other devices than the CPU, or where the
    process may do other things than `allow` says.
    """
    import torch

    if not _allowed[0] or any(name in sys.modules for name in (*BASE, *LATER)):
        return False
    if torch.accelerator.is_available() or not torch.distributed.is_available():
        return False
    finder = _Finder()
    sys.meta_path[:0] = [finder, _StructureFinder()]
    try:
        with _no_distributed():
            _import_base()
    except (ImportError, AttributeError, TypeError, OSError):  # another version uses them after all
        sys.meta_path.remove(finder)
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] == "transformers" or isinstance(module, _LaterModule):
                del sys.modules[name]
        _import_base()
        return False
    return True


def end() -> None:
    """From here on imports are as usual, for work that uses scipy in earnest.

    What was left out is still imported by what took it at its import, when it is used.
    """
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    for name, module in list(sys.modules.items()):
        if isinstance(module, _LaterModule):
            del sys.modules[name]


def _import_base() -> None:
    for name in BASE:
        import_module(name)


@contextmanager
def _no_distributed() -> Iterator[None]:
    import torch

    available = torch.distributed.is_available
    torch.distributed.is_available = lambda: False
    try:
        yield
    finally:
        torch.distributed.is_available = available


class _StructureFinder(MetaPathFinder):
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


class _Finder(MetaPathFinder, Loader):
    """Finds a placeholder for every module of `LATER`, until the first of its package is used."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        root = _root(fullname)
        if root is None or (
            isinstance(sys.modules.get(root, self), ModuleType)
            and not isinstance(sys.modules[root], _LaterModule)
        ):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _LaterModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _LaterModule(ModuleType):
    """A module that is imported when something in it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        real = _imported(self.__name__)
        return _Later(self.__name__, name) if real is None else getattr(real, name)


class _Later:
    """A name in such a module."""

    def __init__(self, module: str, name: str) -> None:
        self.__dict__.update(_module=module, _name=name)

    def _real(self) -> Any:
        return getattr(_import(self._module), self._name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        mark = args and _root(self._module) == COMPILER and _imported(self._module) is None
        if mark and isinstance(args[0], FunctionType):
            return args[0]
        if mark and args[0] is None:  # a mark that is called with options first
            return _unmarked
        return self._real()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._real(), name, value)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._real(),)

    def __instancecheck__(self, instance: Any) -> bool:
        # Of a class that nobody has imported, there are no instances.
        real = _imported(self._module)
        return real is not None and isinstance(instance, getattr(real, self._name))


def _unmarked(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def _root(name: str) -> str | None:
    return next((root for root in LATER if name == root or name.startswith(f"{root}.")), None)


def _imported(name: str) -> ModuleType | None:
    module = sys.modules.get(name)
    return None if isinstance(module, _LaterModule) else module


def _import(name: str) -> ModuleType:
    """The real module; the first use of a package takes all of its placeholders away."""
    root = _root(name)
    if root is not None and isinstance(sys.modules.get(root), _LaterModule):
        for other in [n for n, m in sys.modules.items() if isinstance(m, _LaterModule)]:
            if _root(other) == root:
                del sys.modules[other]
        finders = [f for f in sys.meta_path if isinstance(f, _Finder)]
        for finder in finders:
            sys.meta_path.remove(finder)
        try:
            import_module(root)
        finally:
            sys.meta_path[:0] = finders
    return import_module(name)
