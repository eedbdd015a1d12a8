"""Few long documents: parts of them, and blocks of parts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hfcli.evaluation.measure import score_intervals
from hfcli.statistics import blocks, studentised
from hfcli.statistics.blocks import block_length, blocks_of
from hfcli.tasks.document_scores import PART_TOKENS, parts_of, shared


@pytest.mark.parametrize("tokens", [[5], [100] * 9, [1] * 3000, [256, 256], [1024, 1024, 30]])
def test_parts_score_enough_and_lose_nothing(tokens: list[int]) -> None:
    windows = [[float(n), float(n), 4.0 * n, 1.0] for n in tokens]
    parts = parts_of(windows)
    assert np.sum(parts, axis=0) == pytest.approx(np.sum(windows, axis=0))
    assert len(parts) == 1 or all(part[1] >= PART_TOKENS for part in parts)
    assert sum(tokens) < 2 * PART_TOKENS or len(parts) > 1


def test_shares_are_whole_and_add_up() -> None:
    random = np.random.default_rng(0)
    for total in (0, 1, 7, 1000):
        weights = random.integers(0, 50, 9).tolist()
        shares = shared(total, weights)
        assert sum(shares) == (total if sum(weights) else 0)
        assert all(
            abs(s - total * w / sum(weights)) <= 1 for s, w in zip(shares, weights, strict=True)
        )


def test_blocks_grow_with_the_cube_root_and_ten_are_left() -> None:
    assert [block_length(n) for n in (1, 9, 10, 19, 30, 64, 1000)] == [1, 1, 1, 1, 3, 4, 10]


def test_no_block_crosses_the_end_of_a_document() -> None:
    documents = [[[1.0, 2.0, 3.0, 4.0]] * 40, [[10.0, 20.0, 30.0, 40.0]] * 24]
    blocks = blocks_of(documents)
    assert set(blocks) == {"nll", "n_tokens", "n_bytes", "n_words"}
    assert sum(blocks["nll"]) == 280
    assert len(blocks["nll"]) == 16
    assert {
        nll / tokens for nll, tokens in zip(blocks["nll"], blocks["n_tokens"], strict=True)
    } == {0.5}
    assert all(nll in (4.0, 40.0) for nll in blocks["nll"])


def test_standard_errors_grow_where_neighbours_are_alike() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(0, 1, 400)
    for i in range(1, 400):
        noise[i] = 0.5 * noise[i - 1] + 0.75**0.5 * noise[i]
    series = np.stack([noise, random.permutation(noise)])
    assert blocks.stretch(series) == pytest.approx([(1 + 2 * 0.5) ** 0.5, 1], abs=0.1)
    form, counts = studentised.mean(5 + noise), np.ones(400)
    added = blocks.contributions(form, counts)
    assert np.corrcoef(added, noise)[0, 1] == pytest.approx(1)
    found = blocks.interval_in_order(form, counts, seed=0, draws=2_000)
    assert found is not None
    # As wide as the mean of an endless series is: the draws know what the stretch leaves out.
    half = 1.96 * 3**0.5 * noise.std() / 20 / (5 + noise.mean())
    assert math.log(found[1] / found[0]) / 2 == pytest.approx(half, rel=0.1)
    same = studentised.mean(np.full(400, 3.0))
    assert blocks.interval_in_order(same, counts, seed=0, draws=100) is None


def test_one_document_has_an_interval_that_says_what_was_drawn() -> None:
    random = np.random.default_rng(0)
    parts = [[300.0 + 30 * x, 100, 400, 80] for x in random.normal(0, 1, 600).tolist()]
    inputs = {
        "nll": [sum(p[0] for p in parts)], "n_tokens": [60_000], "n_bytes": [240_000],
        "n_words": [48_000], "parts": [parts],
    }  # fmt: skip
    names = ["perplexity", "bits_per_byte", "word_perplexity"]
    found = score_intervals(names=names, inputs=inputs, options={}, seed=0)
    assert set(found) == {"loss", *names}
    loss = inputs["nll"][0] / 60_000
    assert found["loss"]["low"] < loss < found["loss"]["high"]
    assert found["loss"]["high"] - found["loss"]["low"] == pytest.approx(
        4 * 0.3 / 600**0.5, rel=0.4
    )
    assert found["perplexity"]["low"] == pytest.approx(math.exp(found["loss"]["low"]))
    assert found["perplexity"]["method"] == "studentised sieve bootstrap, 2,000 draws of 75 blocks"
    few = score_intervals(names=names, inputs={**inputs, "parts": [parts[:9]]}, options={}, seed=0)
    assert few["loss"]["low"] is None
    assert few["loss"]["method"] == "fewer than 10 documents, and of blocks of windows"
