"""The default engine: transformers' models in a batch whose finished rows are replaced at once.

Requests are read a window at a time and started longest first. The tokens of a row do not depend
on its neighbours: in float32, a choice that rounding could have changed is made again for the row
alone (see `hfcli.generation.sampling`); in bfloat16, rows are batch-invariant (see
`hfcli.fast.batch_invariance`). Knows nothing about files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from hfcli.errors import ModelError
from hfcli.fast.batch_invariance import BatchInvariance
from hfcli.fast.decoders import Decoder, FusedDecoder
from hfcli.fast.linear import PrepackedWeights
from hfcli.fast.portable import SpeculativeDecoding
from hfcli.fast.prepared import PreparedModel
from hfcli.fast.protocol import SpeedUp
from hfcli.foreign import forward_errors
from hfcli.generation.admission import memory_budget
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.loading import draft_choice, find_model, load_found
from hfcli.generation.logprobs import token_logprobs
from hfcli.generation.one_row import OneRow
from hfcli.generation.request import Counts, Finished, Request
from hfcli.generation.row import Row
from hfcli.generation.scheduler import Batch, by_work
from hfcli.generation.slots import Slots
from hfcli.generation.speculate import DraftModel, PromptLookup, Proposer, Repeats
from hfcli.models.load import LoadedModel, ReadableModel
from hfcli.results import Choice as Chosen
from hfcli.tasks.base import context_length
from hfcli.tasks.logits import NanLogitsError

ONE_BY_ONE = "batch: rows run one at a time, as this model's attention needs"
WINDOW = 1024  # requests sorted together


def open_engine(options: EngineOptions) -> TransformersEngine:
    """Load the model, and the draft where there is one.

    Raises:
        ModelError, RunError: see `hfcli.errors`.
    """
    found = find_model(options.choice, options.listener)
    draft = None
    if options.draft_model is not None:
        choice = draft_choice(options.choice, options.draft_model)
        draft = find_model(choice, options.listener)
    alone = options.one_stream and draft is None and not options.prompt_lookup
    loaded = load_found(found, options.listener, one_stream=alone, many=options.many)
    engine = TransformersEngine(
        PreparedModel.of(loaded),
        options,
        None if draft is None else load_found(draft, options.listener),
    )
    if engine.keeps_promise:
        return engine
    options.listener(Chosen("float32: in bfloat16, texts would depend on how they are batched"))
    del engine, loaded  # there may be no room for both
    found = replace(found, choice=replace(options.choice, dtype="float32"))
    return TransformersEngine(PreparedModel.of(load_found(found, options.listener)), options)


class TransformersEngine:
    """See `hfcli.generation.engines.base.Engine`.

    Args:
        loaded: a model that was prepared for speed may have its weights packed; any other is left
            as it is.
    """

    def __init__(
        self,
        loaded: LoadedModel | PreparedModel,
        options: EngineOptions,
        draft: LoadedModel | None = None,
    ) -> None:
        self.loaded: LoadedModel | PreparedModel = loaded
        self.options = options
        self.counts = Counts()
        self.longest = context_length(loaded.tokenizer, loaded.model)
        self.decoder = self._decoder(loaded)
        self.beams = getattr(loaded.model, "generate", None) is not None
        self.exact = str(loaded.model.dtype) == "torch.float32"
        self.proposer = self._proposer(draft)
        self.listener = options.listener
        self.to_pack = self._to_pack(loaded)
        self.packs_for_batches = options.many and not self.exact and self.to_pack is not None
        if isinstance(self.proposer, Repeats):
            self._tell(SpeculativeDecoding(), None)
        self.batch_invariant = False
        if not options.one_stream:
            self.pack()
            self.batch_invariant = self._is_batch_invariant()

    def _tell(self, one: SpeedUp, reason: str | None) -> None:
        told = one.help if reason is None else f"off, {reason}"
        self.options.listener(Chosen(f"{one.name}: {told}"))

    def _decoder(self, loaded: ReadableModel) -> Decoder | None:
        fused = FusedDecoder()
        if not self.options.choice.fast(fused.name):
            return None
        decoder, reason = fused.prepare(loaded.model)
        if decoder is not None or reason is not None:
            self._tell(fused, reason)
        return decoder

    def _to_pack(self, loaded: LoadedModel | PreparedModel) -> PreparedModel | None:
        """The model, where packing its weights is allowed, wins and works."""
        packing, options = PrepackedWeights(), self.options
        useless = options.one_stream and self.exact
        if useless or not isinstance(loaded, PreparedModel) or not packing.fits(loaded.model):
            return None
        if not options.choice.fast(packing.name):
            return None
        reason = packing.refusal(loaded.model.device.type)
        self._tell(packing, reason)
        return loaded if reason is None else None

    def _is_batch_invariant(self) -> bool:
        invariance = BatchInvariance()
        if not self.packs_for_batches or self.decoder is None:
            return False
        if not self.options.choice.fast(invariance.name):
            return False
        model = self.loaded.model
        open_decoder_state = partial(Slots, model, self.decoder, batch_invariant=True)
        reason = invariance.prepare(model, open_decoder_state, self.longest)
        self._tell(invariance, reason)
        return reason is None

    @property
    def keeps_promise(self) -> bool:
        """Whether many texts do not depend on how they are batched, where hfcli chose the type."""
        chosen = self.options.many and self.options.choice.dtype == "auto"
        on_cpu = self.loaded.model.device.type == "cpu"
        return not (chosen and on_cpu) or self.exact or self.batch_invariant

    def pack(self) -> None:
        """Pack the weights, once, where that wins."""
        if self.to_pack is not None:
            PrepackedWeights().prepare(self.to_pack, batch_invariant=self.packs_for_batches)
        self.to_pack = None

    def run(
        self, requests: Iterable[Request], on_text: Callable[[str], None] | None = None
    ) -> Iterator[Finished]:
        """See `Engine.run`."""
        import torch

        tokenizer = self.loaded.tokenizer
        source = iter(requests)
        window = list(islice(source, WINDOW))
        batch = Batch(self, memory_budget(self.loaded.model, self.options.batch_size))
        if isinstance(batch.memory, OneRow):
            self.options.listener(Chosen(ONE_BY_ONE))
        waiting: list[Row] = []
        with forward_errors(self.loaded.model), torch.inference_mode():
            while window or waiting or batch.rows:
                if not waiting:
                    waiting = [Row(request, tokenizer, on_text) for request in window]
                    waiting.sort(key=by_work)
                    window = list(islice(source, WINDOW))
                yield from self._finish(batch.advance(waiting))

    def _finish(self, rows: Sequence[Row]) -> Iterator[Finished]:
        for row in rows:
            request = row.request
            self.counts.prompt += len(request.ids)
            self.counts.new += len(row.new)
            yield row.finished(self._logprobs(row))

    def _logprobs(self, row: Row) -> list[dict[str, Any]] | None:
        request, loaded = row.request, self.loaded
        if request.logprobs is None or row.finish_reason == "error":
            return None
        try:
            return token_logprobs(
                loaded.model, loaded.tokenizer, request.ids, row.new, request.logprobs
            )
        except NanLogitsError:
            if not request.may_fail:
                raise
            row.fail()
            return None

    def _proposer(self, draft: LoadedModel | None) -> Proposer | None:
        if self.options.prompt_lookup:
            return PromptLookup()
        if draft is None:
            speculates = self.options.choice.fast(SpeculativeDecoding.name)
            return Repeats() if self.options.one_stream and speculates else None
        if draft.tokenizer.get_vocab() != self.loaded.tokenizer.get_vocab():
            raise ModelError(
                f"{draft.source.name}: its vocabulary is not that of {self.loaded.source.name}",
                hint="a draft model must have the same tokenizer",
            )
        longest = context_length(draft.tokenizer, draft.model)
        return DraftModel(draft.model, longest, self._decoder(draft))
