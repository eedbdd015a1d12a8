"""The field names of upstream dataclasses, read from their source without importing them.

Importing TrainingArguments takes seconds and pulls in torch; a recipe error must answer in 0.3 s.
Reading the installed file keeps the names exactly those of the installed version. Knows nothing
about types or values: those are checked when the object is made.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

# An annotated field with a default, as every one of these classes writes them. A regular
# expression, because parsing the file costs a fifth of the time that a recipe error may take.
_FIELD = re.compile(r"^    ([a-z]\w*): [^=\n]+ = ", re.MULTILINE)
_TABLE = re.compile(r"^([A-Z_]+)\b[^=\n]* = OrderedDict", re.MULTILINE)
_PAIR = re.compile(r'^ *\("([^"]+)", "([^"]+)"\),', re.MULTILINE)
_ENTRY = re.compile(r'"([\w-]+)": "(\w+Config)"')
_CLASS = re.compile(r"^class (\w+)", re.MULTILINE)


def dataclass_fields(module: str, class_name: str) -> frozenset[str]:
    """Annotated field names of `class_name` in `module` ("package.sub.module").

    Returns:
        The names, or an empty set when the module or class is not there.
    """
    return _fields_by_class(module).get(class_name, frozenset())


def config_fields(model_type: str) -> frozenset[str]:
    """Field names of the configuration class of a transformers model type, such as "gpt2"."""
    folder = _model_folders().get(model_type)
    own = [
        names
        for module in _configuration_modules(folder)
        for name, names in _fields_by_class(module).items()
        if name.endswith("Config")
    ]
    if not own:
        return frozenset()
    return dataclass_fields("transformers.configuration_utils", "PreTrainedConfig").union(*own)


@functools.cache
def _model_folders() -> dict[str, str]:
    """Every model type that transformers knows -> the folder of its code."""
    auto = "transformers.models.auto."  # where the tables are; the second in the oldest versions
    source = _source_file(f"{auto}auto_mappings") or _source_file(f"{auto}configuration_auto")
    if source is None:
        return {}
    tables = _TABLE.split(source.read_text(encoding="utf-8"))
    found = {
        name: dict(_PAIR.findall(text))
        for name, text in zip(tables[1::2], tables[2::2], strict=True)
    }
    special = found.get("SPECIAL_MODEL_TYPE_TO_MODULE_NAME", {})
    types = found.get("CONFIG_MAPPING_NAMES", {})
    folders = {name: special.get(name, name.replace("-", "_")) for name in types}
    by_class = {types[name]: folder for name, folder in folders.items()}
    more = _source_file(f"{auto}configuration_auto")
    for name, owner in _ENTRY.findall(more.read_text(encoding="utf-8")) if more else ():
        own = special.get(name, name.replace("-", "_"))
        folders.setdefault(name, by_class.get(owner, own))
    return folders


def _configuration_modules(folder: str | None) -> list[str]:
    package = _source_file("transformers.models.__init__") if folder else None
    if package is None or folder is None:
        return []
    files = sorted((package.parent / folder).glob("configuration_*.py"))
    return [f"transformers.models.{folder}.{path.stem}" for path in files]


@functools.cache
def _fields_by_class(module: str) -> dict[str, frozenset[str]]:
    source = _source_file(module)
    if source is None:
        return {}
    text = source.read_text(encoding="utf-8")
    starts = list(_CLASS.finditer(text))
    ends = [match.start() for match in starts[1:]] + [len(text)]
    return {
        match.group(1): frozenset(_FIELD.findall(text, match.start(), end))
        for match, end in zip(starts, ends, strict=True)
    }


def _source_file(module: str) -> Path | None:
    import importlib.util

    package, *rest = module.split(".")
    spec = importlib.util.find_spec(package)  # a top-level find does not import it
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0], *rest).with_suffix(".py")
    return path if path.is_file() else None
