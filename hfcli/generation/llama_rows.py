"""A model in llama.cpp, seen as the decoding loops see a model: rows that read tokens and give
logits (see `hfcli.generation.slots`). Weights stay packed as they are in the GGUF file.

Sampling, stop strings, grammars and seeds are hfcli's own. Knows nothing about text.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from importlib import import_module
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hfcli.errors import ModelError, RunError

if TYPE_CHECKING:
    from torch import Tensor

TOKENS_AT_ONCE = 2048  # the most one call reads; llama.cpp's default
FIRST_COLUMNS = 256  # tokens a row there is room for at first; doubled as needed


class LlamaModel:
    """Weights in llama.cpp, with the few attributes of a PreTrainedModel that generation reads.

    Args:
        path: of the GGUF file.
        gpu: put every layer on the GPU, where llama.cpp was built for one.

    Raises:
        ModelError: llama.cpp cannot load the file.
    """

    lib: Any

    def __init__(self, path: str, *, gpu: bool) -> None:
        import torch
        from transformers import GenerationConfig

        # An optional extra, which mypy does not find where it is not installed.
        self.lib = lib = import_module("llama_cpp.llama_cpp")
        _be_quiet(lib)
        lib.llama_backend_init()
        parameters = lib.llama_model_default_params()
        parameters.n_gpu_layers = -1 if gpu else 0
        # Repacked for AMX, they end the process where the system does not let it use the tiles.
        parameters.use_extra_bufts = False
        self.handle: Any = lib.llama_model_load_from_file(path.encode(), parameters)
        if not self.handle:
            raise ModelError(
                f"{path}: llama.cpp cannot load it", hint="without --engine, transformers may"
            )
        vocabulary = lib.llama_model_get_vocab(self.handle)
        self.vocabulary = int(lib.llama_vocab_n_tokens(vocabulary))
        ends = [i for i in range(self.vocabulary) if lib.llama_vocab_is_eog(vocabulary, i)]
        self.generation_config = GenerationConfig(eos_token_id=ends or None)
        self.config = self._config()
        self.device = torch.device("cpu")  # where logits are
        self.dtype = torch.float16  # of keys and values

    def __call__(self, input_ids: Tensor, **_ignored: Any) -> Any:
        """Logits of every position of one text, (1, tokens, vocabulary) float32."""
        return SimpleNamespace(logits=LlamaRows(self).read(input_ids.tolist(), every=True))

    def open_decoder_state(self, rows: int = 1) -> LlamaRows:
        """An empty memory for so many rows."""
        return LlamaRows(self, rows)

    def _config(self) -> Any:
        lib, handle = self.lib, self.handle
        heads = int(lib.llama_model_n_head(handle))
        config = SimpleNamespace(
            max_position_embeddings=int(lib.llama_model_n_ctx_train(handle)),
            vocab_size=self.vocabulary,
            hidden_size=int(lib.llama_model_n_embd(handle)),
            num_hidden_layers=int(lib.llama_model_n_layer(handle)),
            num_attention_heads=heads,
            num_key_value_heads=int(lib.llama_model_n_head_kv(handle)),
            is_encoder_decoder=bool(lib.llama_model_has_encoder(handle)),
        )
        config.get_text_config = lambda **_kwargs: config
        return config


class LlamaRows:
    """See `hfcli.generation.slots.DecoderState`: row i is llama.cpp's sequence i.

    Args:
        model: what reads.
        rows: most there will be: rows cannot be moved to a memory for more of them.
    """

    most: int | None = None

    def __init__(self, model: LlamaModel, rows: int = 1) -> None:
        self.model = model
        self.lib = model.lib
        self.lengths: list[int] = []
        self.computed = 0
        self._rows, self._columns = rows, 0
        self._context: Any = None

    def __del__(self) -> None:
        if self._context:
            self.lib.llama_free(self._context)

    def prefill(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """As Slots.prefill."""
        logits: Tensor = self.read(ids, first=len(self.lengths))[:, -1]
        return logits

    def decode(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """As Slots.decode."""
        return self.read(tokens, every=True)

    def expand(self, row: int, copies: int) -> None:
        """As Slots.expand."""
        first, length = len(self.lengths), self.lengths[row]
        self._make_room(first + copies, length)
        for i in range(first, first + copies):
            self._copy(row, i)
        self.lengths += [length] * copies

    def truncate(self, row: int, length: int) -> bool:
        """As Slots.truncate; models with a state of fixed size cannot."""
        done = self.lib.llama_memory_seq_rm(self._memory, row, length, -1)
        self.lengths[row] = length if done else self.lengths[row]
        return bool(done)

    def free(self, row: int) -> None:
        """As Slots.free."""
        last = len(self.lengths) - 1
        self.lib.llama_memory_seq_rm(self._memory, row, -1, -1)
        if row != last:
            self._copy(last, row)
            self.lib.llama_memory_seq_rm(self._memory, last, -1, -1)
            self.lengths[row] = self.lengths[last]
        self.lengths.pop()

    def recompute(self, ids: Sequence[int]) -> Tensor:
        """As Slots.alone."""
        self.computed += len(ids)
        return LlamaRows(self.model).prefill([ids])

    def read(
        self, tokens: Sequence[Sequence[int]], *, first: int = 0, every: bool = False
    ) -> Tensor:
        """Read `tokens[i]` at the end of row `first + i`; rows that are not there yet begin.

        Returns:
            (rows, tokens, vocabulary) float32 logits after every token, or (rows, 1, vocabulary)
            after the last.
        """
        import torch

        self.lengths += [0] * (first + len(tokens) - len(self.lengths))
        starts = self.lengths[first : first + len(tokens)]
        longest = max(start + len(row) for start, row in zip(starts, tokens, strict=True))
        self._make_room(len(self.lengths), longest)
        entries = [
            (token, starts[i] + at, first + i, every or at == len(row) - 1)
            for i, row in enumerate(tokens)
            for at, token in enumerate(row)
        ]
        told = [
            self._decode(entries[begin : begin + TOKENS_AT_ONCE])
            for begin in range(0, len(entries), TOKENS_AT_ONCE)
        ]
        self.computed += len(entries)
        for i, row in enumerate(tokens):
            self.lengths[first + i] += len(row)
        return torch.cat(told).view(len(tokens), -1, self.model.vocabulary)

    def _decode(self, entries: Sequence[tuple[int, int, int, bool]]) -> Tensor:
        import numpy as np
        import torch

        batch = self.lib.llama_batch_init(len(entries), 0, 1)
        batch.n_tokens = len(entries)
        for i, (token, position, row, wanted) in enumerate(entries):
            batch.token[i], batch.pos[i] = token, position
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, row
            batch.logits[i] = wanted
        status = self.lib.llama_decode(self._context, batch)
        self.lib.llama_batch_free(batch)
        if status:
            raise RunError(f"llama.cpp could not read {len(entries)} tokens (status {status})")
        n = sum(wanted for *_, wanted in entries)
        if not n:
            return torch.empty(0, self.model.vocabulary)
        found = np.ctypeslib.as_array(
            self.lib.llama_get_logits(self._context), shape=(n, self.model.vocabulary)
        )
        return torch.from_numpy(found.copy())  # the next call writes over them

    @property
    def _memory(self) -> Any:
        return self.lib.llama_get_memory(self._context)

    def _copy(self, row: int, to: int) -> None:
        self.lib.llama_memory_seq_cp(self._memory, row, to, -1, -1)

    def _make_room(self, rows: int, columns: int) -> None:
        """A larger memory where this one is too small, with what is in it."""
        if rows <= self._rows and columns <= self._columns:
            return
        old, kept = self._context, len([n for n in self.lengths if n])
        self._rows = max(self._rows, rows)
        self._columns = _doubled(max(self._columns, FIRST_COLUMNS), columns)
        self._context = self._open(self._rows, self._columns)
        if old:
            for row in range(min(kept, rows)):
                self._carry(old, row)
            self.lib.llama_free(old)

    def _open(self, rows: int, columns: int) -> Any:
        import torch

        parameters = self.lib.llama_context_default_params()
        parameters.n_ctx, parameters.n_seq_max = rows * columns, rows
        parameters.n_batch = TOKENS_AT_ONCE
        parameters.n_threads = parameters.n_threads_batch = torch.get_num_threads()
        parameters.kv_unified = False  # a row looks at its own columns only
        parameters.no_perf = True
        context = self.lib.llama_init_from_model(self.model.handle, parameters)
        if not context:
            raise RunError(
                f"llama.cpp found no memory for {rows} rows of {columns} tokens",
                hint="a smaller --batch-size",
            )
        return context

    def _carry(self, old: Any, row: int) -> None:
        size = self.lib.llama_state_seq_get_size(old, row)
        held = (ctypes.c_uint8 * size)()
        self.lib.llama_state_seq_get_data(old, held, size, row)
        if not self.lib.llama_state_seq_set_data(self._context, held, size, row):
            raise RunError("llama.cpp could not move a row to a larger memory")


def _doubled(start: int, least: int) -> int:
    return next(start << i for i in count() if start << i >= least)


def _be_quiet(lib: Any) -> None:
    global _log
    _log = lib.llama_log_callback(lambda *_: None)
    lib.llama_log_set(_log, ctypes.c_void_p(0))


_log: Any = None  # llama.cpp keeps only a pointer to it
