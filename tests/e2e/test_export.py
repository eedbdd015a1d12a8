"""`hfcli export` as a user runs it, against a Hub of this machine's own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fake_hub import fake_hub, hub_env
from tests.fake_uploads import UPLOAD_ENV, Uploads
from tests.helpers import hfcli
from tests.integration.test_training import RUNS, write_recipe

GOES = {
    "model.safetensors": b"weights" * 1000,
    "config.json": b"{}",
    "generation_config.json": b"{}",
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{}",
    "chat_template.jinja": b"{{ x }}",
    "README.md": b"---\nlanguage: en\n---\n# A model\n",
    "report.html": b"<p>",
    "figures/loss.png": b"\x89PNG\r\n",
    "metrics.jsonl": b'{"step": 1}\n',
    "merges.txt": b"a b\n",
}
STAYS = [
    "run.json", "recipe.yaml", "result.json",
    "training_args.bin", "optimizer.pt", "rng_state.pth", "trainer_state.json",
    ".config.json.tmp", "texts.jsonl.part", "checkpoint-3/model.safetensors",
    "checkpoint-3/config.json", ".cache/huggingface/x.json", "runs/events.out.tfevents.1",
    "checkpoint-3.tmp/config.json", "checkpoint-3/loss.png", "wandb/run/files/requirements.txt",
    "wandb/settings.json", "trackio/huggingface.db", "mlflow.db", "rows.csv",
    "texts.jsonl", "notes.txt",
]  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What a finished run leaves, more or less."""
    for name, content in [*GOES.items(), *((name, b"not this") for name in STAYS)]:
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "run"


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "hub")


