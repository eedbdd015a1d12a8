"""Importing transformers without the parts that inference on a CPU never uses.

Half of the time that a model class takes to import goes into torch's compiler, distributed
tensors and scipy. transformers leaves distributed tensors out where torch was built
without them. Of the others it takes names at import and uses none of them: here it gets
placeholders. Whatever is done to a placeholder (a call, an attribute, a subclass) imports the real
module and is done to that, so nothing is ever missing; marks for the compiler on functions are the
one thing that is not made. Where an import fails all the same, it is made again as usual.

Other libraries use submodules of torch that transformers imports in a usual start, as
`torch.distributed.tensor`, without importing them. Such a submodule is imported on access.

torch itself reads kernels for tensors without memory, and much that only these need. Most models
are made without them; `completed` gets them for the others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any, TypeVar

from hfcli.fast.import_structure import StructureFinder

COMPILER = "torch._dynamo"
META_KERNELS = "torch._meta_registrations"
LATER = (COMPILER, META_KERNELS, "scipy")
# What is to be imported, with all that it needs.
BASE = ("transformers.modeling_utils", "transformers.masking_utils", "transformers.modeling_layers")

# Packages of torch whose submodules a usual start imports, and others use as attributes.
PARENTS = (
    "torch", "torch.distributed", "torch.distributed.algorithms", "torch.fx.experimental",
    "torch.fx.passes", "torch.nn.utils", "torch.testing._internal", "torch.utils", "torch.cuda",
    "torch._functorch", "torch._higher_order_ops", "torch._prims_common",
)  # fmt: skip

Made = TypeVar("Made")
_allowed = [False]


def allow() -> None:
    """Say that this process will only write text or score: it may do without what is left out."""
    _allowed[0] = True


def import_leanly() -> bool:
    """Import what model classes are built on; whether it was done without the unused parts.

    Not where it is imported already, where there are other devices than the CPU, or where the
    process may do other things than `allow` says.
    """
    late = (
        name for name in LATER if name != META_KERNELS
    )  # these come with torch, which may be here
    if not _allowed[0] or any(name in sys.modules for name in (*BASE, *late)):
        return False
    sys.meta_path[:0] = [_Finder(), StructureFinder()]
    try:
        if _only_cpu():
            with _no_distributed():
                _import_base()
            _import_on_access(PARENTS)
            return True
    except (ImportError, AttributeError, TypeError, OSError):  # another version uses them after all
        for name in [name for name in sys.modules if name.partition(".")[0] == "transformers"]:
            del sys.modules[name]
    _complete()
    end()
    _import_base()
    return False


def completed(make: Callable[[], Made]) -> Made:
    """What `make` makes; a second time with all of torch's kernels where it lacked one."""
    try:
        return make()
    except NotImplementedError:
        if not _complete():
            raise
        return make()


def _complete() -> bool:
    """Import torch's kernels for tensors without memory; whether they were left out."""
    left_out = isinstance(sys.modules.get(META_KERNELS), _LaterModule)
    if left_out:
        _import(META_KERNELS)
    return left_out


def end() -> None:
    """From here on imports are as usual, for work that uses scipy in earnest.

    What was left out is still imported by what took it at its import, when it is used.
    """
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    for name, module in list(sys.modules.items()):
        if isinstance(module, _LaterModule):
            del sys.modules[name]


@contextmanager
def ended() -> Iterator[None]:
    """Let imports be as usual after the block, however it ends."""
    try:
        yield
    finally:
        end()


def _only_cpu() -> bool:
    import torch

    # torch makes its generators usable only among the kernels that are left out.
    usable = getattr(torch._C, "_set_generator_metaclass", None)
    if usable is not None:
        usable(_generator_metaclass())
    return torch.distributed.is_available() and not torch.accelerator.is_available()


def _generator_metaclass() -> Any:
    """torch's class of generators' class, by its name from 2.14 on, else by the one before."""
    try:
        return import_module("torch._custom_class_base").CustomClassBaseMeta
    except ImportError:
        return import_module("torch._opaque_base").OpaqueBaseMeta


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


def _import_on_access(parents: Sequence[str]) -> None:
    """Let an attribute of a package that is a submodule nobody imported be imported when used."""
    for parent in parents:
        package = sys.modules.get(parent)
        if package is not None:
            package.__getattr__ = partial(_submodule, parent, vars(package).get("__getattr__"))  # type: ignore[method-assign]


def _submodule(parent: str, before: Callable[[str], Any] | None, name: str) -> Any:
    if before is not None:
        with suppress(AttributeError):
            return before(name)
    if not name.startswith("__"):
        with suppress(ImportError):
            return import_module(f"{parent}.{name}")
    raise AttributeError(f"module {parent!r} has no attribute {name!r}")


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

    def __subclasscheck__(self, kind: type) -> bool:
        return issubclass(kind, self._real())

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
    if root == COMPILER:
        _complete()  # the compiler works with such tensors
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
