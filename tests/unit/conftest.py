"""tests/unit runs without torch: a test that imports it fails, wherever torch is there."""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    """Fail a test that has imported torch; one that was imported before cannot be told."""
    before = "torch" in sys.modules
    yield
    if not before and "torch" in sys.modules:
        pytest.fail("torch was imported: a test that needs it belongs into tests/integration")
