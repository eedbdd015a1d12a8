"""Perplexity as other tools define it: each against that tool's own loop, on a model that runs.

`tests/unit/test_windows.py` has the same for the windows alone. Where lm-evaluation-harness is
installed, it computes the number itself.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from hfcli.device import Placement
from hfcli.models.load import LoadedModel, ensure_pad_token, load_model
from hfcli.models.resolve import resolve_model
from hfcli.tasks.scoring import reduce_all
from hfcli.tasks.text_generation import TextGeneration
from tests.conftest import SENTENCES
from tests.helpers import prepared

TEXT = " ".join(f"{SENTENCES[i % 4]} Zwölf Boxkämpfer, {i} €;" for i in range(12))
CONTEXT = 32


@pytest.fixture(scope="module")
def loaded(tiny_gpt2: Path) -> LoadedModel:
    loaded = load_model(
        source=resolve_model(str(tiny_gpt2)),
        task=TextGeneration(),
        dtype=torch.float32,
        placement=Placement(torch.device("cpu")),
    )
    ensure_pad_token(loaded)
    return loaded


def ours(loaded: LoadedModel, text: str = TEXT, **options: Any) -> dict[str, Any]:
    """Sums over the text as `hfcli eval` makes them."""
    task = TextGeneration(context=CONTEXT, **options)
    encoded = prepared(task, Dataset.from_dict({"text": [text]}), loaded, train=False)
    reduced = reduce_all(
        task=task,
        model=loaded.model,
        prepared=encoded,
        batch_size=3,
        pad_token_id=int(loaded.tokenizer.pad_token_id),
    )
    (outcome,) = task.outcomes(encoded, reduced)
    return outcome


def ids_of(loaded: LoadedModel) -> Any:
    return loaded.tokenizer(TEXT, return_tensors="pt", add_special_tokens=False).input_ids


def losses(loaded: LoadedModel, ids: list[int]) -> list[float]:
    """-ln p of every token but the first, given those before it."""
    with torch.inference_mode():
        logits = loaded.model(input_ids=torch.tensor([ids])).logits[0].double()
    return [-float(torch.log_softmax(row, -1)[i]) for row, i in zip(logits, ids[1:], strict=False)]


@pytest.mark.parametrize("stride", [32, 16, 7])
def test_hf_docs_is_the_loop_of_transformers_page(loaded: LoadedModel, stride: int) -> None:
    """The page's loop; its sum counts one token too few in windows that overlap, ours does not."""
    encodings, max_length = ids_of(loaded), CONTEXT
    seq_len = encodings.size(1)
    nll_sum, n_tokens, as_written, counted = 0.0, 0, 0.0, 0
    prev_end_loc = 0
    for begin_loc in range(0, seq_len, stride):
        end_loc = min(begin_loc + max_length, seq_len)
        trg_len = end_loc - prev_end_loc
        input_ids = encodings[:, begin_loc:end_loc]
        target_ids = input_ids.clone()
        target_ids[:, :-trg_len] = -100
        with torch.no_grad():
            mean = loaded.model(input_ids, labels=target_ids).loss.item()
        num_loss_tokens = int((target_ids != -100).sum()) - 1
        as_written, counted = as_written + mean * num_loss_tokens, counted + num_loss_tokens
        in_the_mean = int((target_ids[:, 1:] != -100).sum())  # the model shifts labels by one
        nll_sum, n_tokens = nll_sum + mean * in_the_mean, n_tokens + in_the_mean
        prev_end_loc = end_loc
        if end_loc == seq_len:
            break
    found = ours(loaded, windows="hf-docs", stride=stride)
    assert found["n_tokens"] == n_tokens
    assert found["nll"] == pytest.approx(nll_sum, rel=1e-5)
    page = math.exp(as_written / counted)
    assert math.exp(found["nll"] / n_tokens) == pytest.approx(page, rel=0.03)
    if stride == CONTEXT:
        assert counted == n_tokens, "without overlap the page's number is the same"
        assert math.exp(found["nll"] / n_tokens) == pytest.approx(page, rel=1e-5)


