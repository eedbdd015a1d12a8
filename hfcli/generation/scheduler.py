"""The rows at work: new ones start where there is room, finished ones leave at once.

In float32, a token that rounding could have changed is sampled again for the row alone (see
`hfcli.generation.sampling`); in bfloat16, rows are batch-invariant where possible. Running out of
memory halves the batch. Knows nothing about requests that are not here yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from hfcli.device import out_of_memory
from hfcli.errors import RunError
from hfcli.generation.admission import MemoryBudget
from hfcli.generation.batchable import open_decoder_state
from hfcli.generation.request import Counts
from hfcli.generation.row import Row, without
from hfcli.generation.sampling import Sampled, sample_tokens
from hfcli.generation.slots import DecoderState
from hfcli.generation.speculate import Proposer
from hfcli.results import Listener, Note
from hfcli.tasks.logits import NanLogitsError, nan_logits

if TYPE_CHECKING:
    from torch import Tensor

    from hfcli.fast.decoders import Decoder
    from hfcli.models.load import ReadableModel

PREFILL_TOKENS = 4096  # of new rows read in one pass, padding included
PADDING = 0.2  # most padding of a pass, a token of the prompts; more passes cost more than that
TOKENS_TRIED = 3  # ids from 0, which every vocabulary has


class Batched(Protocol):
    """What a batch needs of its engine.

    Args:
        longest: tokens that a row may have.
        decoder: the model's fused decoder; None: its modules.
        exact: whether choices that rounding could have changed are made again.
        batch_invariant: whether no number of a row depends on the others.
        proposer: guesses tokens of a single row.
        listener: gets notes.
    """

    counts: Counts
    longest: int
    decoder: Decoder | None
    exact: bool
    batch_invariant: bool
    proposer: Proposer | None
    listener: Listener

    @property
    def loaded(self) -> ReadableModel: ...

    def pack(self) -> None:
        """Lay the weights out for the processor, where that wins and is not done."""


class Batch:
    """The rows at work, and the memory of what they have read."""

    def __init__(self, engine: Batched, budget: MemoryBudget) -> None:
        self.engine = engine
        self.counts = engine.counts
        self.budget = budget
        self.memory = self._fresh()
        budget.rows = min(budget.rows, self.memory.most or budget.rows)
        self.rows: list[Row] = []
        self.filling = True
        self.spoiled = False  # there is NaN in the memory

    def _fresh(self) -> DecoderState:
        engine = self.engine
        return open_decoder_state(
            engine.loaded.model, engine.longest, engine.decoder,
            batch_invariant=engine.batch_invariant, rows=self.budget.rows,
        )  # fmt: skip

    def advance(self, waiting: list[Row]) -> list[Row]:
        """Start rows where there is room, else write one token of every row; rows now done.

        `waiting` loses near its end what was started, and gets back what did not fit.
        """
        before = self.memory.computed
        new = self._next_to_read(waiting)
        try:
            if new:
                self._start(new, waiting)
            else:
                self._step()
        except (RuntimeError, MemoryError) as e:
            if not out_of_memory(e):
                raise
            self._shrink(len(self.rows) + len(new), waiting, e)
            before = 0
        self.counts.computed += self.memory.computed - before
        done = [row for row in self.rows if row.finish_reason]
        if self.spoiled:
            self._begin_again(waiting)
        for i in range(len(self.rows) - 1, -1, -1):
            if self.rows[i].finish_reason:
                self._free(i)
        return done

    def _next_to_read(self, waiting: Sequence[Row]) -> list[Row]:
        """Rows from the end of `waiting` that there is room for, and one pass should read."""
        free = self.budget.rows - len(self.rows)
        # A few at a time: reading one prompt costs nearly as much as reading four.
        self.filling = self.filling or not self.rows or free >= max(1, self.budget.rows // 4)
        if not waiting or not self.filling or free <= 0:
            self.filling = False
            return []
        next_ = waiting[-free:][::-1]
        room = self.budget.admit((r.request for r in self.rows), (r.request for r in next_))
        self.filling = room > 0
        return of_a_length(next_[:room])

    def _start(self, new: Sequence[Row], waiting: list[Row]) -> None:
        prompts: list[tuple[int, ...]] = []
        copies: list[int] = []
        for row in new:  # samples of one prompt stand together, and read it once
            ids = tuple(row.ids)
            if prompts and prompts[-1] == ids and self.memory.most != 1:
                copies[-1] += 1
            else:
                prompts.append(ids)
                copies.append(0)
        first = len(self.memory.lengths)
        logits = self.memory.prefill(prompts)
        order = list(range(len(prompts)))
        for i, n in enumerate(copies):
            if n:
                self.memory.expand(first + i, n)
                order += [i] * n
        by_prompt = {prompt: [r for r in new if tuple(r.ids) == prompt] for prompt in prompts}
        rows = [by_prompt[prompts[i]].pop(0) for i in order]
        started = set(map(id, new))
        waiting[-self.budget.rows :] = [
            r for r in waiting[-self.budget.rows :] if id(r) not in started
        ]
        self.rows += rows
        self.counts.batch_size = max(self.counts.batch_size, len(self.rows))
        self._take(rows, logits[order])

    def _step(self) -> None:
        self.engine.pack()  # not before the first token, which is waited for
        proposer = self.engine.proposer
        if proposer is not None and len(self.rows) == 1 and self.memory.most is None:
            self._speculate(proposer)
            return
        logits = self.memory.decode([[row.new[-1]] for row in self.rows])
        self._take(self.rows, logits[:, -1])

    def _speculate(self, proposer: Proposer) -> None:
        (row,) = self.rows
        room = row.request.max_new_tokens - len(row.new) - 1
        draft = proposer.propose(row, room) if room > 0 else []
        logits = self.memory.decode([[row.new[-1], *draft]])
        right = 0
        for i in range(len(draft) + 1):
            self._take([row], logits[:, i])
            agreed = i < len(draft) and row.new[-1] == draft[i]
            right += agreed
            if row.finish_reason or not agreed:
                break
        if draft:
            proposer.learn(len(draft), right)
        self.counts.drafted += len(draft)
        self.counts.accepted += right
        self.memory.truncate(0, len(row.ids) - 1)

    def _take(self, rows: Sequence[Row], logits: Tensor) -> None:
        try:
            tokens = self._sample(rows, logits)
        except NanLogitsError:
            sound = self._fail(rows, logits)
            if sound:
                self._take([rows[i] for i in sound], logits[sound])
            return
        for row, token in zip(rows, tokens, strict=True):
            row.take(token)

    def _fail(self, rows: Sequence[Row], logits: Tensor) -> list[int]:
        """End the rows whose logits are not numbers, where they may fail; the places of others.

        What such a row has read must not stay in memory: 0 times NaN is NaN.

        Raises:
            NanLogitsError: a row may not fail, or no text has numbers.
        """
        finite = logits.max(-1).values.isfinite().tolist()
        failed = [row for row, ok in zip(rows, finite, strict=True) if not ok]
        if not failed or not all(row.request.may_fail for row in failed) or self._is_broken():
            raise nan_logits()
        for row in failed:
            row.fail()
        self.spoiled = True
        return [i for i, ok in enumerate(finite) if ok]

    def _is_broken(self) -> bool:
        """Whether the model has numbers for none of a few texts of one token."""
        return not any(
            bool(self.memory.recompute([i]).max().isfinite()) for i in range(TOKENS_TRIED)
        )

    def _sample(self, rows: Sequence[Row], logits: Tensor) -> list[int]:
        chosen = _pick(rows, logits, exact=self.engine.exact)
        tokens = chosen.tokens
        for i in chosen.ambiguous:
            alone = self.memory.recompute(rows[i].ids)
            tokens[i] = _pick([rows[i]], alone, exact=False).tokens[0]
        return tokens

    def _free(self, i: int) -> None:
        self.memory.free(i)
        self.rows[i] = self.rows[-1]
        self.rows.pop()

    def _shrink(self, tried: int, waiting: list[Row], error: Exception) -> None:
        """Halve the batch and read everything again: rows go on from the tokens they have."""
        if tried <= 1:
            raise RunError(
                "out of memory with a single row",
                hint="a smaller model, a shorter prompt, or fewer --max-new-tokens",
            ) from error
        self.budget.rows = self.counts.batch_size = tried // 2
        told = f"out of memory: going on with batches of {self.budget.rows}"
        self.engine.listener(Note(told))
        self._begin_again(waiting)

    def _begin_again(self, waiting: list[Row]) -> None:
        """Forget what was read: rows that are not done will be read with the tokens they have."""
        waiting += [row for row in reversed(self.rows) if not row.finish_reason]
        self.rows = []
        self.memory = self._fresh()
        self.spoiled = False


def _pick(rows: Sequence[Row], logits: Tensor, *, exact: bool) -> Sampled:
    import torch

    if any(row.is_ruled for row in rows):
        logits = torch.cat([row.rule(logits[i : i + 1]) for i, row in enumerate(rows)])
    else:
        logits = without(logits, rows[0].request.never)  # one model's: the same in every row
    requests = [row.request for row in rows]
    return sample_tokens(
        logits,
        [request.decoding for request in requests],
        [request.seed for request in requests],
        [len(row.new) for row in rows],
        exact=exact,
    )


def by_work(row: Row) -> tuple[int, int, int]:
    """Sort key of a window, taken from the end: the longest texts first, samples in order."""
    request = row.request
    return (len(request.ids) + request.max_new_tokens, len(request.ids), -request.number)


def of_a_length(rows: Sequence[Row]) -> list[Row]:
    """The longest of some rows, with those that can be read beside it without much padding."""
    chosen: list[Row] = []
    longest, read = 0, 0
    for row in sorted(rows, key=lambda row: -len(row.ids)):
        longest, read = max(longest, len(row.ids)), read + len(row.ids)
        whole = longest * (len(chosen) + 1)
        if chosen and (whole > PREFILL_TOKENS or whole > (1 + PADDING) * read):
            break
        chosen.append(row)
    return chosen
