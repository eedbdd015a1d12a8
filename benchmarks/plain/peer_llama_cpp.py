"""llama.cpp through llama-cpp-python's low level, greedy; up to 32 rows are read together.

Its high level has no call for several texts. A GGUF file as it is, or quantized beside it.
"""

import ctypes
import os
import sys
import time

import numpy as np
from llama_cpp import llama_cpp as lib
from parts.peer import read, tell

SLOTS, AT_ONCE = 32, 2048
folder, kind, file = sys.argv[1:]
start = time.perf_counter()
path = f"{folder}.gguf"
if kind == "q8_0":
    small = f"{folder}.q8_0.gguf"
    if not os.path.isfile(small):
        parameters = lib.llama_model_quantize_default_params()
        parameters.ftype = lib.LLAMA_FTYPE_MOSTLY_Q8_0
        files = path.encode(), f"{small}.partial".encode()
        if lib.llama_model_quantize(*files, ctypes.byref(parameters)):
            sys.exit("llama.cpp could not quantize the file")
        os.replace(f"{small}.partial", small)
    path = small
converting = time.perf_counter() - start

rows, prompts, tokenizer = read(folder, file)
slots = min(SLOTS, len(rows))
longest = max(len(ids) + row["max_tokens"] for ids, row in zip(prompts, rows, strict=True))

quiet = lib.llama_log_callback(lambda *_: None)
lib.llama_log_set(quiet, ctypes.c_void_p(0))
parameters = lib.llama_model_default_params()
parameters.use_extra_bufts = False  # repacked for AMX, whose tiles not every system lets one use
model = lib.llama_model_load_from_file(path.encode(), parameters)
vocabulary = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
parameters = lib.llama_context_default_params()
parameters.n_ctx, parameters.n_seq_max = slots * (-(-longest // 256) * 256), slots
parameters.n_batch = AT_ONCE
parameters.n_threads = parameters.n_threads_batch = int(
    os.environ.get("OMP_NUM_THREADS") or os.cpu_count()
)
context = lib.llama_init_from_model(model, parameters)
batch = lib.llama_batch_init(AT_ONCE, 0, 1)

made = [[] for _ in rows]
waiting = list(range(len(rows)))
live = {}  # slot -> [row, tokens to read, position of the first of them]
start = time.perf_counter()
while waiting or live:
    read = len(live)
    for slot in range(slots):
        if slot not in live and waiting and read + len(prompts[waiting[0]]) <= AT_ONCE:
            row = waiting.pop(0)
            live[slot] = [row, prompts[row], 0]
            read += len(prompts[row])
    ends, n = {}, 0
    for slot, (_, ids, position) in live.items():
        for at, token in enumerate(ids):
            batch.token[n], batch.pos[n] = token, position + at
            batch.n_seq_id[n], batch.seq_id[n][0] = 1, slot
            batch.logits[n] = at == len(ids) - 1
            n += 1
        ends[slot] = n - 1
    batch.n_tokens = n
    if status := lib.llama_decode(context, batch):
        sys.exit(f"llama_decode: {status}")
    for slot, end in ends.items():
        row, ids, position = live[slot]
        logits = np.ctypeslib.as_array(lib.llama_get_logits_ith(context, end), (vocabulary,))
        made[row].append(int(logits.argmax()))
        live[slot] = [row, made[row][-1:], position + len(ids)]
        if len(made[row]) == rows[row]["max_tokens"]:
            lib.llama_memory_seq_rm(lib.llama_get_memory(context), slot, -1, -1)
            del live[slot]
tell(made, tokenizer, seconds=time.perf_counter() - start, converting=converting)