def test_lm_eval_is_its_formula(loaded: LoadedModel) -> None:
    """get_rolling_token_windows with context_len 1: after the prefix token, disjoint, last full."""
    tokens = ids_of(loaded)[0].tolist()
    first = tokens[:CONTEXT]
    nll = sum(losses(loaded, [int(loaded.tokenizer.bos_token_id), *first]))
    predicted = len(first)
    while predicted < len(tokens):
        size = min(len(tokens) - predicted, CONTEXT)
        end = predicted + size
        nll += sum(losses(loaded, tokens[end - CONTEXT - 1 : end])[-size:])
        predicted += size
    found = ours(loaded, windows="lm-eval")
    assert found["n_tokens"] == len(tokens)
    assert found["n_bytes"] == len(TEXT.encode())
    assert found["nll"] == pytest.approx(nll, rel=1e-5)


@pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None, reason="needs the extra hfcli[lm-eval]"
)
@pytest.mark.filterwarnings("default")
def test_lm_eval_is_what_lm_eval_computes(loaded: LoadedModel) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model = HFLM(
        pretrained=loaded.model, tokenizer=loaded.tokenizer, max_length=CONTEXT, batch_size=2
    )
    request = Instance("loglikelihood_rolling", doc={}, arguments=(TEXT,), idx=0)
    (log_likelihood,) = model.loglikelihood_rolling([request], disable_tqdm=True)
    assert ours(loaded, windows="lm-eval")["nll"] == pytest.approx(-log_likelihood, rel=1e-5)


def test_llama_cpp_is_its_formula(loaded: LoadedModel) -> None:
    """perplexity.cpp: of each whole chunk, the logits from n_ctx / 2 to n_ctx - 2."""
    tokens = ids_of(loaded)[0].tolist()
    nll, count, first = 0.0, 0, CONTEXT // 2
    for chunk in range(len(tokens) // CONTEXT):
        start = chunk * CONTEXT
        nll += sum(losses(loaded, tokens[start : start + CONTEXT])[first:])
        count += CONTEXT - first - 1
    found = ours(loaded, windows="llama.cpp")
    assert found["n_tokens"] == count
    assert found["nll"] == pytest.approx(nll, rel=1e-5)
    share = count / len(tokens)
    assert found["n_bytes"] == pytest.approx(share * len(TEXT.encode()), rel=0.1)


def test_llama_cpp_puts_bos_first_where_the_tokenizer_does(
    loaded: LoadedModel, tiny_gpt2: Path
) -> None:
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_gpt2)
    bos = str(tokenizer.bos_token)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.bos_token_id)]
    )
    ensured = LoadedModel(**{**vars(loaded), "tokenizer": tokenizer})
    ensure_pad_token(ensured)
    tokens = tokenizer(TEXT)["input_ids"]
    assert tokens[0] == tokenizer.bos_token_id
    nll, count, first = 0.0, 0, CONTEXT // 2
    for chunk in range(len(tokens) // CONTEXT):
        window = [tokens[0], *tokens[chunk * CONTEXT + 1 : (chunk + 1) * CONTEXT]]
        nll += sum(losses(loaded, window)[first:])
        count += CONTEXT - first - 1
    found = ours(ensured, windows="llama.cpp")
    assert found["n_tokens"] == count
    assert found["nll"] == pytest.approx(nll, rel=1e-5)


@pytest.mark.parametrize("windows", ["full", "hf-docs", "lm-eval", "llama.cpp"])
def test_parts_of_a_document_are_all_of_it(loaded: LoadedModel, windows: Any) -> None:
    found = ours(loaded, windows=windows)
    names = ("nll", "n_tokens", "n_bytes", "n_words")
    for name, sums in zip(names, zip(*found["parts"], strict=True), strict=True):
        assert sum(sums) == pytest.approx(found[name], rel=1e-12)
    if windows in ("full", "lm-eval"):
        assert found["n_bytes"] == len(TEXT.encode())
        assert found["n_words"] == len(TEXT.split())
    assert all(part[1] >= 256 for part in found["parts"])
    assert len(found["parts"]) == found["n_tokens"] // 256 or windows == "full"
