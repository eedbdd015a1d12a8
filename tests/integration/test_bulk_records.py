"""Rows in, records out, in process: whatever a row holds, it comes out, or says why not."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hfcli.errors import DataError, HfcliError, ModelError, RecipeError, RunError
from hfcli.generation.bulk import generate_file
from hfcli.generation.bulk_files import BulkFiles
from hfcli.generation.loading import ModelChoice
from hfcli.generation.prompts import PromptOptions
from hfcli.generation.run import TextOptions
from hfcli.recipe.sections import GenerationSettings
from hfcli.results import BulkResult, Note

Run = Callable[..., BulkResult]


@pytest.fixture
def run(tiny_gpt2: Path) -> Run:
    def started(source: Path, output: Path, **files: Any) -> BulkResult:
        settings = files.pop("settings", GenerationSettings(max_new_tokens=3))
        choice = files.pop("choice", ModelChoice(str(tiny_gpt2), device="cpu"))
        listener = files.pop("listener", lambda event: None)
        return generate_file(
            files=BulkFiles(str(source), str(output), **files),
            choice=choice,
            settings=settings,
            options=TextOptions(),
            seed=0,
            listener=listener,
        )

    return started


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


ODD_ROWS: list[dict[str, Any]] = [
    {"prompt": "Bread", "value": float("nan")},
    {"prompt": "Bread", "value": 2**70},
    {"prompt": "Bread", "value": [{"a": [1, None]}, "b"]},
    {"prompt": "Bread", "text": "a column of the output's name", "id": None},
    {"prompt": 3, "value": True},
    {"prompt": "", "value": "\ud800"},
]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_every_writer_holds_whatever_json_can(run: Run, tmp_path: Path, suffix: str) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / f"out{suffix}"
    source.write_text("".join(json.dumps(row) + "\n" for row in ODD_ROWS))
    result = run(source, output, keep_columns=True)
    assert (result.texts, result.errors) == (6, 2)
    if suffix == ".jsonl":
        found = records(output)
        assert [r.get("value") for r in found] == [
            None, 2**70, [{"a": [1, None]}, "b"], None, True, "\\ud800"
        ]  # fmt: skip
        assert found[3]["input_text"] == "a column of the output's name"
        assert "holds no text but int" in found[4]["error"]
        assert "not valid UTF-8" in found[5]["error"]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_columns_of_parquet_that_json_lacks_become_text(
    run: Run, tmp_path: Path, suffix: str
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    day = datetime.date(2020, 1, 1)
    source, output = tmp_path / "in.parquet", tmp_path / f"out{suffix}"
    table = {"id": [day] * 2, "prompt": ["Bread", None], "bytes": [b"\xff", b"a"]}
    pq.write_table(
        pa.table({**table, "nested": [{"when": day, "n": [1.5, float("nan")]}] * 2}), source
    )
    run(source, output, keep_columns=True)
    if suffix == ".jsonl":
        first = records(output)[0]
        assert first["id"] == "2020-01-01"
        assert first["nested"] == {"when": "2020-01-01", "n": [1.5, None]}
        assert first["bytes"] == repr(b"\xff")
    pq.write_table(pa.table({"prompt": [day]}), source)
    result = run(source, output, overwrite=True)
    assert result.errors == 1


def test_every_other_column_is_kept(run: Run, tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"text": "Bread", "n": 1}\n')
    run(source, output, keep_columns=True)
    assert {k: v for k, v in records(output)[0].items() if k in ("prompt", "n", "input_text")} == {
        "prompt": "Bread", "n": 1,
    }  # fmt: skip
    source.write_text('{"prompt": "Bread", "text": "lamp"}\n')
    run(source, output, keep_columns=True, template="{text}: {prompt}", overwrite=True)
    (record,) = records(output)
    assert record["prompt"] == "lamp: Bread"
    assert record["input_prompt"] == "Bread", "a template leaves no column without a place"
    assert record["input_text"] == "lamp"


@pytest.mark.parametrize(
    ("rows", "files", "error", "told"),
    [
        ('{bad\n{"prompt": "a", "x": 1}\n', {"prompt_column": "promt"}, DataError, "in.jsonl:2"),
        ('{"prompt": "a"}\n', {"prompt_column": "promt"}, DataError, "no column"),
        ('{"prompt": "a"}\n', {"template": "{promt}"}, DataError, "promt"),
        ('{"prompt": "a"}\n', {"template": "{prompt"}, RecipeError, "broken"),
    ],
)
def test_a_slip_is_told_before_a_model_is_loaded_and_leaves_nothing(
    run: Run, tmp_path: Path, rows: str, files: dict[str, Any], error: type[HfcliError], told: str
) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(rows)
    with pytest.raises(error, match=told) as caught:
        run(source, output, choice=ModelChoice("./no-such-model"), **files)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == [source]
    run(source, output, on_error="record")


def test_the_input_is_never_written_over(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"prompt": "Bread"}\n')
    (tmp_path / "link.jsonl").symlink_to(source)
    for output in (source, tmp_path / "link.jsonl"):
        with pytest.raises(RunError, match="is the input"):
            run(source, output, overwrite=True)
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(RunError, match="is a folder"):
        run(source, tmp_path / "folder.jsonl", overwrite=True)
    assert source.read_text() == '{"prompt": "Bread"}\n'


def test_overwrite_never_reaches_a_file_of_the_users_through_a_link(
    run: Run, tmp_path: Path
) -> None:
    source, thesis = tmp_path / "in.jsonl", tmp_path / "thesis.jsonl"
    source.write_text('{"prompt": "Bread"}\n')
    thesis.write_text("years of work")
    link = tmp_path / "out.jsonl"
    link.symlink_to(thesis)
    with pytest.raises(RunError, match="hfcli did not write"):
        run(source, link, overwrite=True)
    assert thesis.read_text() == "years of work"
    assert link.is_symlink()


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_another_engine_or_adapter_is_another_run(
    run: Run, tiny_gpt2: Path, tmp_path: Path
) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_gpt2)
    config = LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM")
    adapted: Any = get_peft_model(base, config)
    adapter = tmp_path / "adapter"
    adapted.save_pretrained(adapter)
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("Bread\n")
    choice = ModelChoice(str(tiny_gpt2), device="cpu", adapter=str(adapter))
    run(source, output, choice=choice)
    assert run(source, output, choice=choice).resumed == 1
    for _name, parameter in adapted.named_parameters():
        parameter.data += 1
    adapted.save_pretrained(adapter)
    with pytest.raises(RunError, match="weights_sha256"):
        run(source, output, choice=choice)
    told = output.with_name("out.jsonl.run.json").read_text()
    assert json.loads(told)["engine"] == "transformers"


def test_a_line_of_a_batch_may_say_how_it_is_sampled(run: Run, tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    bodies = [
        {"prompt": "Bread", "top_p": 0.9},
        {"prompt": "Bread", "temperature": 0},
        {"prompt": "Bread", "temperature": 0, "logprobs": False, "presence_penalty": 0},
        {"prompt": "Bread", "presence_penalty": 0.5},
    ]
    lines = [{"custom_id": str(i), "body": body} for i, body in enumerate(bodies)]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    greedy = GenerationSettings(max_new_tokens=3, do_sample=False)
    assert run(source, output, settings=greedy).errors == 1
    answers = records(output)
    assert "presence_penalty" in answers[3]["error"]["message"]
    texts = [a["response"]["body"]["choices"][0]["text"] for a in answers[1:3]]
    assert texts[0] == texts[1]


def test_a_system_prompt_for_a_model_without_a_template_is_no_error_of_every_row(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.txt").write_text("Bread\n")
    with pytest.raises(ModelError, match="no chat template"):
        generate_file(
            files=BulkFiles(str(tmp_path / "in.txt"), str(tmp_path / "out.jsonl")),
            choice=ModelChoice(str(tiny_gpt2), device="cpu"),
            settings=GenerationSettings(max_new_tokens=3),
            options=TextOptions(prompt=PromptOptions(system="Be kind")),
            seed=0,
            listener=lambda event: None,
        )
    assert not (tmp_path / "out.jsonl").exists()


def test_a_chat_model_says_that_prompts_become_messages(
    run: Run, tiny_gpt2: Path, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(tiny_gpt2, folder)
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}", encoding="utf-8")
    config = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**config, "num_beams": 2}))
    (tmp_path / "in.txt").write_text("Bread\n")
    told: list[Any] = []
    run(
        tmp_path / "in.txt", tmp_path / "out.jsonl",
        choice=ModelChoice(str(folder), device="cpu"), listener=told.append,
    )  # fmt: skip
    notes = [event.text for event in told if isinstance(event, Note)]
    assert any("chat template" in note for note in notes)
    assert any("num_beams" in note for note in notes)
