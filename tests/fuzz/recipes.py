"""Recipes, overrides and sweeps broken in their bytes, keys, values, types or structure."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hfcli.recipe.yaml_file import dump_yaml, parse_yaml
from tests.fuzz.case import Command
from tests.helpers import RECIPES

NUMBER = 1000
LONG = "a" * 5_000
ROWS = "text,label\n" + "".join(f"row {i} is here,{'no' if i % 2 else 'yes'}\n" for i in range(24))
TEXT = "The harbour was quiet and the boats lay still.\n" * 40
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3.5, 1e300, -1e-300, 10**30, 2**64, 2**31, float("nan"),
    float("inf"), "", " ", "no", "null", "auto", "x", "~", "~/x", "a/b", "../x", "/", ".", "..",
    "/dev/zero", "/dev/null", "/proc/self/mem", "/etc/shadow", "a\nb", "a\x1b[31mb", "\u202eabc",
    "\x00", "é" * 200, LONG, f"{LONG}/{LONG}", "a/" * 3000, "*", "[", "{x}", "%s", "${HOME}", "#",
    "2020-01-01", "0x10", "1e5", "bundled", "gpt2", "text-classification", "text-generation",
    [], {}, [[]], [None], ["a", 1], {"a": 1}, {"a": {"b": []}}, [LONG] * 30, list(range(1_000)),
    {str(i): i for i in range(300)}, "accuracy", "cosine", "bfloat16", "cuda:9", "https://x.y/z",
    10**9, 10**12,
)  # fmt: skip
ARGUMENTS: tuple[tuple[str, Any], ...] = (
    ("report_to", "nope"), ("fsdp", "full_shard"), ("parallelism_config", 3), ("push_to_hub", True),
    ("deepspeed", {}), ("optim", "nope"), ("lr_scheduler_kwargs", 3), ("dataloader_num_workers", 2),
    ("accelerator_config", "x"), ("fp16", True), ("tf32", True), ("ddp_backend", "x"), ("debug", 1),
    ("hub_model_id", "a"), ("adam_beta1", "x"), ("gradient_checkpointing_kwargs", []),
)  # fmt: skip
TEXTS = (
    "!!int x: 1\n", "!!float x: 1\n", "!!bool x: 1\n", "!!null x: 1\n", "!!timestamp 2020-99-99: 1",
    "!!binary x: 1\n", "!!python/object/apply:os.system ['true']: 1\n", "!!set {a, b}\n", "? [a]\n",
    "<<: *a\n", "a: &a [*a]\n", "a: 1\n---\nb: 2\n", "\t", "a:\n\tb: 1\n",
    '"\\ud800": 1\n', "- a\n",
    "[" * 3_000, "{a: " * 3_000, "seed: 0x" + "f" * 9_000, "seed: " + "9" * 9_000, "", "null", "3",
    "".join(" " * i + f"k{i}:\n" for i in range(1_200)), "a: 1\na: 2\n", "%YAML 9.9\n---\na: 1\n",
    "".join(f"k{i}: 1\n" for i in range(3_000)), "a: !!map [1]\n", "? ? ? ?\n", "&a : *a\n",
)  # fmt: skip
FILES = ("/dev/zero", "/dev/urandom", "/dev/null", "/proc/self/mem", "/", "pipe", "nowhere.yaml",
         "d.csv", "a" * 300, "a/" * 3_000, "x\ny.yaml", "x\x1b[31m.yaml", "", " ")  # fmt: skip


def build(seed: int, folder: Path) -> Iterator[Command]:
    """Write one broken recipe, and yield a command that reads it."""
    rng = random.Random(seed)
    (folder / "d.csv").write_text(ROWS, encoding="utf-8")
    (folder / "t.txt").write_text(TEXT, encoding="utf-8")
    kinds = (_bytes, _values, _values, _structure, _texts, _overrides, _overrides, _sweeps, _extra,
             _files, _bombs, _flags)  # fmt: skip
    kind: Callable[[random.Random, Path], list[str]] = kinds[seed % len(kinds)]
    arguments = kind(rng, folder)
    yield Command(arguments)


def _base(rng: random.Random) -> dict[str, Any]:
    """A recipe whose dry run works; half of the time one of those that ship."""
    if rng.random() < 0.5:
        path = rng.choice(sorted(RECIPES.glob("bundled*.yaml")))
        recipe: dict[str, Any] = parse_yaml(path.read_text(encoding="utf-8")).data
        is_text = recipe["task"]["name"] == "text-generation"
        recipe["data"] = {"train": "t.txt" if is_text else "d.csv", "validation_size": 0.3}
        if not is_text:
            recipe["task"] |= {"text_column": "text", "label_column": "label"}
    else:
        recipe = {
            "task": {"name": "text-classification", "text_column": "text", "label_column": "label"},
            "model": {"name_or_path": "bundled"},
            "data": {"train": "d.csv", "validation_size": 0.3},
            "training": {"num_train_epochs": 1},
        }
    return recipe | {"device": "cpu", "output_dir": "run"}


def _command(rng: random.Random, *more: str, recipe: str = "r.yaml") -> list[str]:
    if rng.random() < 0.3:
        return ["recipes", "check", recipe, "--offline", *more]
    return ["finetune", recipe, "--dry-run", "--offline", *more]


def _write(rng: random.Random, folder: Path, recipe: Any) -> None:
    try:
        text = json.dumps(recipe) if rng.random() < 0.3 else dump_yaml(recipe)
    except ValueError:
        text = json.dumps(recipe)
    (folder / "r.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")


def _bytes(rng: random.Random, folder: Path) -> list[str]:
    data = bytearray(dump_yaml(_base(rng)).encode())
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = rng.randrange(len(data))
        action = rng.randrange(4)
        if action == 0:
            data[place] = rng.randrange(256)
        elif action == 1:
            del data[place : place + rng.randrange(1, 9)]
        elif action == 2:
            data[place:place] = rng.choice(
                (b"\x00", b"\x1b[2J", b"\xff\xfe", b"\xef\xbb\xbf", b"\t", b"\r", b": ", b"- ",
                 b"&a ", b"*a ", b"!!int ", b"| ", b"#", b'"', b"'", b"[", b"{", b"\xe2\x80\xa8",
                 b"\xc2\x85")
            )  # fmt: skip
        else:
            data[place:place] = data[rng.randrange(len(data)) :][: rng.randrange(200)]
    if rng.random() < 0.1:
        data = bytearray(data.decode("utf-8", "replace").encode("utf-16"))
    (folder / "r.yaml").write_bytes(bytes(data))
    return _command(rng)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from _places(item, (*path, key))


def _put(recipe: dict[str, Any], path: tuple[Any, ...], value: Any) -> None:
    target = recipe
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value


def _keys(rng: random.Random, recipe: dict[str, Any]) -> tuple[Any, ...]:
    """A key that is there, or one that the schema knows."""
    from hfcli.recipe.schema import Recipe

    if rng.random() < 0.4:
        return rng.choice(list(_places(recipe)))
    section = rng.choice(["model", "data", "training", "generation", "evaluation", "task"])
    recipe.setdefault(section, {})
    schema: Any = Recipe.model_fields[section].annotation
    known = list(getattr(schema, "model_fields", ())) or ["text_column", "block_size", "template"]
    return (section, rng.choice(known))


def _values(rng: random.Random, folder: Path) -> list[str]:
    recipe = _base(rng)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        path = _keys(rng, recipe)
        if isinstance(recipe.get(path[0]), dict) or len(path) == 1:
            _put(recipe, path[:2], rng.choice(VALUES))
    _write(rng, folder, recipe)
    return _command(rng)


def _structure(rng: random.Random, folder: Path) -> list[str]:
    recipe: Any = _base(rng)
    path = rng.choice(list(_places(recipe)))
    action = rng.randrange(4)
    if action == 0:
        recipe = rng.choice(([recipe], {"recipe": recipe}, {"hfcli": "1", "recipe": recipe}, None))
    elif action == 1:
        _put(recipe, path, [rng.choice(VALUES), recipe.get("data")])
    elif action == 2:
        recipe[rng.choice([LONG, "", "\x1b[31m", "a\nb", "training ", 5, None, 1.5, True])] = 1
    else:
        del recipe[path[0]]
    _write(rng, folder, recipe)
    return _command(rng)


def _texts(rng: random.Random, folder: Path) -> list[str]:
    text = rng.choice(TEXTS)
    if rng.random() < 0.3:
        text = dump_yaml(_base(rng)) + text
    (folder / "r.yaml").write_text(text, encoding="utf-8")
    return _command(rng)


def _typed(rng: random.Random, recipe: dict[str, Any]) -> str:
    key = ".".join(map(str, _keys(rng, recipe)))
    value = rng.choice(VALUES)
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{key}={text}".replace("\x00", "")


def _overrides(rng: random.Random, folder: Path) -> list[str]:
    recipe = _base(rng)
    _write(rng, folder, recipe)
    odd = ("", "=", "x", "=x", "a..b=1", ".=1", "training=1", "training.x.y=1", "seed.x=1", "a=[1",
           "model.lora.r=1000000000", "model.lora.r=0", "a=!!int x", "a=&a [*a]", "\x1b[31m=1",
           "model.freeze_layers=1000000000", f"{LONG}=1", "a=" + "[" * 900)  # fmt: skip
    typed = [
        rng.choice(odd) if rng.random() < 0.3 else _typed(rng, recipe)
        for _ in range(rng.choice((1, 1, 2, 3)))
    ]
    return _command(rng, *(["--", *typed] if rng.random() < 0.2 else typed))


def _sweeps(rng: random.Random, folder: Path) -> list[str]:
    recipe = _base(rng)
    _write(rng, folder, recipe)
    odd = ("seed=1,1", "seed=", "seed", "=1,2", "seed=[1", "seed=1],[2", "output_dir=a,b",
           "x=*a,&a b",
           "seed=" + ",".join(map(str, range(9_000))), "model.lora={},{r: 10000000000}",
           "seed=-1,2",
           f"{LONG}=1,2", f"seed={LONG},2", "seed=1 # 2", "training={},{max_steps: 2}")  # fmt: skip
    swept = rng.choice(odd) if rng.random() < 0.6 else f"{_typed(rng, recipe)},1"
    return ["finetune", "r.yaml", "--dry-run", "--offline", "--sweep", swept]


def _extra(rng: random.Random, folder: Path) -> list[str]:
    recipe = _base(rng)
    from hfcli.recipe.training import training_argument_names

    extra: dict[str, Any] = {}
    for _ in range(rng.choice((1, 1, 2))):
        if rng.random() < 0.5:
            name, value = rng.choice(ARGUMENTS)
        else:
            name = rng.choice(sorted(training_argument_names()))
            value = rng.choice(VALUES)
        extra[name] = value
    recipe.setdefault("training", {})["extra"] = extra
    _write(rng, folder, recipe)
    return _command(rng)


def _files(rng: random.Random, folder: Path) -> list[str]:
    import os

    os.mkfifo(folder / "pipe")
    return _command(rng, recipe=rng.choice(FILES))


def _bombs(rng: random.Random, folder: Path) -> list[str]:
    """Aliases of aliases: lists, mappings, or merged mappings, up to 10^12 values."""
    width, depth = rng.randrange(2, 12), rng.randrange(2, 26)
    forms = ("[{}]", "{{{}}}", "{{<<: [{}]}}")
    form = rng.randrange(3)
    lines = ["k0: &k0 [x, x]" if form == 0 else "k0: &k0 {x: 1}"]
    for i in range(1, depth):
        parts = [f"*k{i - 1}" if form != 1 else f"x{j}: *k{i - 1}" for j in range(width)]
        lines.append(f"k{i}: &k{i} {forms[form].format(', '.join(parts))}")
    (folder / "r.yaml").write_text("\n".join(lines), encoding="utf-8")
    return _command(rng)


def _flags(rng: random.Random, folder: Path) -> list[str]:
    """Flags with odd values, typed as they are."""
    _write(rng, folder, _base(rng))
    words = [v.replace("\x00", "") for v in VALUES if isinstance(v, str)]
    match rng.randrange(3):
        case 0:
            return [*_command(rng), "--set", f"output_dir={rng.choice(words)}"]
        case 1:
            flag = rng.choice(["-o", "--device", "--output-dir"])
            return ["finetune", "r.yaml", "--dry-run", "--offline", flag, rng.choice(words)]
        case _:
            name = rng.choice([*words, "bundled-pretrain"])
            return [
                "recipes",
                rng.choice(["show", "copy"]),
                name,
                *rng.choice([[], ["--overwrite"]]),
            ]
