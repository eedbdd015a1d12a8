"""The commands that a finished run prints as "next" work, for every kind of recipe."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import SENTENCES
from tests.helpers import ROOT
from tests.integration.test_lora import padless_gpt2, tiny_llama  # noqa: F401 - fixtures

# Trains, reads the lines "next: hfcli ..." and runs them as a shell would.
DRIVER = """
import json, shlex, sys
from pathlib import Path
from tests.fuzz import forked
forked.warm_up()
import peft
cwd = Path(sys.argv[1])
def run(arguments):
    done = forked.run(arguments, cwd=cwd, cpu_seconds=120, wall_seconds=400)
    return [done.code, done.stderr.decode()]
told = {}
for name in sys.argv[2:]:
    code, said = run(["finetune", f"{name}.yaml", "--device", "cpu"])
    lines = [line.removeprefix("next: ") for line in said.splitlines() if line.startswith("next: ")]
    told[name] = [["finetune", code, said]]
    for line in lines:
        command, *arguments = shlex.split(line)
        assert command == "hfcli", line
        told[name].append([line, *run(arguments)])
print(json.dumps(told))
"""
CHAT = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content + '\\n' }}"
    "{% endgeneration %}{% else %}{{ m.role + ': ' + m.content + '\\n' }}{% endif %}{% endfor %}"
)
TEXT: dict[str, Any] = {"name": "text-generation", "block_size": 32}
CLASS: dict[str, Any] = {"name": "text-classification"}
LORA = {"r": 2}
SCRATCH = {"config": {"model_type": "gpt2", "n_positions": 32, "n_embd": 16, "n_layer": 1,
                      "n_head": 1}, "tokenizer_vocab_size": 300}  # fmt: skip
# Kind -> task, model (its name, or the section), format of the data, more of `model`.
KINDS: dict[str, tuple[dict[str, Any], str | dict[str, Any], str, dict[str, Any]]] = {
    "text": (TEXT, "gpt2", "text", {}),
    "completion": (
        {**TEXT, "prompt_column": "text", "completion_column": "b"}, "gpt2", "jsonl", {}
    ),
    "messages": (
        {**TEXT, "messages_column": "messages", "chat_template": "chat.jinja"}, "gpt2", "jsonl", {}
    ),
    "from scratch": (TEXT, SCRATCH, "text", {}),
    "lora": (TEXT, "llama", "text", {"lora": LORA}),
    "frozen": (TEXT, "gpt2", "text", {"freeze_layers": 1}),
    "single": ({**CLASS, "label_column": "label"}, "bert", "jsonl", {}),
    "lora classifier": ({**CLASS, "label_column": "label"}, "bert", "jsonl", {"lora": LORA}),
    "several": (
        {**CLASS, "label_column": "tags", "problem_type": "multi_label_classification"},
        "bert", "jsonl", {},
    ),
    "regression": (
        {**CLASS, "label_column": "score", "problem_type": "regression"}, "bert", "jsonl", {}
    ),
    "pairs": (
        {**CLASS, "label_column": "label", "text_pair_column": "b"}, "bert", "jsonl", {}
    ),
}  # fmt: skip


def write_data(folder: Path) -> None:
    rows = []
    for i in range(40):
        text, other = SENTENCES[i % 4], SENTENCES[(i + 1) % 4]
        talk = [{"role": "user", "content": "Go on"}, {"role": "assistant", "content": text}]
        label = ("calm", "storm")[i % 2]
        rows.append({"text": text, "b": other, "messages": talk, "label": label,
                     "tags": [label], "score": i / 7})  # fmt: skip
    (folder / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "chat.jinja").write_text(CHAT)
    (folder / "d.txt").write_text("\n".join(SENTENCES * 12) + "\n")


def test_every_next_command_of_every_kind_of_recipe_works(
    tiny_gpt2: Path,
    tiny_bert: Path,
    tiny_llama: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    models = {"gpt2": tiny_gpt2, "bert": tiny_bert, "llama": tiny_llama}
    write_data(tmp_path)
    names = {kind.replace(" ", "-"): kind for kind in KINDS}
    for name, kind in names.items():
        task, model, data, more = KINDS[kind]
        own = {"name_or_path": str(models[model])} if isinstance(model, str) else model
        recipe = {
            "task": task,
            "model": {**own, **more},
            "data": {"train": "d.txt" if data == "text" else "d.jsonl"}
            | ({"validation_from": "end", "validation_size": 0.2} if data == "text" else {}),
            "training": {"max_steps": 1, "bf16": False},
            "output_dir": f"run of {name}",
        }
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path), *names],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert set(told) == set(names)
    bad = {
        f"{name}: {line}": said[-400:]
        for name, steps in told.items()
        for line, code, said in steps
        if code
    }
    assert not bad
    for name, steps in told.items():
        commands = [line.split()[1] for line, *_ in steps[1:]]
        writes = KINDS[names[name]][0]["name"] == "text-generation"
        assert commands == (["generate", "eval"] if writes else ["eval"]), name
