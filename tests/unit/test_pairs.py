"""A pair of texts is cut as the tokenizers library cuts it."""

from __future__ import annotations

from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from hfcli.tasks.pairs import longest_first


def test_the_longer_text_is_cut_first_as_by_tokenizers() -> None:
    tokenizer = Tokenizer(WordLevel({"a": 0}, unk_token="a"))
    cut = 0
    for first in range(9):
        for second in range(9):
            for room in range(1, 17):
                tokenizer.enable_truncation(room, strategy="longest_first")
                pair = ["a"] * first, ["a"] * second
                both = tokenizer.encode(*pair, is_pretokenized=True)
                kept = both.sequence_ids.count(0), both.sequence_ids.count(1)
                assert longest_first(first, second, room) == kept, (first, second, room)
                cut += sum(kept) < first + second
    assert cut > 100
