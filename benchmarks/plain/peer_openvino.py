"""OpenVINO by itself, greedy: 32 rows of like length at a time, which leave when they are done."""

import os
import sys
import time

import numpy as np
import openvino
from parts.peer import read, tell

folder, kind, file = sys.argv[1:]
start = time.perf_counter()
path = f"{folder}.openvino-{'int8' if kind == 'int8' else 'float32'}/model.xml"
if not os.path.isfile(path):
    from parts.openvino_step import convert

    convert(folder, path, small=kind == "int8")
converting = time.perf_counter() - start

rows, prompts, tokenizer = read(folder, file)
options = {
    "INFERENCE_PRECISION_HINT": "f32" if kind == "float32" else "bf16",
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_NUM_THREADS": int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count()),
}
if kind == "float32":
    options["KV_CACHE_PRECISION"] = "f32"
request = openvino.Core().compile_model(path, "CPU", options).create_infer_request()


def write(batch: list[int]) -> None:
    """Make the texts of these rows, which are read together."""
    longest = max(len(prompts[i]) for i in batch)
    ids = np.zeros((len(batch), longest), dtype=np.int64)
    real = np.zeros_like(ids)
    for at, i in enumerate(batch):
        ids[at, longest - len(prompts[i]) :] = prompts[i]
        real[at, longest - len(prompts[i]) :] = 1
    for state in request.query_state():
        _, heads, _, width = state.state.shape
        state.state = openvino.Tensor(np.zeros((len(batch), heads, 0, width), np.float32))
    live, rest = list(batch), np.arange(len(batch))
    while live:
        request.infer([ids, real, rest])
        tokens = request.get_output_tensor(0).data
        for i, token in zip(live, tokens, strict=True):
            made[i].append(int(token))
        rest = np.array([at for at, i in enumerate(live) if len(made[i]) < rows[i]["max_tokens"]])
        live = [live[at] for at in rest]
        if live:
            ids = tokens[rest][:, None].astype(np.int64)
            real = np.pad(real[rest], ((0, 0), (0, 1)), constant_values=1)


made = [[] for _ in rows]
order = sorted(range(len(rows)), key=lambda i: len(prompts[i]))
start = time.perf_counter()
for at in range(0, len(order), 32):
    write(order[at : at + 32])
tell(made, tokenizer, seconds=time.perf_counter() - start, converting=converting)
