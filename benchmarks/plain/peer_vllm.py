"""vLLM, greedy: all rows are handed over at once, and it chooses what is read together."""

import sys
import time

from parts.peer import read, tell
from vllm import LLM, SamplingParams

# Of this machine's memory, which other programs use as well; a GPU would want more.
CPU = {"gpu_memory_utilization": 0.5}

if __name__ == "__main__":  # it starts processes that import this file again
    folder, kind, file = sys.argv[1:]
    rows, prompts, tokenizer = read(folder, file)
    llm = LLM(model=folder, dtype=kind, max_model_len=1024, max_num_seqs=32, **CPU)
    ways = [
        SamplingParams(temperature=0, max_tokens=row["max_tokens"], ignore_eos=True) for row in rows
    ]
    start = time.perf_counter()
    outputs = llm.generate([{"prompt_token_ids": ids} for ids in prompts], ways, use_tqdm=False)
    seconds = time.perf_counter() - start
    made = [output.outputs[0].token_ids for output in outputs]
    tell(made, tokenizer, seconds=seconds)
