"""Isolation for every test, and tiny models built once a session."""

from __future__ import annotations

import inspect
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import lacking_on_windows

_ISOLATED = {
    "NO_COLOR": "1",
    "COLUMNS": "200",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",  # tiny models; and the tests run side by side
}
for _name, _value in _ISOLATED.items():
    os.environ[_name] = _value
os.environ.pop("HFCLI_MODEL", None)
# Started in the background, a shell's job ignores Ctrl-C, and so would every command tested here.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Empty caches, so that no test depends on this machine's.

    Set before tests are collected, because libraries read HF_HOME once, when they are imported.
    """
    home = tempfile.mkdtemp(prefix="hfcli-tests-")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    os.environ["HF_HOME"] = home
    os.environ["HFCLI_CACHE"] = os.path.join(home, "hfcli")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On Windows, skip tests that use what it lacks, and say what that is."""
    for item in items:
        if sys.platform == "win32" and isinstance(item, pytest.Function):
            lacking = lacking_on_windows(inspect.getsource(item.function))
            if lacking:
                item.add_marker(pytest.mark.skip(reason=f"Windows has no {lacking}"))


SENTENCES = (
    "The harbour was quiet and the boats lay still.",
    "She asked the keeper when the lamp would be lit.",
    "Nobody answered, for the wind had taken every word.",
    "In the morning the market opened and bread was sold.",
)


@pytest.fixture
def need_shared() -> Callable[[Path], Path]:
    """Skip a test whose data lies outside the repository; in CI its absence is a failure."""

    def need(path: Path) -> Path:
        if not path.exists():
            reason = f"acceptance data is absent: {path.name}"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return need


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random GPT-2 with 64 positions and no pad token, as GPT-2 itself has none."""
    return build_gpt2(tmp_path_factory.mktemp("tiny-gpt2"), n_positions=64)


@pytest.fixture(scope="session")
def tiny_gpt2_long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with room for the block size of the shipped recipes."""
    return build_gpt2(tmp_path_factory.mktemp("tiny-gpt2-long"), n_positions=512)


def build_gpt2(folder: Path, *, n_positions: int) -> Path:
    """Save a random GPT-2 and a tokenizer trained on a few sentences."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.pytorch_utils import Conv1D

    from hfcli.models.init_model import train_tokenizer

    tokenizer: Any = train_tokenizer(SENTENCES * 4, 300, n_positions)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=n_positions,
        n_embd=32,
        n_layer=2,
        n_head=2,
        initializer_range=0.3,  # far from uniform, so that greedy decoding has no near ties
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model: Any = GPT2LMHeadModel(config)

    def draw(module: Any) -> None:
        if isinstance(module, (Conv1D, torch.nn.Embedding)):
            torch.nn.init.normal_(module.weight, std=0.3)
        elif hasattr(module, "c_proj"):
            torch.nn.init.normal_(module.c_proj.weight, std=0.3 / (2 * 2) ** 0.5)

    # What transformers 5.23 draws, in its order; 5.4 draws other numbers, and texts would differ.
    torch.manual_seed(0)
    for weight in (p for p in model.parameters() if p.dim() > 1):
        torch.empty_like(weight).normal_()
    model.transformer.apply(draw)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT encoder without a head."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("tiny-bert")
    words = sorted({w.strip(".,").lower() for s in SENTENCES for w in s.split()})
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", *words]
    vocab = {word: i for i, word in enumerate(tokens)}
    BertTokenizer(vocab=vocab, model_max_length=64).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocab),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return folder
