"""Data files that are broken in hundreds of ways, through every command that reads data."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.fuzz.case import Command

NUMBER = 500
WORDS = [
    "good",
    "bad",
    "a",
    "long",
    "film",
    "über",
    "漢字",
    "🙂",
    "",
    "NA",
    "1",
    "0",
    "1.0",
    "null",
]
NASTY: list[Any] = [
    None, "", " ", "\ud800", "\x00", "a\rb", "a\nb", '"', '""', "\ufeff", 1, 0, -1, 1.0, 0.5,
    10**400, float("nan"), float("inf"), True, [], {}, [1], ["a", "a"], {"a": None}, "9" * 5000,
    "x" * 70_000,
    [[[]]], "1|2", "\x1b]0;x\x07", "{text}", {"role": "user", "content": "x"},
]  # fmt: skip
CHATS: list[Any] = [
    [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}],
    [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yes"}],
    [{"role": "user", "content": [{"type": "text", "text": "hi"}]}, {"role": "assistant",
      "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}],
    [{"from": "alien", "value": "hi"}], [{"role": 1, "content": 2}], ["hi"], [None], [[]], "hi", 5,
    [{"role": "user"}], [{"role": "assistant", "content": None}], [{"content": "x"}],
]  # fmt: skip
FIELDS = ["stop", "n", "seed", "temperature", "top_p", "max_tokens", "tools", "logit"]
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"


def build(seed: int, folder: Path) -> Iterator[Command]:
    """One broken file, and the commands that read it."""
    rng = random.Random(seed)
    kind = rng.choice(list(WRITERS))
    content = WRITERS[kind](rng)
    for _ in range(rng.choice([0, 0, 1, 1, 2, 5])):
        content = rng.choice(BYTES)(rng, content)
    name = f"data.{kind}"
    if kind != "parquet" and rng.random() < 0.15:
        content, name = _packed(rng, content), f"{name}.gz"
    (folder / name).write_bytes(content)
    yield from _commands(rng, folder, name)


def _commands(rng: random.Random, folder: Path, name: str) -> Iterator[Command]:
    task = rng.choice(TASKS)
    short = {"block_size": 32} if task["name"] == "text-generation" else {"max_length": 32}
    task = {**task, **short}  # a dry run times a step
    recipe = f"task: {json.dumps(task)}\nmodel: {{name_or_path: bundled}}\n"
    data: dict[str, Any] = {"train": name, "validation": name, **rng.choice(DATA)}
    (folder / "r.yaml").write_text(f"{recipe}data: {json.dumps(data)}\n", encoding="utf-8")
    (folder / "chat.jinja").write_text(TEMPLATE, encoding="utf-8")
    init = ["recipes", "init", "--data", name, "-o", "made.yaml", *rng.choice(INIT)]
    yield Command(init, cpu_seconds=10)
    yield Command(["finetune", "r.yaml", "--dry-run", "--offline"], cpu_seconds=10)
    if rng.random() < 0.4:
        kind = "text-generation" if task["name"] == "text-generation" else "generate-until"
        evaluate = ["eval", "--model", "bundled", "--data", name, "--task", kind, "--offline"]
        more = ["--max-new-tokens", "2"] if kind == "generate-until" else []
        yield Command([*evaluate, *more, "--set", "data.max_samples=3"], cpu_seconds=10)
    flags = rng.choice(GENERATE)
    bulk = ["generate", "-i", name, "-o", "out.jsonl", "-m", "bundled", "--max-new-tokens", "2"]
    yield Command([*bulk, "--limit", "3", "--offline", *flags], cpu_seconds=10)


TASKS: list[dict[str, Any]] = [
    {"name": "text-classification"},
    {"name": "text-classification", "problem_type": "regression"},
    {"name": "text-classification", "problem_type": "multi_label_classification"},
    {"name": "text-classification", "label_columns": ["label", "other"]},
    {"name": "text-classification", "text_pair_column": "other"},
    {"name": "text-generation"},
    {"name": "text-generation", "prompt_column": "text", "completion_column": "other"},
    {"name": "text-generation", "messages_column": "messages", "chat_template": "chat.jinja"},
    {"name": "text-generation", "messages_column": "messages", "tools_column": "other",
     "chat_template": "chat.jinja"},
]  # fmt: skip
DATA: list[dict[str, Any]] = [
    {}, {}, {}, {}, *[{"on_bad_row": "skip"}] * 4, {"encoding": "latin-1"}, {"encoding": "utf-16"},
    {"quoting": "always"}, {"column_names": ["text", "label"]}, {"sample_by": "line"},
    {"sample_by": "paragraph", "on_bad_row": "skip"},
]  # fmt: skip
INIT = [[], [], ["--on-bad-row", "skip"], ["--encoding", "cp1252"], ["--task", "text-generation"]]
GENERATE = [[], [], ["--on-error", "skip"], ["--encoding", "utf-16"], ["--prompt-column", "text"]]


def _cell(rng: random.Random) -> Any:
    return rng.choice(NASTY) if rng.random() < 0.03 else " ".join(rng.choices(WORDS, k=3))


def _rows(rng: random.Random) -> list[dict[str, Any]]:
    rows = []
    for i in range(rng.choice([0, 1, 2, 12, 12, 12])):
        row = {"text": _cell(rng), "label": rng.choice([str(i % 2), i % 2, _cell(rng)])}
        chats = CHATS[:2] if rng.random() < 0.9 else CHATS
        row |= {"other": _cell(rng), "messages": rng.choice(chats)}
        rows.append({name: value for name, value in row.items() if rng.random() < 0.97})
    return rows


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _encoded(rng: random.Random, text: str) -> bytes:
    encoding = rng.choice(["utf-8"] * 16 + ["utf-8-sig", "utf-16", "utf-32", "latin-1"])
    return text.encode(encoding, "surrogatepass" if encoding != "latin-1" else "replace")


def _jsonl(rng: random.Random) -> bytes:
    end = rng.choice(["\n", "\n", "\r\n", "\r"])
    return _encoded(rng, "".join(_json(row) + end for row in _rows(rng)))


def _json_file(rng: random.Random) -> bytes:
    rows: Any = _rows(rng)
    shapes = [rows, rows, {"data": rows}, {"any": rows}, {"a": rows, "b": rows}, {"a": 1}, rows[:1]]
    return _encoded(rng, _json(rng.choice(shapes)))


def _batch(rng: random.Random) -> bytes:
    lines = []
    for i in range(4):
        body: dict[str, Any] = {"messages": rng.choice(CHATS), "max_tokens": 2}
        body[rng.choice(FIELDS)] = rng.choice(NASTY)
        lines.append(_json({"custom_id": rng.choice([str(i), *NASTY[:14]]), "body": body}))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _table(rng: random.Random, mark: str) -> bytes:
    header = rng.choice([["text", "label", "other"]] * 4 + [["text", "label", "", ""], ["a"], [""]])
    lines = [header]
    for row in _rows(rng):
        cells = [str(row.get(name, ""))[:80_000] for name in ("text", "label", "other")]
        lines.append([*cells, *[""] * (len(header) - 3)][: max(1, len(header))])
    quote = rng.random() < 0.5
    end = rng.choice(["\n", "\n", "\r\n", "\r"])

    def shown(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"' if quote and rng.random() < 0.5 else cell

    text = "".join(mark.join(map(shown, line)) + end for line in lines)
    return _encoded(rng, text)


def _txt(rng: random.Random) -> bytes:
    return _encoded(rng, "\n".join(str(_cell(rng)) for _ in range(rng.choice([0, 1, 20]))))


def _parquet(rng: random.Random) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    n = 12
    texts = [" ".join(rng.choices(WORDS, k=3)) or None for _ in range(n)]
    bad = pa.array([b"\xff\xfe", *[b"fine"] * (n - 1)], pa.binary()).view(pa.string())
    columns: list[Any] = [
        pa.array(texts), pa.array(texts).dictionary_encode(), bad,
        pa.array([2**62] * n, pa.timestamp("us")), pa.array([2**62] * n, pa.duration("s")),
        pa.array([2**31 - 1] * n, pa.date32()),
        pa.array([i % 2 for i in range(n)]), pa.array([float(i % 2) for i in range(n)]),
        pa.array([float("nan")] * n), pa.array([None] * n), pa.array([[i] for i in range(n)]),
        pa.array([{"a": i} for i in range(n)]), pa.array([1] * n, pa.timestamp("ns")),
        pa.array([b"\xff"] * n), pa.array([CHATS[0]] * n),
        pa.array([10**30] * n, pa.decimal256(60, 2)),
        pa.array([[("k", 1)]] * n, pa.map_(pa.string(), pa.int32())),
    ]  # fmt: skip
    names = rng.choice([["text", "label", "other"], ["text", "label"], ["text"], ["text", "text"]])
    chosen = [rng.choice(columns[:2] if rng.random() < 0.5 else columns) for _ in names]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(chosen, names=names), sink, compression=rng.choice(["none", "snappy"]))
    return bytes(sink.getvalue().to_pybytes())


WRITERS: dict[str, Callable[[random.Random], bytes]] = {
    "csv": lambda rng: _table(rng, ","),
    "tsv": lambda rng: _table(rng, "\t"),
    "jsonl": lambda rng: _batch(rng) if rng.random() < 0.3 else _jsonl(rng),
    "json": _json_file,
    "txt": _txt,
    "parquet": _parquet,
}


def _packed(rng: random.Random, content: bytes) -> bytes:
    packed = gzip.compress(content, mtime=0)
    return packed if rng.random() < 0.6 else rng.choice(BYTES)(rng, packed)


def _flip(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(min(len(changed), rng.choice([1, 1, 5]))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _cut(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _insert(rng: random.Random, content: bytes) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.choice(INSERTED) + content[at:]


def _random(rng: random.Random, content: bytes) -> bytes:
    return rng.randbytes(rng.choice([0, 1, 10, 1000]))


def _twice(rng: random.Random, content: bytes) -> bytes:
    return content + content


INSERTED = [
    b"\x00", b'"', b"\r", b"\n\n", b",", b"\t", b"\xff", b"\xed\xa0\x80", b"[" * 2000, b"{" * 2000,
    b"\xef\xbb\xbf", b"9" * 5000, b"x" * 200_000, b"\\ud800", b"NaN", b"1e999", b"\x1b[2J", b"\xc3",
]  # fmt: skip
BYTES: list[Callable[[random.Random, bytes], bytes]] = [
    _flip, _flip, _cut, _insert, _insert, _insert, _twice, _random,
]  # fmt: skip
