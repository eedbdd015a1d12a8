"""What `hfcli generate` can be told about one prompt beside how to sample, as a user does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import hfcli

PROMPT = "The people of the United States"
CHAT = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def generate(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return hfcli("generate", "--max-new-tokens", "24", *arguments, **options)


def record(*arguments: str | Path, **options: Any) -> Any:
    done = generate("--json", *arguments, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def tiny_chat(tiny_gpt2_long: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose tokenizer has a chat template."""
    import shutil

    folder = tmp_path_factory.mktemp("chat") / "model"
    shutil.copytree(tiny_gpt2_long, folder)
    (folder / "chat_template.jinja").write_text(CHAT, encoding="utf-8")
    return folder


def test_the_text_ends_before_a_stop_string_streamed_or_not() -> None:
    whole = record(PROMPT, "--model", "bundled")["text"]
    stop = whole[30:34]
    known = record(PROMPT, "--model", "bundled", "--stop", stop, "--stop", "never to be seen")
    assert known["finish_reason"] == "stop_string"
    assert known["text"] == whole[: whole.index(stop)]
    streamed = generate(PROMPT, "--model", "bundled", "--stop", stop)
    assert streamed.stdout == known["text"] + "\n"
    assert generate(PROMPT, "--model", "bundled", "--stop", "").returncode == 2


def test_samples_are_several_and_the_first_is_the_one_of_a_single_sample() -> None:
    known = record(PROMPT, "--model", "bundled", "-n", "3")
    assert [k["sample"] for k in known] == [0, 1, 2]
    assert len({k["text"] for k in known}) == 3
    assert known[0]["text"] == record(PROMPT, "--model", "bundled")["text"]
    again = record(PROMPT, "--model", "bundled", "--seed", str(known[2]["seed"]))
    assert again["text"] == known[2]["text"]
    plain = generate(PROMPT, "--model", "bundled", "-n", "3")
    assert plain.stdout == "\n".join(k["text"] + "\n" for k in known)


def test_log_probabilities_stand_in_the_record() -> None:
    known = record(PROMPT, "--model", "bundled", "--greedy", "--logprobs", "2")
    assert len(known["logprobs"]) == known["n_new_tokens"]
    for entry in known["logprobs"]:
        assert entry["logprob"] <= 0
        assert len(entry["top"]) == 2
    assert "".join(e["token"] for e in known["logprobs"]) == known["text"]


def test_guesses_change_no_text_and_tell_how_many_stood() -> None:
    prompt = "the king of the sea and the king of the sea and the king of the sea and"
    for flags in (["--greedy"], ["--seed", "3"]):
        plain = record(prompt, "--model", "bundled", *flags)
        for guess in (["--prompt-lookup"], ["--draft-model", "bundled"]):
            guessed = record(prompt, "--model", "bundled", *flags, *guess)
            assert guessed["text"] == plain["text"]
            assert 0 <= guessed["acceptance_rate"] <= 1
    told = generate(prompt, "--model", "bundled", "--draft-model", "bundled")
    assert "of the guesses stood" in told.stderr


def test_a_draft_of_another_vocabulary_is_refused(tiny_gpt2: Path) -> None:
    done = generate(PROMPT, "--model", "bundled", "--draft-model", tiny_gpt2)
    assert done.returncode == 4
    assert "same tokenizer" in done.stderr


