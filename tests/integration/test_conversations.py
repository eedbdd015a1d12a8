"""Conversations in every form are learned, and answered, as their plain form is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hfcli.data.splits import load_splits
from hfcli.device import Placement
from hfcli.errors import DataError
from hfcli.generation.bulk import generate_file
from hfcli.generation.bulk_files import BulkFiles
from hfcli.generation.loading import ModelChoice
from hfcli.generation.run import TextOptions
from hfcli.models.load import load_model
from hfcli.models.resolve import resolve_model
from hfcli.recipe.schema import DataSection
from hfcli.recipe.sections import GenerationSettings
from hfcli.tasks.text_generation import TextGeneration
from tests.helpers import prepared

PLAIN = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
STRICT = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + PLAIN
)
TOOLS = (
    "{% for t in tools or [] %}{{ t.name }}{% endfor %}{% for m in messages %}<{{ m.role }}>"
    "{{ m.content }}{% for c in m.tool_calls %}{{ c.function.name }}{{ c.function.arguments.a }}"
    "{% endfor %}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
ASKED = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "an answer"}]
SHAREGPT = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "an answer"}]
PARTS = [{"role": "user", "content": [{"type": "text", "text": "q"}]}, ASKED[1]]
CALL = {"type": "function", "function": {"name": "lamp", "arguments": '{"a": "lit"}'}}
CALLS = [ASKED[0], {"role": "assistant", "content": None, "tool_calls": [CALL]}]
LAMP = [{"name": "lamp"}]


@pytest.fixture
def chat_model(tiny_gpt2: Path, tmp_path: Path) -> Any:
    def with_template(text: str) -> Path:
        folder = tmp_path / "model"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tiny_gpt2, folder)
        (folder / "chat_template.jinja").write_text(text, encoding="utf-8")
        return folder

    return with_template


def encoded(folder: Path, rows: list[dict[str, Any]], tmp_path: Path, **options: Any) -> Any:
    source = tmp_path / "chats.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    tools = "tools" if any("tools" in row for row in rows) else None
    task = TextGeneration(messages_column="chat", tools_column=tools, packing="no")
    section = DataSection(train=[str(source)], validation=[str(source)])
    split = load_splits(section=section, task=task, seed=0).get("train")
    import torch

    loaded = load_model(
        source=resolve_model(str(folder)), task=task, dtype=torch.float32,
        placement=Placement(torch.device("cpu")),
    )  # fmt: skip
    return prepared(task, split, loaded, train=True, **options), loaded


def learned(found: tuple[Any, Any]) -> list[str]:
    features, loaded = found
    return [
        loaded.tokenizer.decode([int(t) for t in feature["labels"] if t >= 0])
        for feature in features.features
    ]


@pytest.mark.parametrize("chat", [SHAREGPT, PARTS])
def test_every_form_is_learned_as_the_plain_one(chat: Any, chat_model: Any, tmp_path: Path) -> None:
    folder = chat_model(PLAIN)
    (plain,) = learned(encoded(folder, [{"chat": ASKED}], tmp_path))
    assert "an answer" in plain
    assert learned(encoded(folder, [{"chat": chat}], tmp_path)) == [plain]


def test_tool_calls_are_learned_where_the_template_takes_them(
    chat_model: Any, tmp_path: Path
) -> None:
    (text,) = learned(encoded(chat_model(TOOLS), [{"chat": CALLS, "tools": LAMP}], tmp_path))
    assert "lamp" in text
    assert "lit" in text


@pytest.mark.parametrize(
    ("row", "left_out"),
    [({"chat": CALLS}, "tool calls"), ({"chat": ASKED, "tools": LAMP}, "tools")],
)
def test_a_template_that_leaves_something_out_is_told(
    row: dict[str, Any], left_out: str, chat_model: Any, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=rf"chats\.jsonl:2: .*leaves out the {left_out} of"):
        encoded(chat_model(PLAIN), [{"chat": ASKED}, row], tmp_path)


BROKEN_TEMPLATES = ["{{ 1 / 0 }}", "{{ messages[9].x.y }}", "{{ messages + 1 }}", "{% for %}"]


@pytest.mark.parametrize("template", [STRICT, *BROKEN_TEMPLATES])
def test_a_conversation_that_is_refused_is_named(
    template: str, chat_model: Any, tmp_path: Path
) -> None:
    system = [{"role": "system", "content": "s"}, *ASKED]
    rows = [{"chat": ASKED if template == STRICT else system}, {"chat": system}, {"chat": ASKED}]
    line = 2 if template == STRICT else 1
    with pytest.raises(DataError, match=rf"chats\.jsonl:{line}: the chat template refuses"):
        encoded(chat_model(template), rows, tmp_path)


def test_a_conversation_that_is_refused_can_be_skipped(chat_model: Any, tmp_path: Path) -> None:
    rows = [{"chat": ASKED}, {"chat": [{"role": "system", "content": "s"}, *ASKED]}]
    found, _ = encoded(chat_model(STRICT), rows, tmp_path, skip_bad_rows=True)
    assert (found.counts.kept, found.counts.skipped) == (1, 1)
    assert "chats.jsonl:2: the chat template refuses" in found.counts.skipped_rows[0]


def test_files_of_prompts_take_every_form(chat_model: Any, tmp_path: Path) -> None:
    body = {"messages": CALLS, "tools": LAMP}
    files: dict[str, list[Any]] = {
        "rows": [{"messages": ASKED}, {"conversations": SHAREGPT}, {"messages": PARTS},
                 {"messages": CALLS, "tools": LAMP}, {"messages": [{"from": "alien"}]}],
        "batch": [{"custom_id": "a", "body": {"messages": PARTS}}, {"custom_id": "b", "body": body},
                  {"custom_id": "c", "body": {**body, "tools": 5}}],
    }  # fmt: skip
    for name, rows in files.items():
        source, output = tmp_path / f"{name}.jsonl", tmp_path / f"{name}-out.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        generate_file(
            files=BulkFiles(str(source), str(output)),
            choice=ModelChoice(str(chat_model(TOOLS)), device="cpu"),
            settings=GenerationSettings(max_new_tokens=2),
            options=TextOptions(),
            seed=0,
            listener=lambda event: None,
        )
        lines = output.read_text(encoding="utf-8").splitlines()
        failed = [json.loads(line)["error"] is not None for line in lines]
        assert failed == [False] * (len(rows) - 1) + [True], lines


BODIES: list[Any] = [5, None, "x", [], {}]
WRONG: dict[str, list[Any]] = {
    "stop": [5, [5], "", [""], {}, True], "n": [0, -1, 1.5, "2", True, 10**9, [1]],
    "seed": [1.5, "1", [1], 10**300], "temperature": ["x", -1, [], {}, True and "y"],
    "top_p": ["x", 2], "max_tokens": ["x", 0, -1, 1.5, []], "messages": [5, "x", [], [5], {}, None],
    "tools": [5, "x", ["x"]], "logit_bias": [{"1": 2}],
}  # fmt: skip


def test_a_wrong_field_of_a_batch_line_is_an_error_of_its_row(
    chat_model: Any, tmp_path: Path
) -> None:
    rows: list[Any] = [{"custom_id": "first", "body": {"messages": ASKED, "max_tokens": 2}}]
    for field, values in WRONG.items():
        for value in values:
            body = {"messages": ASKED, "max_tokens": 2, field: value}
            rows.append({"custom_id": f"{field} {value}", "body": body})
    rows += [{"custom_id": "x", "body": body} for body in BODIES]
    rows += [{"body": {}}, {"custom_id": 5}, {"custom_id": "last", "body": rows[0]["body"]}]
    source, output = tmp_path / "batch.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    generate_file(
        files=BulkFiles(str(source), str(output)),
        choice=ModelChoice(str(chat_model(TOOLS)), device="cpu"),
        settings=GenerationSettings(),
        options=TextOptions(),
        seed=0,
        listener=lambda event: None,
    )
    found = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert len(found) == len(rows) > 40
    good = [line["custom_id"] for line in found if line["error"] is None]
    assert good == ["first", "last"]
