"""Model folders with one or more things wrong in them, loaded by every command that loads models.

Small sound folders (causal, classifier, adapter, GGUF) are built once. A case copies one, changes
JSON values, bytes or names in it, and runs some of the commands that load it.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import random
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.fuzz.bombs import TEMPLATES
from tests.fuzz.case import Command

NUMBER = 300
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 1000, 10**6, 10**9, 10**12, 10**30, -(10**9), 0.5, 1e300,
    float("nan"), float("inf"), "", "x", "1", "\x1b[31mred\x1b[0m", "a" * 5000, "/etc/passwd",
    "../../x", [], [1], ["x"], [[]], {}, {"a": 1}, {"x": None}, [None] * 50, "bfloat16", "LORA",
)  # fmt: skip
ANYTHING = ("null", "[]", "5", '"x"', "", "{", "[{}]", "\x00", "{}", "[" * 100_000, "NaN")
NEW_KEYS: dict[str, tuple[str, ...]] = {
    "config.json": (
        "num_labels", "id2label", "label2id", "quantization_config", "dtype", "torch_dtype",
        "rope_scaling", "rope_parameters", "auto_map", "tie_word_embeddings", "problem_type",
        "architectures", "model_type", "head_dim", "sliding_window", "layer_types", "use_cache",
        "pad_token_id", "transformers_version", "text_config", "attn_implementation",
        "max_position_embeddings", "num_key_value_heads", "hidden_act", "return_dict",
    ),
    "generation_config.json": (
        "num_beams", "temperature", "top_k", "top_p", "repetition_penalty", "eos_token_id",
        "pad_token_id", "do_sample", "max_length", "max_new_tokens", "num_return_sequences",
        "bad_words_ids", "suppress_tokens", "forced_bos_token_id", "watermarking_config", "min_p",
        "no_repeat_ngram_size", "cache_implementation", "stop_strings", "typical_p",
        "encoder_repetition_penalty", "length_penalty", "min_length", "prompt_lookup_num_tokens",
        "sequence_bias", "guidance_scale", "compile_config", "max_time", "epsilon_cutoff",
    ),
    "tokenizer_config.json": (
        "chat_template", "tokenizer_class", "model_max_length", "pad_token", "bos_token",
        "added_tokens_decoder", "extra_special_tokens", "additional_special_tokens", "auto_map",
        "padding_side", "add_bos_token", "clean_up_tokenization_spaces", "model_input_names",
        "truncation_side", "unk_token", "add_prefix_space",
    ),
    "adapter_config.json": (
        "r", "lora_alpha", "target_modules", "peft_type", "base_model_name_or_path", "task_type",
        "rank_pattern", "modules_to_save", "layers_to_transform", "bias", "use_dora", "revision",
        "fan_in_fan_out", "lora_dropout", "auto_mapping", "init_lora_weights", "target_parameters",
    ),
    "tokenizer.json": (
        "model", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder",
        "truncation", "padding", "version",
    ),
}  # fmt: skip


@functools.cache
def bases() -> dict[str, Path]:
    """Sound models by kind, in a temporary folder that goes with the process."""
    from benchmarks.gguf_file import write_gguf
    from tests.fuzz.tiny import build_adapter, build_bert, build_gpt2, build_llama

    home = Path(tempfile.mkdtemp(prefix="hfcli-fuzz-models-"))
    atexit.register(_remove, home, os.getpid())
    made = {"gpt2": home / "gpt2", "llama": home / "llama", "bert": home / "bert"}
    build_gpt2(made["gpt2"])
    build_llama(made["llama"])
    build_bert(made["bert"])
    made["adapter"] = home / "adapter"
    build_adapter(made["gpt2"], made["adapter"])
    made["gguf"] = home / "gguf"
    made["gguf"].mkdir()
    build_gpt2(home / "long", n_positions=1024)
    write_gguf(home / "long", made["gguf"] / "model.gguf")
    return made


def _remove(home: Path, owner: int) -> None:
    if os.getpid() == owner:  # forked children leave it alone
        shutil.rmtree(home, ignore_errors=True)


def build(seed: int, folder: Path) -> Iterator[Command]:
    """Write one broken model and yield commands that load it."""
    chance = random.Random(seed)
    kind = chance.choice(("gpt2", "gpt2", "gpt2", "llama", "llama", "bert", "adapter", "gguf"))
    model = folder / "model"
    shutil.copytree(bases()[kind], model)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        chance.choice(_changes(kind))(model, chance)
    yield from _commands(kind, model, folder, chance)


def _commands(kind: str, model: Path, folder: Path, chance: random.Random) -> Iterator[Command]:
    name = str(model / "model.gguf" if kind == "gguf" else model)
    (folder / "p.txt").write_text("The harbour was quiet.\nAnd the boats lay still.\n")
    (folder / "d.csv").write_text("text,label\n" + "good one,pos\nbad one,neg\n" * 6)
    (folder / "chat.jsonl").write_text('{"messages": [{"role": "user", "content": "Hi"}]}\n')
    few = ("--model", name, "--max-new-tokens", "3", "--offline")
    task = "text-classification" if kind == "bert" else "text-generation"
    data = "d.csv" if kind == "bert" else "p.txt"
    recipe = {
        "task": {"name": task, **({} if kind == "bert" else {"block_size": 8})},
        "model": {"name_or_path": name},
        "data": {"train": data, "validation": data},
        "training": {"max_steps": 1},
        "output_dir": "run",
    }
    (folder / "r.yaml").write_text(json.dumps(recipe))
    loads: list[Command] = [
        Command(["generate", "hello there", *few]),
        Command(["generate", "-i", "chat.jsonl", "-o", "out.jsonl", *few]),
        Command(["chat", *few], stdin=b"Hello\n"),
        Command(["eval", "--model", name, "--data", data, "-o", "scores", "--offline"]),
        Command(["finetune", "r.yaml", "--dry-run", "--offline"]),
        Command(["finetune", "r.yaml", "--offline"], cpu_seconds=15),
        Command(["generate", "hello", *few, "--allow-pickle", "--num-beams", "2"]),
    ]
    if kind == "adapter":
        loads.append(Command(["export", "merge", name, "-o", "merged", "--offline"]))
    if kind == "bert":
        loads = [*loads[3:6], loads[0]]
    yield from chance.sample(loads, 2)


def _changes(kind: str) -> list[Callable[[Path, random.Random], None]]:
    if kind == "gguf":
        return [gguf_bytes, gguf_bytes, gguf_number, truncated]
    structured = [json_value] * 7 + [json_whole, json_bytes]
    return [*structured, weights, weights, index, template, pickle, linked, other_weights]


def json_value(model: Path, chance: random.Random) -> None:
    """Change, add or remove one value somewhere in one of the JSON files."""
    path = chance.choice(_json_files(model) or [model / "config.json"])
    if not path.is_file():
        return
    try:
        content = json.loads(path.read_text(encoding="utf-8", errors="replace") or "null")
    except (ValueError, RecursionError):  # after another change
        return
    if not isinstance(content, dict):
        return
    place: Any = content
    while isinstance(place, dict) and place:
        known = list(NEW_KEYS.get(path.name, ())) if place is content else []
        key = chance.choice([*place, *known])
        inner = place.get(key)
        if isinstance(inner, dict) and inner and chance.random() < 0.6:
            place = inner
        elif isinstance(inner, list) and inner and chance.random() < 0.5:
            inner[chance.randrange(len(inner))] = chance.choice(VALUES)
            break
        elif chance.random() < 0.1:
            place.pop(key, None)
            break
        else:
            place[key] = chance.choice(VALUES)
            break
    path.write_text(json.dumps(content), encoding="utf-8")


def _json_files(model: Path) -> list[Path]:
    return sorted(p for p in model.glob("*.json") if p.is_file() and not p.is_symlink())


def json_whole(model: Path, chance: random.Random) -> None:
    """Put something else in the place of a whole JSON file."""
    names = [p.name for p in _json_files(model)]
    names += ["special_tokens_map.json", "added_tokens.json", "generation_config.json"]
    path = model / chance.choice(sorted(set(names)))
    if path.is_symlink() or path.is_dir():
        return
    path.write_text(chance.choice(ANYTHING), encoding="utf-8")


def json_bytes(model: Path, chance: random.Random) -> None:
    """Change bytes of a JSON file."""
    path = chance.choice(_json_files(model) or [model / "config.json"])
    if not path.is_file():
        return
    _scramble(path, chance, first=0)


def weights(model: Path, chance: random.Random) -> None:
    """Damage the safetensors file: its length, its header, or its content."""
    path = next(iter(sorted(model.glob("*.safetensors"))), None)
    if path is None or path.is_symlink() or not path.is_file():
        return
    data = bytearray(path.read_bytes())
    how = chance.randrange(6)
    if how == 0:
        data = data[: chance.randrange(len(data))]
    elif how == 1:
        data[:8] = struct.pack("<Q", chance.choice((0, 1, 2**40, 2**63, len(data))))
    elif how == 2:
        data = bytearray(b"not a model at all")
    elif how == 3:
        _put_header(data, chance)
    elif how == 4:  # NaN
        start = 8 + struct.unpack("<Q", data[:8])[0]
        data[start:] = b"\xff" * (len(data) - start)
    else:
        for _ in range(3):
            data[chance.randrange(min(len(data), 600))] = chance.randrange(256)
    path.write_bytes(data)


def _put_header(data: bytearray, chance: random.Random) -> None:
    """Change one entry of the header; the data stay as they are."""
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    name = chance.choice(sorted(header))
    entry = header[name]
    how = chance.randrange(5)
    if how == 0 or "shape" not in entry:
        header["other" + name] = header.pop(name)
    elif how == 1:
        entry["shape"] = chance.choice(([], [-1], [10**18], [0], entry["shape"][::-1], "x", [[1]]))
    elif how == 2:
        entry["dtype"] = chance.choice(("I64", "F64", "F16", "BOOL", "X", 5))
    elif how == 3:
        entry["data_offsets"] = chance.choice(([0, 10**12], [5, 1], [0], None))
    else:
        del header[name]
    text = json.dumps(header).encode()
    data[: 8 + size] = struct.pack("<Q", len(text)) + text


def index(model: Path, chance: random.Random) -> None:
    """Write an index of shards that is wrong, and take the single file away."""
    own = model / "model.safetensors"
    content: Any = chance.choice(
        (
            [], 5, None, {}, {"weight_map": 5}, {"weight_map": {}}, {"weight_map": {"x": 5}},
            {"weight_map": {"a": "/etc/passwd"}, "metadata": {}},
            {"weight_map": {"a": "../../outside.safetensors"}, "metadata": {}},
            {"weight_map": {"a": "nowhere.safetensors"}, "metadata": {"total_size": "x"}},
            {"weight_map": {"a": "part.safetensors"}},
            {"weight_map": {"a": "part.safetensors"}, "metadata": 5},
        )
    )  # fmt: skip
    (model / "model.safetensors.index.json").write_text(json.dumps(content))
    if own.is_file() and chance.random() < 0.7:
        own.rename(model / "part.safetensors")


def template(model: Path, chance: random.Random) -> None:
    """Give the tokenizer a chat template that fails, fills memory, or never ends."""
    text = chance.choice(TEMPLATES)
    if chance.random() < 0.5:
        (model / "chat_template.jinja").write_text(text, encoding="utf-8")
        return
    path = model / "tokenizer_config.json"
    if path.is_file():
        path.write_text(json.dumps({"chat_template": text}), encoding="utf-8")


def pickle(model: Path, chance: random.Random) -> None:
    """Put a file of other content in the place of the weights, named as a pickle."""
    for path in model.glob("*.safetensors"):
        if path.is_file():
            path.unlink()
    adapter = (model / "adapter_config.json").is_file()
    name = "adapter_model.bin" if adapter else "pytorch_model.bin"
    harmful = b"cos\nsystem\n(S'touch pwned'\ntR."
    zipped = b"PK\x03\x04" + bytes(chance.randrange(256) for _ in range(200))
    (model / name).write_bytes(chance.choice((harmful, b"", b"\x80\x02}q\x00.", zipped)))


def linked(model: Path, chance: random.Random) -> None:
    """Put a folder, a dangling link or an endless device in the place of a file."""
    path = chance.choice(sorted(p for p in model.iterdir() if p.is_file() and not p.is_symlink()))
    path.unlink()
    how = chance.choice(("folder", "/nowhere/at/all", "/proc/self/mem", "itself", "gone"))
    if how == "folder":
        path.mkdir()
    elif how == "itself":
        path.symlink_to(path)
    elif how != "gone":
        path.symlink_to(how)


def other_weights(model: Path, chance: random.Random) -> None:
    """Give the folder the weights or the configuration of another model."""
    other = bases()[chance.choice(("gpt2", "llama", "bert"))]
    name = chance.choice(("model.safetensors", "config.json", "tokenizer.json"))
    if (model / name).is_file() and not (model / name).is_symlink():
        shutil.copy(other / name, model / name)


def gguf_bytes(model: Path, chance: random.Random) -> None:
    """Change bytes near the beginning, where the header and the metadata are."""
    _scramble(model / "model.gguf", chance, first=4, last=chance.choice((24, 400, 4000)))


def gguf_number(model: Path, chance: random.Random) -> None:
    """Change the number of a field of the metadata, such as the heads."""
    path = model / "model.gguf"
    data = bytearray(path.read_bytes())
    keys = (b"head_count", b"block_count", b"embedding_length", b"context_length", b"ggml.tokens")
    key = chance.choice(keys)
    at = data.find(key)
    if at > 0:
        number = chance.choice((0, 1, 3, 2**31, 2**32 - 1))
        data[at + len(key) + 4 : at + len(key) + 8] = struct.pack("<I", number)
    path.write_bytes(data)


def truncated(model: Path, chance: random.Random) -> None:
    """Cut the file off."""
    path = model / "model.gguf"
    data = path.read_bytes()
    path.write_bytes(data[: chance.choice((0, 4, 8, 23, 100, 5000, len(data) - 1))])


def _scramble(path: Path, chance: random.Random, *, first: int, last: int | None = None) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 1, 2, 5))):
        if len(data) > first:
            data[chance.randrange(first, min(len(data), last or len(data)))] = chance.randrange(256)
    path.write_bytes(data)
