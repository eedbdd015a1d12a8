"""Deferred imports: a start of transformers without the parts that a CPU never uses.

Half of the time that a model class takes to import goes into torch's compiler, distributed tensors,
kernels for tensors without memory, and scipy. transformers leaves distributed tensors out where
torch was built without them. For the others placeholders are imported; whatever is done to one (a
call, an attribute, a subclass) imports the real module and is done to that. Only marks for the
compiler on functions are not made. The map of what transformers' 2,500 files define is cached, and
Python looks for garbage when the model is there.

Used with versions that it was proved on, in processes that only write text or score (`allow`), and
after a start like it has succeeded once in a child process, so that no import is ever made twice.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeVar

from hfcli.errors import RunError
from hfcli.fast.protocol import BROKEN, SpeedUp, Versions, only_on_cpu, recall, store
from hfcli.foreign import first_line

PROVED = {"torch": ("2.13",), "transformers": ("5.23", "5.24")}
COMPILER = "torch._dynamo"
META_KERNELS = "torch._meta_registrations"
DEFERRED = (COMPILER, META_KERNELS, "scipy")
# What is imported, with all that it needs.
BASE = ("transformers.modeling_utils", "transformers.masking_utils", "transformers.modeling_layers")
# Packages of torch whose submodules a usual start imports, and others use as attributes.
PARENTS = (
    "torch", "torch.distributed", "torch.distributed.algorithms", "torch.fx.experimental",
    "torch.fx.passes", "torch.nn.utils", "torch.testing._internal", "torch.utils", "torch.cuda",
    "torch._functorch", "torch._higher_order_ops", "torch._prims_common",
)  # fmt: skip
OBJECTS_AT_START, OBJECTS_LATER = 5_000_000, 100_000  # thresholds of garbage collection

_allowed = [False]
Made = TypeVar("Made")


class DeferredImports(SpeedUp):
    """See the module."""

    name = "deferred-imports"
    aliases = ("lean-start",)
    help = "import transformers without what inference on a CPU never uses"
    scope = "the CPU is the only device"
    tolerance = 1e-4

    def supports(self, versions: Versions, device: str) -> str | None:
        """See `SpeedUp.supports`."""
        for name, proved in PROVED.items():
            installed = ".".join(getattr(versions, name).split(".")[:2])
            if installed not in proved:
                return f"not proved with {name} {installed}"
        return only_on_cpu(device)

    def self_test(self) -> float:
        """Start so in a child process, once for an environment; it compares two forward passes."""
        stored = recall(key := _environment())
        if stored is None:
            # The answer until it comes back, and without a cache there is none.
            store(key, "the trial did not end")
            if recall(key) is None:
                raise RuntimeError("the cache cannot be written")
            stored = _trial()
            store(key, stored)
        if not isinstance(stored, float):
            raise RuntimeError(stored)
        return stored

    def prepare(self) -> tuple[bool, str | None]:
        """Import what model classes are built on; return whether imports were deferred, or why not.

        Raises:
            RunError: it failed, although it had succeeded in a child process.
        """
        deferred = (name for name in DEFERRED if name != META_KERNELS)  # torch may be here
        if not _allowed[0] or any(name in sys.modules for name in (*BASE, *deferred)):
            return False, None
        reason = self.refusal("cpu")
        if reason is None:
            gc.set_threshold(OBJECTS_AT_START, 50, 50)
            try:
                reason = _import_deferred()
            except BROKEN as e:  # what was imported half cannot be imported again
                store(_environment(), "a start with it failed")
                raise RunError(
                    f"transformers cannot be imported with deferred imports ({first_line(e)})",
                    hint="the same command again starts without them",
                ) from e
        return reason is None, reason


def allow() -> None:
    """Declare that this process will only write text or score."""
    _allowed[0] = True


def resume_gc() -> None:
    """Look for garbage as usual again; what the start made counts as old."""
    if gc.get_threshold()[0] == OBJECTS_AT_START:
        gc.freeze()
        gc.unfreeze()
        gc.set_threshold(OBJECTS_LATER, 50, 50)


def with_all_kernels(make: Callable[[], Made]) -> Made:
    """Return what `make` makes; where it lacks a kernel that was deferred, made once more."""
    try:
        return make()
    except NotImplementedError:
        if not _import_meta_kernels():
            raise
        return make()


def restore_imports() -> None:
    """Make imports as usual from here on; what took a placeholder still imports it when used."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    for name, module in list(sys.modules.items()):
        if isinstance(module, _Placeholder):
            del sys.modules[name]


def _environment() -> list[Any]:
    """What a trial is valid for: versions, and the folder of packages as it is."""
    versions = Versions.installed()
    found = find_spec("transformers")  # imports nothing
    places = [Path(__file__), *([Path(found.origin).parents[1]] if found and found.origin else [])]
    changed = [[str(place), place.stat().st_mtime_ns] for place in places]
    return ["deferred", sys.version, versions.torch, versions.transformers, changed]


