"""The choice of a token: its distribution, its filters, and when it is ambiguous."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from hfcli.generation.sampling import SamplingParams, gumbel, row_seed, sample_tokens

DECODINGS = {
    "temperature": SamplingParams(temperature=0.7),
    "top-k": SamplingParams(temperature=1.0, top_k=5),
    "top-p": SamplingParams(temperature=1.3, top_p=0.8),
    "min-p": SamplingParams(temperature=1.0, min_p=0.1),
    "all": SamplingParams(temperature=0.9, top_k=12, top_p=0.9, min_p=0.02),
}


def reference(logits: Any, decoding: SamplingParams) -> Any:
    """The distribution by transformers' own warpers."""
    import torch
    from transformers.generation import logits_process as lp

    ids: Any = torch.zeros(1, 1, dtype=torch.long)
    scores: Any = lp.TemperatureLogitsWarper(decoding.temperature)(ids, logits)
    if decoding.top_k:
        scores = lp.TopKLogitsWarper(decoding.top_k)(ids, scores)
    if decoding.top_p < 1:
        scores = lp.TopPLogitsWarper(decoding.top_p)(ids, scores)
    if decoding.min_p:
        scores = lp.MinPLogitsWarper(decoding.min_p)(ids, scores)
    return torch.softmax(scores, -1)[0]


# Steep logits end within the first candidates, flat ones do not.
@pytest.mark.parametrize(("vocabulary", "steepness"), [(40, 2.5), (3000, 2.5), (3000, 3.5)])
@pytest.mark.parametrize("decoding", DECODINGS.values(), ids=DECODINGS.keys())
def test_tokens_come_as_often_as_transformers_distribution_says(
    decoding: SamplingParams, vocabulary: int, steepness: float
) -> None:
    import torch
    from scipy.stats import chisquare

    generator = torch.Generator().manual_seed(vocabulary)
    logits = steepness * torch.randn(1, vocabulary, generator=generator)
    expected = reference(logits, decoding).double()
    draws = 20_000
    rows = logits.expand(500, -1)
    seen: Counter[int] = Counter()
    for seed in range(draws // 500):
        seen.update(sample_tokens(rows, [decoding] * 500, [seed] * 500, list(range(500))).tokens)
    assert set(seen) <= set(expected.nonzero()[:, 0].tolist())
    likely = (expected * draws >= 5).nonzero()[:, 0].tolist()
    observed = [seen[i] for i in likely] + [draws - sum(seen[i] for i in likely)]
    wanted = [float(expected[i]) * draws for i in likely]
    wanted.append(draws - sum(wanted))
    if wanted[-1] < 5:
        observed[-2:] = [observed[-2] + observed[-1]]
        wanted[-2:] = [wanted[-2] + wanted[-1]]
    assert chisquare(observed, wanted).pvalue > 1e-4


@pytest.mark.parametrize("decoding", DECODINGS.values(), ids=DECODINGS.keys())
def test_a_choice_depends_on_no_other_row(decoding: SamplingParams) -> None:
    import torch

    generator = torch.Generator().manual_seed(5)
    steep = torch.randn(300, 3000, generator=generator) * torch.linspace(2.5, 5, 300)[:, None]
    flat = torch.randn(1, 3000, generator=generator) * 0.1
    seeds = list(range(300))
    alone = [sample_tokens(steep[i : i + 1], [decoding], [i], [0]).tokens[0] for i in seeds]
    others = [
        SamplingParams(1.0),
        SamplingParams(),
        SamplingParams(1.0, top_k=700),
        SamplingParams(1.0, top_p=0.999),
    ]
    for other in others:
        beside = sample_tokens(
            torch.cat([steep, flat]), [decoding] * 300 + [other], [*seeds, 0], [0] * 301
        )
        assert beside.tokens[:300] == alone


def test_noise_is_gumbel_and_a_function_of_its_place() -> None:
    import torch
    from scipy.stats import gumbel_r, kstest

    tokens = torch.arange(50_000).expand(2, -1)
    seeds, steps = torch.tensor([3, 3]), torch.tensor([0, 1])
    noise = gumbel(seeds, steps, tokens)
    assert kstest(noise[0].numpy(), gumbel_r.cdf).pvalue > 1e-3
    assert kstest(noise[1].numpy(), gumbel_r.cdf).pvalue > 1e-3
    correlation = torch.corrcoef(noise)[0, 1]
    assert abs(float(correlation)) < 0.02
    shuffled = torch.randperm(50_000)
    again = gumbel(seeds[:1], steps[:1], shuffled[None])
    assert torch.equal(again[0], noise[0][shuffled])


@pytest.mark.parametrize("decoding", [SamplingParams(), *DECODINGS.values()])
def test_an_error_below_the_tolerance_changes_no_choice_that_is_sure(
    decoding: SamplingParams,
) -> None:
    import torch

    generator = torch.Generator().manual_seed(1)
    rows, size = 400, 60
    logits = torch.randn(rows, size, generator=generator).round(decimals=1)  # many near ties
    logits += 1e-6 * torch.randn(rows, size, generator=generator)
    settings = ([decoding] * rows, list(range(rows)), [0] * rows)
    before = sample_tokens(logits, *settings)
    ambiguous = set(before.ambiguous)
    for trial in range(5):
        noise = torch.randn(rows, size, generator=torch.Generator().manual_seed(trial))
        after = sample_tokens(logits + 2e-6 * noise, *settings)
        changed = {
            i for i, (a, b) in enumerate(zip(before.tokens, after.tokens, strict=True)) if a != b
        }
        assert changed <= ambiguous
    assert len(ambiguous) < rows / 2


def test_seeds_of_rows_differ_and_repeat() -> None:
    seeds = {row_seed(0, str(i), s) for i in range(1000) for s in range(3)}
    assert len(seeds) > 2990
    assert row_seed(7, "a", 1) == row_seed(7, "a", 1) != row_seed(8, "a", 1)
    assert row_seed(0, "1", 11) != row_seed(0, "11", 1)
