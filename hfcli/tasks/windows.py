"""How a document is scored in windows: hfcli's own definition, and those of other tools.

Perplexities differ between tools because windows do. A window is what the model reads
(`input_ids`) and, at each position, the next token (`labels`), or IGNORE where that one is not
scored here. Knows nothing about models.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hfcli.tasks.prepared import IGNORE, Feature

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Windows:
    """A definition.

    Args:
        context: the most tokens a window holds.
        stride: tokens a window moves on; None: the definition's own.
    """

    context: int
    stride: int | None = None
    bos_in_each: ClassVar[bool] = False  # BOS, where there is one, takes the first place of each

    @classmethod
    def prefixes(cls, tokenizer: PreTrainedTokenizerBase) -> bool:
        """Whether a text stands after BOS, or EOS where there is no BOS."""
        return True

    @abstractmethod
    def cut(self, ids: Sequence[int], wanted: Sequence[bool]) -> Iterator[Feature]:
        """Windows over one document.

        Args:
            ids: its tokens, what stands before it included, (n,).
            wanted: which of them are to be scored, (n,).
        """


class Full(Windows):
    """hfcli's own: every token is scored exactly once, after as much as the stride gives.

    A later window has at least `context + 1 - stride` tokens before the first one it scores; the
    last window begins as early as fits. With stride 1, every token has all the context there is.
    """

    def cut(self, ids: Sequence[int], wanted: Sequence[bool]) -> Iterator[Feature]:
        stride = min(self.stride or self.context, self.context)
        n, done, start = len(ids), 1, 0
        while done < n:
            end = min(start + self.context + 1, n)
            if end == n:
                start = max(0, n - self.context - 1)
            yield _window(ids, wanted, start, end, done)
            done, start = end, min(start + stride, end - 1)


class HfDocs(Windows):
    """The loop of transformers' page on perplexity: windows of `context` tokens, none scored
    first, moved on by `stride`, no BOS. Tokens that begin a window without overlap are lost.
    """

    @classmethod
    def prefixes(cls, tokenizer: PreTrainedTokenizerBase) -> bool:
        return False

    def cut(self, ids: Sequence[int], wanted: Sequence[bool]) -> Iterator[Feature]:
        stride, done = self.stride or self.context, 0
        for start in range(0, len(ids), stride):
            end = min(start + self.context, len(ids))
            if end - start > 1:
                yield _window(ids, wanted, start, end, max(done, start + 1))
            done = end
            if end == len(ids):
                return


class LmEval(Windows):
    """lm-evaluation-harness' rolling windows: disjoint, the text after BOS or EOS, the last one
    begun earlier so that it is full.
    """

    def cut(self, ids: Sequence[int], wanted: Sequence[bool]) -> Iterator[Feature]:
        for done in range(1, len(ids), self.context):
            end = min(done + self.context, len(ids))
            yield _window(ids, wanted, max(0, end - self.context - 1), end, done)


class LlamaCpp(Windows):
    """llama.cpp's `llama-perplexity`: disjoint windows of `context` tokens, of each the second
    half is scored, what does not fill a window is left out. Where the tokenizer puts BOS before
    texts, every window begins with it instead of its own first token.
    """

    bos_in_each: ClassVar[bool] = True

    @classmethod
    def prefixes(cls, tokenizer: PreTrainedTokenizerBase) -> bool:
        first = list(tokenizer("a", verbose=False)["input_ids"])[:1]
        return first == [tokenizer.bos_token_id]

    def cut(self, ids: Sequence[int], wanted: Sequence[bool]) -> Iterator[Feature]:
        for start in range(0, len(ids) - self.context + 1, self.context):
            end = start + self.context
            yield _window(ids, wanted, start, end, start + self.context // 2 + 1)


def _window(
    ids: Sequence[int], wanted: Sequence[bool], start: int, end: int, first: int
) -> Feature:
    """Read `start` to `end`, and score what is wanted of it from `first` on."""
    labels = [ids[i] if i >= first and wanted[i] else IGNORE for i in range(start + 1, end)]
    return {"input_ids": list(ids[start : end - 1]), "labels": labels}


DEFINITIONS: dict[str, type[Windows]] = {
    "full": Full,
    "hf-docs": HfDocs,
    "lm-eval": LmEval,
    "llama.cpp": LlamaCpp,
}