def files(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def push(
    run: Path, repo: str, uploads: Uploads, *flags: str, **env: str
) -> subprocess.CompletedProcess[str]:
    with fake_hub(repos(uploads), uploads=uploads) as endpoint:
        home = hub_env(endpoint, uploads.folder.parent / "home")
        return hfcli("export", "push", run, repo, *flags, env={**home, **UPLOAD_ENV, **env})


def repos(uploads: Uploads) -> dict[str, Path]:
    """Those that earlier uploads made."""
    return {f"models/{path.parent.name}/{path.name}": path for path in uploads.folder.glob("*/*")}


def test_what_others_need_arrives_byte_for_byte_and_nothing_else(
    run: Path, uploads: Uploads
) -> None:
    done = push(run, "someone/my-model", uploads)
    assert done.returncode == 0, done.stderr
    assert files(uploads.folder / "someone" / "my-model") == GOES
    assert done.stdout.strip().endswith("/someone/my-model")
    assert done.stderr == (
        f"{len(GOES)} files, 0.0 MB, in the private repository someone/my-model\n"
    )
    assert len(uploads.commits) == 1


def test_a_second_push_sends_only_what_changed_and_a_name_alone_is_mine(
    run: Path, uploads: Uploads
) -> None:
    assert push(run, "again", uploads, "--public").returncode == 0
    assert uploads.private == set()
    sent = list(uploads.sent)
    (run / "config.json").write_bytes(b'{"a": 1}')
    done = push(run, "someone/again", uploads, "--json")
    result = json.loads(done.stdout)
    assert result["repo_id"] == "someone/again"
    assert result["private"] is False
    assert result["files"] == sorted(GOES)
    assert uploads.sent == sent
    assert files(uploads.folder / "someone" / "again") == {**GOES, "config.json": b'{"a": 1}'}


@pytest.mark.parametrize(
    ("repo", "env", "message", "code"),
    [
        ("someone/x", {"HF_TOKEN": "hf_wrong"}, "the Hub does not accept the token", 5),
        ("someone/x", {"HF_TOKEN": ""}, "not logged in to the Hub", 5),
        ("elsewhere/x", {}, "this token may not write there", 5),
        ("a/b/c", {}, "'a/b/c' is not a name for a repository", 2),
        ("someone/x", {"HF_HUB_OFFLINE": "1"}, "the network is switched off", 5),
    ],
)
def test_what_is_not_allowed_says_so(
    repo: str, env: dict[str, str], message: str, code: int, run: Path, uploads: Uploads
) -> None:
    uploads.read_only = {"elsewhere"}
    done = push(run, repo, uploads, **env)
    assert done.returncode == code
    assert message in done.stderr
    assert "hf auth login" in done.stderr or code == 2 or "HF_HUB_OFFLINE" in done.stderr
    assert done.stdout == ""
    assert repos(uploads) == {}


def test_a_run_can_be_pushed_as_it_ends(tiny_gpt2: Path, uploads: Uploads) -> None:
    folder = uploads.folder.parent
    recipe = write_recipe(folder, tiny_gpt2, **RUNS["grouped"])
    with fake_hub({}, uploads=uploads) as endpoint:
        env = {**hub_env(endpoint, folder / "home"), **UPLOAD_ENV}
        short = ["training.max_steps=3", "--push-to-hub", "someone/boats"]
        done = hfcli("finetune", recipe, *short, env=env)
    assert done.returncode == 0, done.stderr
    arrived = files(uploads.folder / "someone" / "boats")
    assert {"model.safetensors", "README.md", "report.html", "metrics.jsonl"} <= set(arrived)
    assert arrived["model.safetensors"] == (folder / "run" / "model.safetensors").read_bytes()
    assert not any(str(folder).encode() in content for content in arrived.values())


def test_a_storage_that_fails_leaves_no_commit(run: Path, uploads: Uploads) -> None:
    uploads.breaks = True
    done = push(run, "someone/x", uploads)
    assert done.returncode == 5
    assert "the upload broke off" in done.stderr
    assert "Traceback" not in done.stderr
    assert uploads.commits == []


def test_a_hub_that_is_not_there_is_an_error_within_seconds(run: Path, tmp_path: Path) -> None:
    env = {**hub_env("http://127.0.0.1:9", tmp_path), **UPLOAD_ENV}
    start = time.perf_counter()
    done = hfcli("export", "push", run, "someone/x", env=env)
    assert time.perf_counter() - start < 15
    assert done.returncode == 5
    assert "the Hub cannot be reached" in done.stderr
    assert "hfcli export push" in done.stderr


@pytest.mark.parametrize(
    ("missing", "code", "message"),
    [("config.json", 4, "holds no model"), ("result.json", 5, "the run is not finished")],
)
def test_half_a_run_is_not_uploaded(
    missing: str, code: int, message: str, run: Path, uploads: Uploads
) -> None:
    (run / missing).unlink()
    done = push(run, "someone/x", uploads)
    assert done.returncode == code
    assert message in done.stderr


def test_uploading_works_after_loading_went_offline_and_leaves_it_so(
    run: Path, uploads: Uploads
) -> None:
    code = (
        "import os, sys, huggingface_hub.constants as c\n"
        "from pathlib import Path\n"
        "from hfcli import hub\n"
        "from hfcli.models.publish import check_push, push_folder\n"
        "hub.go_offline(); hub.go_offline()\n"
        "check_push(repo_id='someone/x')\n"
        "print(push_folder(folder=Path(sys.argv[1]), repo_id='someone/x').repo_id)\n"
        "assert c.HF_HUB_OFFLINE and hub.is_offline() and not hub.reachable()\n"
    )
    with fake_hub({}, uploads=uploads) as endpoint:
        env = {**hub_env(endpoint, uploads.folder.parent / "home"), **UPLOAD_ENV}
        done = run_python(code, str(run), env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "someone/x\n"
    assert files(uploads.folder / "someone" / "x") == GOES


def test_a_wrong_token_is_known_before_a_run(uploads: Uploads, tmp_path: Path) -> None:
    code = "from hfcli.models.publish import check_push; check_push(repo_id='someone/x')"
    with fake_hub({}, uploads=uploads) as endpoint:
        env = {**hub_env(endpoint, tmp_path), **UPLOAD_ENV, "HF_TOKEN": "hf_wrong"}
        done = run_python(code, env=env)
    assert "RunError: someone/x: the Hub does not accept the token" in done.stderr


def test_a_merged_model_generates_without_its_base(tiny_gpt2: Path, tmp_path: Path) -> None:
    save_adapter(tiny_gpt2, tmp_path / "adapter")
    flags = ("generate", "The lamp", "--greedy", "--max-new-tokens", "12", "--json", "--model")
    before = json.loads(hfcli(*flags, tmp_path / "adapter").stdout)["text"]
    done = hfcli("export", "merge", tmp_path / "adapter", "-o", tmp_path / "merged")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'merged'}\n"
    assert "parameters in float32" in done.stderr
    assert not (tmp_path / "merged" / "adapter_config.json").exists()
    assert json.loads(hfcli(*flags, tmp_path / "merged").stdout)["text"] == before
    assert json.loads(hfcli(*flags, tiny_gpt2).stdout)["text"] != before


def save_adapter(base: Path, folder: Path) -> None:
    """An adapter as training leaves it, far from the zero that it starts as."""
    import torch

    from hfcli.device import Placement
    from hfcli.models.adapter import save
    from hfcli.models.load import ensure_pad_token, load_model
    from hfcli.models.lora import add_lora
    from hfcli.models.resolve import resolve_model
    from hfcli.recipe.sections import LoraSection
    from hfcli.tasks.text_generation import TextGeneration

    task = TextGeneration()
    loaded = load_model(
        source=resolve_model(str(base)), task=task, dtype=torch.float32,
        placement=Placement(torch.device("cpu")),
    )  # fmt: skip
    ensure_pad_token(loaded)
    adapted = add_lora(loaded=loaded, section=LoraSection.model_validate({}), task=task)
    torch.manual_seed(0)
    for parameter in adapted.model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    save(adapted.model, folder)
    adapted.tokenizer.save_pretrained(folder)


def run_python(code: str, *arguments: str, env: dict[str, str]) -> Any:
    import os

    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, **env},
    )  # fmt: skip
