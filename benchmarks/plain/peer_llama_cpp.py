"""llama.cpp through llama-cpp-python, greedy: a GGUF file as it is, or quantized beside it."""

import ctypes
import json
import os
import sys
import time

import llama_cpp
import torch
from llama_cpp import llama_cpp as lib

path, prompt, n, kind = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
if kind == "q8_0":
    small = path.replace(".gguf", ".q8_0.gguf")
    if not os.path.isfile(small):
        parameters = lib.llama_model_quantize_default_params()
        parameters.ftype = lib.LLAMA_FTYPE_MOSTLY_Q8_0
        files = path.encode(), f"{small}.partial".encode()
        if lib.llama_model_quantize(*files, ctypes.byref(parameters)):
            sys.exit("llama.cpp could not quantize the file")
        os.replace(f"{small}.partial", small)
    path = small

defaults = lib.llama_model_default_params


def without_tiles() -> lib.llama_model_params:
    """As hfcli's engine does: not repacked for AMX, whose tiles not every system lets one use."""
    parameters = defaults()
    parameters.use_extra_bufts = False
    return parameters


lib.llama_model_default_params = without_tiles
threads = torch.get_num_threads()  # as many as the other sides; the default is half of the cores
model = llama_cpp.Llama(path, n_ctx=1024, n_threads=threads, n_threads_batch=threads, verbose=False)
ids = model.tokenize(prompt.encode(), add_bos=False)
made = []
start = time.perf_counter()
for token in model.generate(ids, temp=0.0):  # does not stop at the end of the text
    made.append(token)
    if len(made) == n:
        break
seconds = time.perf_counter() - start
text = model.detokenize(made).decode(errors="replace")
print(json.dumps({"tokens": len(made), "text": text, "seconds": seconds}))
