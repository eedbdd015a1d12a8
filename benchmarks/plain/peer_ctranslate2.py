"""CTranslate2, greedy; the model is converted once, beside its folder.

Rows of like length stand together, 32 at a time: what is longer than the shortest prompt of a batch
is read a token at a time. A row leaves its batch when it has its tokens.
"""

import os
import sys
import time

import ctranslate2
from parts.peer import read, tell

folder, kind, file = sys.argv[1:]
start = time.perf_counter()
converted = f"{folder}.ctranslate2-{kind}"
if not os.path.isdir(converted):
    converter = ctranslate2.converters.TransformersConverter(folder)
    converter.convert(f"{converted}.partial", quantization=kind, force=True)
    os.replace(f"{converted}.partial", converted)
converting = time.perf_counter() - start

rows, ids, tokenizer = read(folder, file)
prompts = [[tokenizer.id_to_token(token) for token in prompt] for prompt in ids]
threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count())
generator = ctranslate2.Generator(
    converted, compute_type=kind, inter_threads=1, intra_threads=threads
)
made = [[] for _ in rows]
order = sorted(range(len(rows)), key=lambda i: len(prompts[i]))
start = time.perf_counter()
for at in range(0, len(order), 32):
    batch = order[at : at + 32]
    # Steps are counted from the end of the shortest prompt.
    shortest = len(prompts[batch[0]])
    ends = [len(prompts[i]) - shortest + rows[i]["max_tokens"] for i in batch]
    most = max(rows[i]["max_tokens"] for i in batch)
    results = generator.generate_batch(
        [prompts[i] for i in batch], beam_size=1, include_prompt_in_result=False,
        max_length=most, min_length=most,
        callback=lambda step, ends=ends: step.step + 1 >= ends[step.batch_id],
    )  # fmt: skip
    for i, result in zip(batch, results, strict=True):
        made[i] = result.sequences_ids[0]
tell(made, tokenizer, seconds=time.perf_counter() - start, converting=converting)
del generator  # while Python is there, or its threads end the process with an error