def test_system_prompts_and_chat_templates(tiny_chat: Path, tiny_gpt2_long: Path) -> None:
    chat = record("The lamp", "--model", tiny_chat, "--system", "Be kind", "--greedy")
    raw = record(
        "[system]Be kind\n[user]The lamp\n[assistant]", "--model", tiny_gpt2_long, "--greedy"
    )
    assert chat["text"] == raw["text"]
    assert chat["n_prompt_tokens"] == raw["n_prompt_tokens"]
    assert chat["settings"]["chat_template"] is True
    plain = record("The lamp", "--model", tiny_chat, "--no-chat-template", "--greedy")
    assert plain["text"] == record("The lamp", "--model", tiny_gpt2_long, "--greedy")["text"]
    without = generate("The lamp", "--model", tiny_gpt2_long, "--system", "Be kind")
    assert without.returncode == 4
    assert "no chat template" in without.stderr
    assert "--no-chat-template" in without.stderr
    before = record(
        "The lamp", "--model", tiny_gpt2_long, "--system", "Be kind", "--no-chat-template"
    )
    assert before["settings"]["chat_template"] is False


def test_templates_and_prompt_files(tmp_path: Path, tiny_gpt2: Path) -> None:
    template, file = tmp_path / "t.txt", tmp_path / "p.txt"
    template.write_text("{{x}} {prompt}!\n", encoding="utf-8")
    file.write_text("The lamp\n", encoding="utf-8")
    direct = record("{x} The lamp!", "--model", tiny_gpt2, "--greedy")
    filled = record("-f", file, "--template", template, "--model", tiny_gpt2, "--greedy")
    assert filled["text"] == direct["text"]
    assert filled["prompt"] == "{x} The lamp!"
    missing = generate("-f", tmp_path / "nowhere", "--model", tiny_gpt2)
    assert missing.returncode == 3


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "mood": {"enum": ["calm", "wild"]},
    },
    "required": ["name", "age", "mood"],
    "additionalProperties": False,
}


def test_every_one_of_200_wild_samples_follows_its_grammar(tmp_path: Path) -> None:
    import re

    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(SCHEMA), encoding="utf-8")
    wild = ["--model", "bundled", "-n", "200", "--temperature", "1.5", "--max-new-tokens", "80"]
    top = ["--top-k", "0", "--top-p", "1"]
    for known in record(PROMPT, *wild, *top, "--json-schema", schema):
        value = json.loads(known["text"])
        assert set(value) == {"name", "age", "mood"}
        assert len(value["name"]) <= 6
        assert 0 <= value["age"] <= 150
        assert known["finish_reason"] == "stop"
    expression = r"[A-Z][a-z]{2,8} (is|was) [0-9]{1,3}"
    texts = [k["text"] for k in record(PROMPT, *wild, *top, "--regex", expression)]
    assert all(re.fullmatch(expression, text) for text in texts)
    assert len(set(texts)) > 100
    cut = generate(PROMPT, "--model", "bundled", "--max-new-tokens", "3", "--regex", "[a-z]{40}")
    assert "cut off before they were complete" in cut.stderr
    chosen = {k["text"] for k in record(PROMPT, *wild, *top, "--choices", "yes, no,[/b] 漢字")}
    assert chosen == {"yes", " no", "[/b] 漢字"}, "what is typed is kept"


