"""Laws of the decoding loop, on a tiny model: nothing about a text depends on its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hfcli.generation.batchable import open_decoder_state
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.engines.transformers import TransformersEngine, open_engine
from hfcli.generation.loading import ModelChoice
from hfcli.generation.one_row import OneRow
from hfcli.generation.request import Finished, Request
from hfcli.generation.sampling import SamplingParams
from hfcli.generation.slots import Slots

PROMPTS = [
    "The harbour was quiet",
    "She asked",
    "Nobody answered, for the wind had taken every word. In the morning",
    "In the morning the market opened and bread was sold. The boats lay still.",
    "Bread",
    "The lamp would be lit when the keeper asked the boats",
]
SAMPLED = SamplingParams(temperature=0.9, top_k=0, top_p=0.95)
DECODINGS = {
    "greedy": SamplingParams(),
    "sampled": SamplingParams(temperature=1.0),
    "top-k": SamplingParams(temperature=0.8, top_k=20),
    "top-p": SAMPLED,
    "min-p": SamplingParams(temperature=1.2, min_p=0.05),
    "all": SamplingParams(temperature=1.1, top_k=40, top_p=0.9, min_p=0.01),
}


@pytest.fixture(scope="module")
def open_tiny(tiny_gpt2: Path) -> Callable[..., TransformersEngine]:
    def opened(**options: Any) -> TransformersEngine:
        choice = ModelChoice(str(tiny_gpt2), device="cpu")
        return open_engine(EngineOptions(choice=choice, listener=print, **options))

    return opened


def requests_for(
    engine: TransformersEngine,
    decoding: SamplingParams,
    max_new: Sequence[int] = (5, 17, 9, 24, 3, 12),
) -> list[Request]:
    tokenizer = engine.loaded.tokenizer
    eos = frozenset({tokenizer.eos_token_id})
    prompts = [tuple(tokenizer(p)["input_ids"]) for p in PROMPTS]
    return [
        Request(i, ids, 1000 + i, decoding, min(max_new[i], 64 - len(ids)), eos)
        for i, ids in enumerate(prompts)
    ]


def texts(engine: TransformersEngine, requests: Sequence[Request]) -> dict[int, tuple[int, ...]]:
    found = {f.request.number: f.ids for f in engine.run(requests)}
    assert len(found) == len(requests)
    return found


@pytest.mark.parametrize("decoding", DECODINGS.values(), ids=DECODINGS.keys())
def test_a_row_has_the_same_text_alone_and_in_any_batch(
    open_tiny: Callable[..., TransformersEngine], decoding: SamplingParams
) -> None:
    engine = open_tiny(batch_size=1)
    requests = requests_for(engine, decoding)
    alone = {}
    for request in requests:
        alone.update(texts(engine, [request]))
    assert len(set(alone.values())) == len(PROMPTS), "six different texts"
    for size in (2, 3, 6):
        for order in (requests, requests[::-1]):
            assert texts(open_tiny(batch_size=size), order) == alone, size


def test_greedy_text_is_that_of_transformers_own_generate(
    open_tiny: Callable[..., TransformersEngine],
) -> None:
    engine = open_tiny(batch_size=4)
    found = texts(engine, requests_for(engine, SamplingParams(), [20] * 6))
    model: Any = engine.loaded.model
    for request in requests_for(engine, SamplingParams(), [20] * 6):
        ids = torch.tensor([request.ids])
        output = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False
        )
        assert found[request.number] == tuple(output[0, ids.shape[1] :].tolist())


def test_models_without_plain_attention_write_the_same_row_by_row(
    open_tiny: Callable[..., TransformersEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_tiny(batch_size=4)
    requests = requests_for(engine, SAMPLED)
    before = texts(engine, requests)
    assert isinstance(open_decoder_state(engine.loaded.model, 64), Slots)
    monkeypatch.setattr("hfcli.generation.batchable.plain_attention", lambda model, longest: False)
    assert isinstance(open_decoder_state(engine.loaded.model, 64), OneRow)
    assert texts(open_tiny(batch_size=4), requests) == before


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
def test_memory_that_runs_out_in_a_trial_says_nothing_about_the_model(
    open_tiny: Callable[..., TransformersEngine],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    monkeypatch.setenv("HFCLI_CACHE", str(tmp_path))
    model: Any = open_tiny(batch_size=4).loaded.model

    def full(*_args: Any, **_options: Any) -> Any:
        raise error("DefaultCPUAllocator: can't allocate memory")

    with monkeypatch.context() as patched:
        patched.setattr(model, "forward", full)
        patched.setattr("hfcli.generation.batchable.plain_attention", lambda model, longest: True)
        assert isinstance(open_decoder_state(model, 64), OneRow)
    assert isinstance(open_decoder_state(model, 64), Slots)


@pytest.mark.parametrize("decoding", [SamplingParams(), SAMPLED], ids=["greedy", "sampled"])
def test_guesses_change_no_text(
    open_tiny: Callable[..., TransformersEngine], tiny_gpt2: Path, decoding: SamplingParams
) -> None:
    plain = open_tiny(batch_size=1)
    requests = requests_for(plain, decoding, [40, 40, 20, 20, 40, 30])
    expected = texts(plain, requests)
    assert plain.counts.drafted == 0
    lookup = open_tiny(batch_size=1, prompt_lookup=True)
    assert texts(lookup, requests) == expected
    assert lookup.counts.drafted > 0
    unasked = open_tiny(batch_size=1, one_stream=True)
    assert texts(unasked, requests) == expected
    circles = decoding.temperature == 0
    assert bool(unasked.counts.drafted) == circles, "greedy texts go in circles"
    itself = open_tiny(batch_size=1, draft_model=str(tiny_gpt2))
    assert texts(itself, requests) == expected
    rate = itself.counts.acceptance_rate()
    assert rate is not None
    assert rate > 0.95, "a model agrees with itself"


def test_samples_of_one_prompt_read_it_once(open_tiny: Callable[..., TransformersEngine]) -> None:
    engine = open_tiny(batch_size=8)
    first = requests_for(engine, SAMPLED)[3]
    samples = [replace(first, number=i, seed=i) for i in range(6)]
    alone = {}
    for sample in samples:
        alone.update(texts(open_tiny(batch_size=1), [sample]))
    assert texts(engine, samples) == alone
    assert len(set(alone.values())) > 1
    assert engine.counts.computed <= len(first.ids) + engine.counts.new + 40


def test_nothing_is_computed_for_rows_that_are_done(
    open_tiny: Callable[..., TransformersEngine],
) -> None:
    engine = open_tiny(batch_size=4)
    base = requests_for(engine, SamplingParams(temperature=1.5))
    many = [
        replace(base[i % 6], number=i, seed=i, max_new_tokens=(3, 6, 9, 14)[i % 4])
        for i in range(48)
    ]
    texts(engine, many)
    counts = engine.counts
    assert counts.computed / (counts.prompt + counts.new) < 1.3


def test_a_stop_string_ends_its_own_row_only(open_tiny: Callable[..., TransformersEngine]) -> None:
    engine = open_tiny(batch_size=6)
    requests = requests_for(engine, SamplingParams(), [30, 30, 20, 20, 30, 20])
    whole = {f.request.number: f for f in engine.run(requests)}
    cut = 0
    for number, text in ((n, f.text) for n, f in whole.items()):
        stop = text[len(text) // 2 :][:3]
        stopped = {
            f.request.number: f
            for f in engine.run(
                [replace(r, stops=(stop,)) if r.number == number else r for r in requests]
            )
        }
        for other, finished in stopped.items():
            if other != number:
                assert finished == whole[other]
        mine = stopped[number]
        if stop and mine.finish_reason == "stop_string":
            cut += 1
            assert mine.text == text[: text.index(stop)]
            assert len(mine.ids) <= len(whole[number].ids)
    assert cut >= 3


def test_log_probabilities_are_those_of_the_model_and_of_no_batch(
    open_tiny: Callable[..., TransformersEngine],
) -> None:
    engine = open_tiny(batch_size=6)
    requests = [replace(r, logprobs=3) for r in requests_for(engine, SAMPLED)]
    together = {f.request.number: f for f in engine.run(requests)}
    model: Any = engine.loaded.model
    for request in requests:
        (alone,) = open_tiny(batch_size=1).run([request])
        mine: Finished = together[request.number]
        assert mine.logprobs == alone.logprobs
        assert mine.logprobs is not None
        assert len(mine.logprobs) == len(mine.ids)
        with torch.inference_mode():
            logits = model(torch.tensor([[*request.ids, *mine.ids]])).logits[0].double()
        expected = torch.log_softmax(logits, -1)
        for i, entry in enumerate(mine.logprobs):
            at = expected[len(request.ids) - 1 + i]
            assert entry["logprob"] == pytest.approx(float(at[mine.ids[i]]), abs=1e-4)
            assert entry["top"][0]["logprob"] == pytest.approx(float(at.max()), abs=1e-4)
            assert len(entry["top"]) == 3


def test_out_of_memory_halves_the_batch_and_changes_no_text(
    open_tiny: Callable[..., TransformersEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[Any] = []
    engine = open_tiny(batch_size=6)
    requests = requests_for(engine, SAMPLED)
    expected = texts(engine, requests)
    tight = TransformersEngine(engine.loaded, replace(engine.options, listener=notes.append))
    extend = Slots.decode

    def out_of_memory(self: Slots, tokens: Sequence[Sequence[int]]) -> Any:
        if len(tokens) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return extend(self, tokens)

    monkeypatch.setattr(Slots, "decode", out_of_memory)
    assert texts(tight, requests) == expected
    assert tight.counts.batch_size <= 2
    assert notes


def test_little_is_computed_in_vain_on_a_skewed_load(tiny_gpt2_long: Path) -> None:
    import random

    choice = ModelChoice(str(tiny_gpt2_long), device="cpu")
    engine = open_engine(EngineOptions(choice=choice, listener=print))
    choose = random.Random(0)
    requests = [
        Request(
            i,
            tuple(choose.choices(range(2, 300), k=int(8 * 32 ** choose.random() ** 2))),
            i,
            SamplingParams(temperature=1.0),
            int(16 * 8 ** choose.random() ** 2),
        )
        for i in range(64)
    ]
    assert max(len(r.ids) for r in requests) > 10 * min(len(r.ids) for r in requests)
    texts(engine, requests)
    counts = engine.counts
    assert counts.computed / (counts.prompt + counts.new) < 1.2