def _trial() -> float | str:
    """The difference that a start in a child process prints, or how it failed."""
    code = f"from {__name__} import trial; trial()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code], stdin=subprocess.DEVNULL, capture_output=True,
            check=False, env=environment, timeout=120,
        )  # fmt: skip
        return float(done.stdout.split()[-1])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError):
        return "a start with it fails"


def trial() -> None:
    """Start with deferred imports, and print how far a model is from its fused decoder."""
    if reason := _import_deferred():
        raise SystemExit(reason)
    from transformers import GPT2Config, GPT2LMHeadModel

    from hfcli.fast.decoders import FusedDecoder, build_decoder

    sizes: dict[str, Any] = {"n_positions": 32, "n_embd": 32, "n_layer": 1, "n_head": 2}
    config = GPT2Config(vocab_size=64, bos_token_id=0, eos_token_id=0, **sizes)
    model = GPT2LMHeadModel(config).eval()
    decoder = build_decoder(model)
    assert decoder is not None
    found = FusedDecoder().differs_by(model, decoder)
    restore_imports()
    import_module("scipy.special")
    sys.stdout.write(f"{found}\n")


def _import_deferred() -> str | None:
    sys.meta_path[:0] = [_Finder()]
    import torch

    if torch.accelerator.is_available() or not torch.distributed.is_available():
        _import_meta_kernels()
        restore_imports()
        return "the CPU is not the only device, or torch was built without distributed tensors"
    # torch makes its generators usable only among the kernels that are deferred.
    torch._C._set_generator_metaclass(_generator_metaclass())
    available = torch.distributed.is_available
    torch.distributed.is_available = lambda: False
    try:
        for name in BASE:
            import_module(name)
    finally:
        torch.distributed.is_available = available
    _import_on_access()
    return None


def _generator_metaclass() -> Any:
    """torch's class of generators' class, by its name from 2.14 on, else by the one before."""
    with suppress(ImportError):
        return import_module("torch._custom_class_base").CustomClassBaseMeta
    return import_module("torch._opaque_base").OpaqueBaseMeta


def _import_meta_kernels() -> bool:
    """Import torch's kernels for tensors without memory; whether they were deferred."""
    deferred = isinstance(sys.modules.get(META_KERNELS), _Placeholder)
    return deferred and bool(_import(META_KERNELS))


def _import_on_access() -> None:
    """Let an attribute of a package that is a submodule nobody imported be imported when used."""
    for parent in PARENTS:
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
    """Finds a placeholder for every module of `DEFERRED`, until one of its package is used."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname == "transformers.utils.import_utils":
            spec = PathFinder.find_spec(fullname, path)
            if spec is not None and isinstance(spec.loader, SourceFileLoader):
                spec.loader = _StructureLoader(spec.loader.name, spec.loader.path)
            return spec
        root = _root(fullname)
        held = sys.modules.get(root or "")
        used = held is not None and not isinstance(held, _Placeholder)
        return None if root is None or used else ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Placeholder(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _Placeholder(ModuleType):
    """A module that is imported when something in it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        real = _imported(self.__name__)
        return _DeferredName(self.__name__, name) if real is None else getattr(real, name)


class _DeferredName:
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
            return lambda function: function
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


def _root(name: str) -> str | None:
    return next((root for root in DEFERRED if name == root or name.startswith(f"{root}.")), None)


def _imported(name: str) -> ModuleType | None:
    return None if isinstance(module := sys.modules.get(name), _Placeholder) else module


def _import(name: str) -> ModuleType:
    """The real module; the first use of a package takes all of its placeholders away."""
    root = _root(name)
    if root == COMPILER:
        _import_meta_kernels()  # the compiler works with such tensors
    if root is not None and isinstance(sys.modules.get(root), _Placeholder):
        for other in [n for n, m in sys.modules.items() if isinstance(m, _Placeholder)]:
            if _root(other) == root:
                del sys.modules[other]
        finders = [f for f in sys.meta_path if isinstance(f, _Finder)]
        sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, _Finder)]
        try:
            import_module(root)
        finally:
            sys.meta_path[:0] = finders
    return import_module(name)


class _StructureLoader(SourceFileLoader):
    """Lets transformers cache which file defines what, instead of reading all files twice."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.define_import_structure = partial(_structure, module.define_import_structure)  # type: ignore[attr-defined]


def _structure(make: Callable[..., Any], path: Any, prefix: str | None = None) -> Any:
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    if folder.name != "models":
        return make(path, prefix)
    key = ["structure", Versions.installed().transformers, str(folder), folder.stat().st_mtime_ns]
    stored = recall(key)
    if stored is None:
        stored = [
            [sorted(needs), {module: sorted(names) for module, names in found.items()}]
            for needs, found in make(path, None).items()
        ]
        store(key, stored)
    before = "" if prefix is None else f"{prefix}."
    return {
        frozenset(needs): {f"{before}{module}": set(names) for module, names in found.items()}
        for needs, found in stored
    }
