"""Speed-ups that use public names only; they stand here so that they have a switch."""

from __future__ import annotations

import os

from hfcli.errors import RunError
from hfcli.fast.protocol import SpeedUp, Versions


class SpeculativeDecoding(SpeedUp):
    """Check several tokens at once; see `hfcli.generation.speculate`."""

    name = "speculative-decoding"
    aliases = ("guesses",)
    help = "check several tokens at once where a text repeats itself"
    scope = "for a single text"


class ConvertedFiles(SpeedUp):
    """Cache the conversion of a GGUF file; see `hfcli.models.gguf_cache`."""

    name = "gguf-cache"
    help = "cache what a GGUF file was converted to"
    scope = "the cache can be written"

    def supports(self, versions: Versions, device: str) -> str | None:
        """See `SpeedUp.supports`."""
        from hfcli.cache import open_cache

        try:
            folder = open_cache()
        except RunError as e:
            return e.message
        return None if os.access(folder, os.W_OK) else "the cache cannot be written"
