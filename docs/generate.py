"""Write docs/recipes.md, docs/cli.md and docs/recipe.schema.json from the code.

Run it with: python docs/generate.py

A test holds the files to what this gives, so that they cannot fall behind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer import Typer

from hfcli.cli.app import app
from hfcli.metrics import shipped_metrics
from hfcli.recipe.explain import section_of
from hfcli.recipe.json_schema import recipe_schema
from hfcli.recipe.schema import Recipe
from hfcli.tasks import task_classes

DOCS = Path(__file__).parent
VARIABLES = """\
## Flags from the environment

Every flag has a variable: `HFCLI_`, the command and the flag's long name, in capitals, with `_` for
`-` and spaces.

```
HFCLI_GENERATE_SEED=1 hfcli generate "It was"            # --seed 1
HFCLI_RECIPES_INIT_DATA=a.csv hfcli recipes init         # --data a.csv
HFCLI_FINETUNE_SET=$'seed=1\\nmodel.dtype=float32' hfcli finetune r.yaml    # --set, twice
HFCLI_GENERATE_DO_SAMPLE=0 hfcli generate "It was"       # --greedy
```

- Values are read and checked as if they were typed. Repeatable flags take one value a line,
  switches 1, true, yes, on, 0, false, no or off. An empty variable counts as not set.
- A typed flag wins over its variable, and a variable over the recipe or the run. `--resume` and
  `--overwrite` win over each other's variables.
- A flag with two long names has one variable, that of the first: `--label-column` / `--label`.
- Commands note variables with this prefix that set nothing. `hfcli env` lists those that are set.
- The variables in force are recorded: under `environment` in `run.json` and in the manifest of a
  file of prompts, in front of `command` in `report.json`.

Of no single flag: `HFCLI_MODEL` (the model of generate, chat and eval without `--model`),
`HFCLI_CACHE` (the folder of hfcli's cache), `HFCLI_HUB_TIMEOUT` (seconds without progress after
which a transfer fails), `HFCLI_DEBUG=1` (tracebacks of known errors).
"""


def commands(group: Typer = app, before: str = "") -> list[str]:
    """Every command of the program, groups before what is in them."""
    found = [f"{before} {command.name}".strip() for command in group.registered_commands]
    for inner in group.registered_groups:
        name = f"{before} {inner.name}".strip()
        found += [name, *commands(inner.typer_instance, name)] if inner.typer_instance else []
    return found


def recipes_page() -> str:
    """Every key of a recipe, with type, default and meaning."""
    parts = [
        "# Recipe keys",
        "Made by `python docs/generate.py`. Keys are upstream names: TrainingArguments,",
        "GenerationConfig, `load_dataset`, `from_pretrained`. Unknown keys are errors.",
        "Relative paths are relative to the recipe, in overrides to the current folder.\n",
    ]
    for name, cls in task_classes().items():
        parts += [f"## task (name: {name})\n", _table(cls, skip={"name"})]
    for name, info in Recipe.model_fields.items():
        section = section_of(info.annotation)
        if section is not None:
            about = f"{info.description}\n\n" if info.description else ""
            parts += [f"## {name}\n", about + _table(section)]
            parts += [
                f"## {name}.{key}\n\n{inner.__doc__}\n\n{_table(inner)}"
                for key, field in section.model_fields.items()
                if (inner := section_of(field.annotation)) is not None
            ]
    parts += ["## top level\n", _table(Recipe, skip={"task", *_sections()})]
    rows = [f"| `{m.name}` | {m.description} |" for m in shipped_metrics().values()]
    parts += ["## Metrics\n", "| name | definition |\n|---|---|\n" + "\n".join(rows) + "\n"]
    return "\n".join(parts)


def cli_page() -> str:
    """The help of every command, 100 columns wide."""
    parts = [f"# Commands\n\nMade by `python docs/generate.py` from `--help`.\n\n{VARIABLES}"]
    for command in ("", *commands()):
        shown = subprocess.run(
            [sys.executable, "-m", "hfcli", *command.split(), "--help"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"},
        ).stdout
        parts.append(f"## hfcli {command}".rstrip() + f"\n\n```\n{_strip(shown)}\n```\n")
    return "\n".join(parts)


def schema_page() -> str:
    """What `hfcli recipes schema` prints."""
    return json.dumps(recipe_schema(), ensure_ascii=False, indent=2) + "\n"


def _sections() -> set[str]:
    return {name for name, info in Recipe.model_fields.items() if section_of(info.annotation)}


def _table(cls: type[BaseModel], skip: set[str] | None = None) -> str:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, info in cls.model_fields.items():
        if name not in (skip or set()):
            meaning = info.description or ""
            rows.append(f"| `{name}` | {_type(info.annotation)} | {_default(info)} | {meaning} |")
    return "\n".join(rows) + "\n"


def _type(annotation: Any) -> str:
    if section_of(annotation) is not None:
        return "section"
    if hasattr(annotation, "__metadata__"):  # Annotated, with its bounds
        return _type(annotation.__origin__)
    options = [option for option in get_args(annotation) if option is not type(None)]
    if not options or getattr(annotation, "__origin__", None) in (list, dict):
        return getattr(annotation, "__name__", str(annotation)).lower()
    return " or ".join(f"`{o}`" if isinstance(o, str) else _type(o) for o in options)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True, validated_data={})
    # A bar would end the cell, even within code.
    return "" if value in (None, [], {}) else f"`{value}`".replace("|", "\\|")


def _strip(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


PAGES = {"recipes.md": recipes_page, "cli.md": cli_page, "recipe.schema.json": schema_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
