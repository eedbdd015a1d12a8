"""Choices made for the machine are told to those who ask."""

from __future__ import annotations

import pytest

from hfcli.render.progress import Reporter
from hfcli.results import Choice


@pytest.mark.parametrize("verbose", [False, True])
def test_choices_are_shown_on_request(verbose: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter(verbose=verbose) as listener:
        listener(Choice("bf16: off [why]"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == ("chosen: bf16: off [why]\n" if verbose else "")
