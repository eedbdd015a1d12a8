"""Other tools that can write one text: sides of a case, which join in where they are installed.

Each script converts the model for its tool where that is not done yet, and times decoding alone.
Runs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.case import Outcome, Side
from benchmarks.processes import Finished, plain


def decoders(
    model: Path, gguf: Path, prompt: str, n: int, measure: Callable[[Finished], Outcome]
) -> list[Side]:
    """One text of `n` tokens, greedy, whatever the model says of its end.

    vLLM is not among them: it pins a torch of its own, and was never run on the machine of
    docs/performance.md.
    """

    def side(name: str, needs: str, script: str, source: Path, *kind: str) -> Side:
        command = plain(script, str(source), prompt, str(n), *kind)
        return Side(name, lambda _folder: command, measure, needs)

    return [
        side("llama.cpp, float16", "llama_cpp", "peer_llama_cpp.py", gguf, "float16"),
        side("llama.cpp, Q8_0", "llama_cpp", "peer_llama_cpp.py", gguf, "q8_0"),
        side("CTranslate2, int8", "ctranslate2", "peer_ctranslate2.py", model, "int8"),
        side("OpenVINO, bfloat16", "openvino", "peer_openvino.py", model),
    ]
