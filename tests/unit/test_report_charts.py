"""Charts: their tables tell the same, many labels stay readable, and so do the colours."""

from __future__ import annotations

import io

import pytest

from hfcli.render.report.curves import _running_mean
from hfcli.render.report.history import History, thin
from hfcli.render.report.palette import DARK, LIGHT, Palette
from hfcli.render.report.scores import confusion_chart, per_class_chart


@pytest.mark.parametrize("size", [2, 9, 31, 70])
def test_the_table_of_a_matrix_tells_every_confusion_or_the_most_frequent(size: int) -> None:
    counts = [[10 * (x == y) + (x == y + 1) * (y + 1) for x in range(size)] for y in range(size)]
    made = confusion_chart(counts, [f"label {i}" for i in range(size)])
    assert made.table is not None
    assert f"{10 * size:,} of {10 * size + size * (size - 1) // 2:,}" in made.description
    if size > 30:
        assert list(made.table.rows[0])[:3] == [
            f"label {size - 2}", f"label {size - 1}", f"{size - 1}"
        ]  # fmt: skip
        assert len(made.table.rows) == min(50, size - 1)
    else:
        assert len(made.table.rows) == size
        assert made.table.rows[0][1] == "10 (90.9\u00a0%)"


def test_many_labels_are_shown_from_the_weakest() -> None:
    scores = {
        f"l{i}": {"precision": 1.0, "recall": 1.0, "f1": i / 40, "support": 1} for i in range(40)
    }
    made = per_class_chart(scores)
    assert "l0<" in made.svg
    assert "l24<" in made.svg
    assert "l25<" not in made.svg
    assert made.table is not None
    assert len(made.table.rows) == 40


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_can_be_read(palette: Palette) -> None:
    steps = [i / 20 for i in range(21)]
    cells = [_mixed(palette.heat, palette.surface, share) for share in steps]
    for back in (palette.surface, palette.panel):
        for front in (palette.ink, palette.muted, palette.accent, palette.second):
            assert _contrast(_rgb(front), _rgb(back)) >= 4.5
        for front in (palette.first, palette.second, palette.third):
            assert _contrast(_rgb(front), _rgb(back)) >= 3  # graphics
    assert min(_contrast(_rgb(palette.ink), cell) for cell in cells) >= 4.5
    assert _contrast(_rgb(palette.heat), _rgb(palette.surface)) >= 2  # a full cell and an empty one


def test_thinning_keeps_both_ends_and_means_keep_a_constant() -> None:
    assert thin(range(1_000), 12)[0] == 0
    assert thin(range(1_000), 12)[-1] == 999
    assert len(set(thin(range(1_000), 12))) == 12
    assert thin(range(5), 12) == [0, 1, 2, 3, 4]
    assert _running_mean([(i, 2.5) for i in range(50)], 4) == [(i, 2.5) for i in range(50)]
    assert _running_mean([(0, 1.0), (1, 2.0), (2, 6.0)], 1)[1] == (1, 3.0)


def test_a_long_run_makes_a_page_of_moderate_size() -> None:
    from hfcli.render.report.curves import loss_chart

    lines = [{"step": i, "loss": (i * 7919 % 1000) / 1000} for i in range(50_000)]
    made = loss_chart(History(lines, [], []))
    assert made is not None
    assert len(made.svg) < 600_000
    assert io.BytesIO(made.png).read(4) == b"\x89PNG"


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def _mixed(front: str, back: str, share: float) -> tuple[float, ...]:
    return tuple(share * f + (1 - share) * b for f, b in zip(_rgb(front), _rgb(back), strict=True))


def _contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """WCAG 2.1's contrast ratio of two colours in sRGB."""
    light = [
        sum(
            weight * (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
            for weight, c in zip((0.2126, 0.7152, 0.0722), colour, strict=True)
        )
        for colour in (one, other)
    ]
    return (max(light) + 0.05) / (min(light) + 0.05)
