"""What every peer's script does with its file of prompts, and with its result."""

import json
from typing import Any

from tokenizers import Tokenizer


def read(folder: str, file: str) -> tuple[list[dict[str, Any]], list[list[int]], Tokenizer]:
    """The rows (prompt, max_tokens), the ids of each prompt, and the tokenizer."""
    with open(file) as lines:
        rows = [json.loads(line)["body"] for line in lines]
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    prompts = [encoded.ids for encoded in tokenizer.encode_batch([row["prompt"] for row in rows])]
    return rows, prompts, tokenizer


def tell(
    made: list[list[int]], tokenizer: Tokenizer, *, seconds: float, converting: float = 0.0
) -> None:
    """Print what was done: the ids made of each row, and how long it took."""
    told = {
        "seconds": seconds,
        "converting": converting,
        "rows": len(made),
        "tokens": sum(map(len, made)),
        "text": tokenizer.decode(made[0], skip_special_tokens=False),
    }
    print(json.dumps(told))
