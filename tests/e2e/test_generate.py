"""`hfcli generate` as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fake_hub import COMMIT, fake_hub
from tests.helpers import ROOT, SLOW, hfcli

PROMPT = "The world is a beautiful place,"
COMMAND = [sys.executable, "-m", "hfcli", "generate", "--model", "bundled"]
ONLINE = {"HF_HUB_OFFLINE": "0"}
RECORD_KEYS = {
    "prompt", "text", "finish_reason", "n_prompt_tokens", "n_new_tokens", "seconds",
    "tokens_per_second", "model", "revision", "seed", "settings", "sample", "logprobs",
    "acceptance_rate",
}  # fmt: skip


def generate(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return hfcli("generate", "--max-new-tokens", "12", *arguments, **options)


def record(*arguments: str | Path, **options: Any) -> dict[str, Any]:
    done = generate("--json", *arguments, **options)
    assert done.returncode == 0, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@pytest.fixture
def no_sockets(tmp_path: Path) -> tuple[dict[str, str], Path]:
    """An environment in which opening an internet socket leaves a trace and fails."""
    trace = tmp_path / "sockets"
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\n"
        "_connect, _lookup = socket.socket.connect, socket.getaddrinfo\n"
        "def note(*args, **kwargs):\n"
        f"    open({str(trace)!r}, 'a').write(repr(args) + '\\n')\n"
        "    raise OSError('no sockets here')\n"
        "socket.socket.connect = note\n"
        "socket.getaddrinfo = note\n"
    )
    return {**ONLINE, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}, trace


def test_stdout_is_the_text_and_one_line_end() -> None:
    done = generate(PROMPT, "--model", "bundled")
    known = record(PROMPT, "--model", "bundled")
    assert done.returncode == 0
    assert done.stdout == known["text"] + "\n"
    assert known["text"].strip()
    assert "tokens/s" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


def test_json_is_one_whole_record() -> None:
    known = record(PROMPT, "--model", "bundled", "--seed", "7", "--top-k", "20")
    assert set(known) == RECORD_KEYS
    assert known["prompt"] == PROMPT
    assert known["finish_reason"] in ("stop", "length")
    assert 0 < known["n_new_tokens"] <= 12
    assert known["seed"] == 7
    assert known["model"] == "bundled"
    assert known["settings"]["top_k"] == 20
    assert known["settings"]["do_sample"] is True


def test_the_same_seed_gives_the_same_text_and_another_seed_another() -> None:
    first, again, other = (
        record(PROMPT, "--model", "bundled", "--seed", seed)["text"] for seed in ("3", "3", "4")
    )
    assert first == again != other


def test_greedy_text_is_that_of_plain_transformers() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = ROOT / "hfcli" / "bundled"
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    inputs = tokenizer(PROMPT, return_tensors="pt")
    output = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    expected = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert record(PROMPT, "--model", "bundled", "--greedy")["text"] == expected
    assert record(PROMPT, "--model", "bundled", "--temperature", "0")["text"] == expected


def test_stdin_stands_before_the_argument() -> None:
    assert record("--model", "bundled", stdin="Call me\n")["prompt"] == "Call me"
    assert record("-", "--model", "bundled", stdin="Call me\n")["prompt"] == "Call me"
    assert record("a", "--model", "bundled", stdin="One\n")["prompt"] == "One\na"
    assert record("a", "--model", "bundled", stdin="One")["prompt"] == "One a"


def test_nothing_at_all_on_a_terminal_shows_the_help() -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "hfcli", "generate"]
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, check=False)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "--max-new-tokens" in done.stderr


def test_default_model_falls_back_to_the_bundled_one_and_says_so(tmp_path: Path) -> None:
    unreachable = {**ONLINE, "HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = generate(PROMPT, env=unreachable)
    assert done.returncode == 0
    notes = [line for line in done.stderr.splitlines() if "bundled" in line and "note" in line]
    assert len(notes) == 1
    assert "--model" in notes[0]
    assert "HFCLI_MODEL" in notes[0]


def test_a_hub_that_never_answers_costs_three_seconds_not_minutes(tmp_path: Path) -> None:
    import socket

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        endpoint = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        env = {**ONLINE, "HF_HOME": str(tmp_path), "HF_ENDPOINT": endpoint}
        start = time.monotonic()
        done = hfcli("generate", "x", "--model", "someone/something", env=env)
        assert done.returncode == 4
        assert "cannot be reached" in done.stderr
        assert time.monotonic() - start < 15


def test_explicit_model_never_falls_back(tmp_path: Path) -> None:
    env = {**ONLINE, "HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    for arguments, extra in (
        (["--model", "openai-community/gpt2"], {}),
        ([], {"HFCLI_MODEL": "openai-community/gpt2"}),
    ):
        done = generate(PROMPT, *arguments, env={**env, **extra})
        assert done.returncode == 4
        assert done.stdout == ""
        assert done.stderr.startswith("error: openai-community/gpt2: not a local file")


def test_hub_model_is_fetched_once_and_then_needs_no_network(
    tiny_gpt2: Path, tmp_path: Path, no_sockets: tuple[dict[str, str], Path]
) -> None:
    folder = tmp_path / "repo"
    shutil.copytree(tiny_gpt2, folder)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle that is never fetched")
    repos = {"models/openai-community/gpt2": folder}
    with fake_hub(repos) as endpoint:
        env = {**ONLINE, "HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": endpoint}
        fetched = record("hello", "--greedy", env=env)
        missing = hfcli("generate", "x", "--model", "someone/nothing", env=env)
    assert fetched["model"] == "openai-community/gpt2"
    assert fetched["revision"] == COMMIT
    assert missing.returncode == 4
    assert "no such model on the Hub" in missing.stderr
    blocked, trace = no_sockets
    cached = record("hello", "--greedy", env={**env, **blocked})
    assert cached["text"] == fetched["text"]
    assert cached["revision"] == COMMIT
    assert not trace.exists()


def test_offline_opens_no_socket(no_sockets: tuple[dict[str, str], Path], tmp_path: Path) -> None:
    blocked, trace = no_sockets
    env = {**blocked, "HF_HOME": str(tmp_path / "home")}
    assert generate(PROMPT, "--offline", env=env).returncode == 0
    assert generate(PROMPT, "--offline", "--model", "a/b", env=env).returncode == 4
    assert not trace.exists()
    assert generate(PROMPT, env=env).returncode == 0
    assert trace.exists(), "the trap must catch a run that may use the network"


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_adapter_folder_is_merged_into_its_base(tiny_gpt2: Path, tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_gpt2)
    config = LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM")
    adapted: Any = get_peft_model(base, config)
    torch.manual_seed(0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    adapted.save_pretrained(tmp_path / "adapter")
    done = generate("hello", "--greedy", "--json", "--model", tmp_path / "adapter")
    assert done.stderr == ""
    text = json.loads(done.stdout)["text"]
    plain = record("hello", "--greedy", "--model", tiny_gpt2)["text"]
    ids = record("hello", "--greedy", "--model", tmp_path / "adapter")["n_prompt_tokens"]
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_gpt2)
    inputs = tokenizer("hello", return_tensors="pt")
    output = adapted.eval().generate(**inputs, max_new_tokens=12, do_sample=False)
    assert ids == inputs["input_ids"].shape[1]
    assert text == tokenizer.decode(output[0, ids:], skip_special_tokens=True) != plain


def test_a_prompt_that_fills_the_context_is_a_data_error(tiny_gpt2: Path) -> None:
    done = generate("word " * 200, "--model", tiny_gpt2)
    assert done.returncode == 3
    assert "the model takes 64" in done.stderr


def test_the_text_stops_at_the_end_of_the_context_and_says_so(tiny_gpt2: Path) -> None:
    done = hfcli("generate", "hello", "--max-new-tokens", "500", "--model", tiny_gpt2, "--json")
    known = json.loads(done.stdout)
    assert known["n_prompt_tokens"] + known["n_new_tokens"] <= 64
    assert "instead of 500" in done.stderr


def test_an_absent_device_lists_what_is_there() -> None:
    done = generate(PROMPT, "--model", "bundled", "--device", "cuda:7")
    assert done.returncode == 5
    assert "available: auto, cpu" in done.stderr


def test_beams_are_written_at_the_end() -> None:
    known = record(PROMPT, "--model", "bundled", "--num-beams", "3")
    assert known["settings"]["num_beams"] == 3
    assert known["settings"]["do_sample"] is False
    assert known["text"]


def test_a_closed_pipe_ends_quietly() -> None:
    command = f"{sys.executable} -m hfcli generate --model bundled '{PROMPT}' | head -c 1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert len(done.stdout) == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full disk at hand")
def test_a_full_disk_behind_stdout_is_told() -> None:
    for command in ([*COMMAND, "--max-new-tokens", "4", PROMPT], [*COMMAND[:3], "--version"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                check=False,
            )  # fmt: skip
        assert done.returncode == 5
        assert done.stderr.startswith("error: stdout cannot be written (No space left")
        assert "Traceback" not in done.stderr


def test_streams_that_were_closed_are_not_missed() -> None:
    command = f"{sys.executable} -m hfcli --version"
    for closed, seen in ((">&-", ""), ("2>&-", "hfcli "), ("<&-", "hfcli "), (">&- 2>&-", "")):
        done = subprocess.run(
            f"{command} {closed}", shell=True, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0
        assert done.stdout.startswith(seen)
        assert done.stderr == ""


def test_ctrl_c_keeps_the_text_and_exits_with_130() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *COMMAND[3:], "--max-new-tokens", "480", PROMPT],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    first = process.stdout.read(5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(first) == 5
    assert b"Traceback" not in errors


def test_a_terminal_sees_the_text_token_by_token() -> None:
    controller, terminal = os.openpty()
    process = subprocess.Popen(
        [*COMMAND, "--max-new-tokens", "60", PROMPT],
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(terminal)
    chunks: list[bytes] = []
    while True:
        try:
            chunk = os.read(controller, 4096)
        except OSError:  # how a pseudo-terminal says that the other side has gone
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(controller)
    assert process.wait(timeout=60) == 0
    assert len(chunks) > 10
    text = b"".join(chunks).decode().replace("\r\n", "\n")
    assert text == json.loads(hfcli(
        "generate", "--model", "bundled", "--max-new-tokens", "60", "--json", PROMPT
    ).stdout)["text"] + "\n"  # fmt: skip