def test_wrong_grammars_are_told(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{", encoding="utf-8")
    for flags, told in (
        (["--regex", "([a-z"], "regex"),
        (["--json-schema", broken], "not JSON"),
        (["--regex", "a", "--choices", "b"], "exclude each other"),
        (["--choices", "a,,b"], "--choices"),
    ):
        done = generate(PROMPT, "--model", "bundled", *flags)
        assert done.returncode == 2
        assert told in done.stderr


def test_without_the_extra_the_error_names_the_install_command(tmp_path: Path) -> None:
    (tmp_path / "llguidance.py").write_text("raise ImportError", encoding="utf-8")
    done = generate(PROMPT, "--model", "bundled", "--regex", "a", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 5
    assert "pip install 'hfcli[structured]'" in done.stderr


def test_a_pickle_is_refused_unless_allowed(tiny_gpt2: Path, tmp_path: Path) -> None:
    import shutil

    import torch
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "pickled"
    shutil.copytree(tiny_gpt2, folder)
    (folder / "model.safetensors").unlink()
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_gpt2)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    refused = generate("The lamp", "--model", folder)
    assert refused.returncode == 4
    assert "pickle" in refused.stderr
    assert "--allow-pickle" in refused.stderr
    text = record("The lamp", "--model", folder, "--allow-pickle", "--greedy")["text"]
    assert text == record("The lamp", "--model", tiny_gpt2, "--greedy")["text"]


def test_code_from_a_model_runs_only_when_asked(tiny_gpt2: Path, tmp_path: Path) -> None:
    import shutil

    folder, trace = tmp_path / "code", tmp_path / "it-ran"
    shutil.copytree(tiny_gpt2, folder)
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "mine"
    config["auto_map"] = {
        "AutoConfig": "mine.MineConfig",
        "AutoModelForCausalLM": "mine.MineForCausalLM",
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "mine.py").write_text(
        "from transformers import GPT2Config, GPT2LMHeadModel\n"
        f"open({str(trace)!r}, 'w').close()\n"
        "class MineConfig(GPT2Config):\n    model_type = 'mine'\n"
        "class MineForCausalLM(GPT2LMHeadModel):\n    config_class = MineConfig\n",
        encoding="utf-8",
    )
    assert generate("The lamp", "--model", folder).returncode == 4
    assert not trace.exists()
    text = record("The lamp", "--model", folder, "--trust-remote-code", "--greedy")["text"]
    assert trace.exists()
    assert text == record("The lamp", "--model", tiny_gpt2, "--greedy")["text"]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_adapter_merged_or_not_writes_the_same(tiny_gpt2: Path, tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = AutoModelForCausalLM.from_pretrained(tiny_gpt2)
    config = LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM")
    adapted: Any = get_peft_model(base, config)
    torch.manual_seed(1)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    adapted.save_pretrained(tmp_path / "adapter")
    flags = ["The lamp", "--greedy"]
    unmerged = record(*flags, "--model", tiny_gpt2, "--adapter", tmp_path / "adapter")["text"]
    adapted.merge_and_unload().save_pretrained(tmp_path / "merged")
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_gpt2)
    tokenizer.save_pretrained(tmp_path / "merged")
    assert unmerged == record(*flags, "--model", tmp_path / "merged")["text"]
    assert unmerged != record(*flags, "--model", tiny_gpt2)["text"]


def test_flags_that_do_not_go_together_are_told(tmp_path: Path) -> None:
    for flags, told in (
        (["-i", "x.txt"], "go together"),
        (["x", "-i", "x.txt", "-o", "y.jsonl"], "PROMPT does not go"),
        (["x", "--keep-columns"], "--keep-columns is for many prompts"),
        (["x", "--batch-size", "4"], "--batch-size is for many prompts"),
        (["x", "--seed", str(2**32)], "--seed"),
        (["-i", "x.txt", "-o", "y.jsonl", "--batch-size", "0"], "--batch-size"),
        (["-i", "x.txt", "-o", "y.jsonl", "--on-error", "recrod"], "did you mean record"),
    ):
        done = generate("--model", "bundled", *flags, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert told in done.stderr
    beams = generate("x", "--model", "bundled", "--num-beams", "2", "--regex", "y")
    assert beams.returncode == 2
    for name in ("x.txt", "y.docx"):
        (tmp_path / name).write_text("x\n")
    unwritable = generate("--model", "bundled", "-i", "x.txt", "-o", "y.txt", cwd=tmp_path)
    assert unwritable.returncode == 3
    assert "--output-format" in unwritable.stderr
    wrong = generate("--model", "bundled", "-i", "y.docx", "-o", "-", cwd=tmp_path)
    assert wrong.returncode == 3
    assert "known:" in wrong.stderr
    unknown = generate("-i", "x.txt", "-o", "o.jsonl", "--engine", "vlm", cwd=tmp_path)
    assert unknown.returncode == 2
    assert "did you mean vllm" in unknown.stderr
