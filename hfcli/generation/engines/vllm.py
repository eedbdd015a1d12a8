"""vLLM for bulk runs on a GPU: the optional extra `hfcli[vllm]`.

Takes the same requests and gives the same records. Its arithmetic depends on the batch, so equal
runs may differ in a token; a seed is passed on for every row. Knows nothing about files.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from types import SimpleNamespace
from typing import Any

from hfcli.errors import RecipeError, RunError
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.loading import find_model
from hfcli.generation.request import Counts, Finished, Request
from hfcli.generation.stream import special_tokens
from hfcli.models.generation_config import FILE, load_generation_config
from hfcli.models.load import LoadedModel
from hfcli.models.options import LoadOptions, needs_pickle
from hfcli.models.resolve import ModelSource
from hfcli.models.tokenizer import load_tokenizer
from hfcli.origins import as_typed

INSTALL = "pip install 'hfcli[vllm]'"
WINDOW = 4096  # requests handed over together; vLLM schedules among them
# This project's name of a number type -> vLLM's.
DTYPES = {name: name for name in ("auto", "float32", "bfloat16", "float16")}


def open_engine(options: EngineOptions) -> VllmEngine:
    """Load the model into vLLM.

    Raises:
        RunError: vLLM is not installed.
        RecipeError: an option it does not have.
        ModelError: see `hfcli.models`.
    """
    if importlib.util.find_spec("vllm") is None:
        raise RunError("the engine vllm is not installed", hint=INSTALL)
    found = find_model(options.choice, options.listener)
    arguments = engine_arguments(found.source, options)
    import vllm

    return VllmEngine(vllm.LLM(**arguments), found.source)


def engine_arguments(source: ModelSource, options: EngineOptions) -> dict[str, Any]:
    """Keyword arguments of `vllm.LLM`.

    Raises:
        RecipeError: an option that has no counterpart.
        ModelError: the weights are a pickle, and it is not allowed.
    """
    choice = options.choice
    refused = {
        "an adapter folder; merge it first": source.adapter_base() is not None,
        as_typed("--prompt-lookup"): options.prompt_lookup,
        as_typed("--draft-model"): options.draft_model is not None,
        as_typed("--adapter"): choice.adapter is not None,
        as_typed("--load-in"): choice.load_in is not None,
        f"{as_typed('--device')} {choice.device}": choice.device not in ("auto", "cuda"),
    }
    for flag, given in refused.items():
        if given:
            raise RecipeError(f"the engine vllm does not take {flag}")
    needs_pickle(source, LoadOptions(allow_pickle=choice.allow_pickle))
    folder = source.folder / source.gguf_file if source.gguf_file else source.folder
    arguments: dict[str, Any] = {
        "model": str(folder),
        "dtype": DTYPES[choice.dtype],
        "trust_remote_code": choice.trust_remote_code,
        "disable_log_stats": True,
    }
    if options.batch_size is not None:
        arguments["max_num_seqs"] = options.batch_size
    return arguments


def sampling_arguments(
    request: Request, special: Mapping[int, str] | None = None
) -> dict[str, Any]:
    """Keyword arguments of `vllm.SamplingParams` for a request.

    Args:
        request: what is wanted.
        special: special tokens by id, which a stop string can be; vLLM looks at text without them.

    Raises:
        RecipeError: a setting that has no counterpart.
    """
    if request.constraint is not None:
        raise RecipeError("the engine vllm does not take --choices, --regex or --json-schema yet")
    penalty = 1.0
    for processor in request.processors:
        if type(processor).__name__ != "RepetitionPenaltyLogitsProcessor":
            raise RecipeError(f"the engine vllm has no {type(processor).__name__}")
        penalty = float(processor.penalty)  # type: ignore[attr-defined]
    decoding = request.decoding
    return {
        "n": 1,
        "temperature": decoding.temperature,
        "top_k": decoding.top_k if decoding.temperature else 0,  # 0: all
        "top_p": decoding.top_p,
        "min_p": decoding.min_p,
        "repetition_penalty": penalty,
        "max_tokens": request.max_new_tokens,
        "seed": request.seed,
        "stop": list(request.stops) or None,
        "stop_token_ids": sorted({*request.eos, *_stop_tokens(request, special or {})}) or None,
        "logprobs": request.logprobs,
        "skip_special_tokens": True,
        **({"logit_bias": dict.fromkeys(request.never, -100.0)} if request.never else {}),
    }


def _stop_tokens(request: Request, special: Mapping[int, str]) -> set[int]:
    return {i for i, text in special.items() if any(stop in text for stop in request.stops)}


class VllmEngine:
    """See `hfcli.generation.engines.base.Engine`."""

    beams = False

    def __init__(self, llm: Any, source: ModelSource) -> None:
        config = llm.llm_engine.model_config
        model: Any = SimpleNamespace(
            config=config.hf_config,
            dtype=config.dtype,
            device="cuda",
            generation_config=_generation_config(source),
        )
        self.llm = llm
        self.loaded = LoadedModel(model, load_tokenizer(source), source)
        self.counts = Counts()

    def run(
        self, requests: Iterable[Request], on_text: Callable[[str], None] | None = None
    ) -> Iterator[Finished]:
        """See `Engine.run`; texts come a window at a time."""
        from vllm import SamplingParams

        source = iter(requests)
        special = special_tokens(self.loaded.tokenizer)
        while window := list(islice(source, WINDOW)):
            outputs = self.llm.generate(
                [{"prompt_token_ids": list(request.ids)} for request in window],
                [SamplingParams(**sampling_arguments(request, special)) for request in window],
                use_tqdm=False,
            )
            for request, output in zip(window, outputs, strict=True):
                finished = to_finished(request, output.outputs[0], special)
                self.counts.prompt += len(request.ids)
                self.counts.new += len(finished.ids)
                self.counts.computed += len(request.ids) + len(finished.ids)
                if on_text is not None:
                    on_text(finished.text)
                yield finished


def to_finished(
    request: Request, output: Any, special: Mapping[int, str] | None = None
) -> Finished:
    """A `vllm.CompletionOutput` -> a finished text."""
    stopped = output.finish_reason == "stop"
    by_token = output.stop_reason in _stop_tokens(request, special or {}) - request.eos
    by_string = stopped and (isinstance(output.stop_reason, str) or by_token)
    reason = "stop_string" if by_string else "stop" if stopped else "length"
    told = None
    if output.logprobs is not None and request.logprobs is not None:
        told = [
            _told(token, found, request.logprobs)
            for token, found in zip(output.token_ids, output.logprobs, strict=True)
        ]
    return Finished(request, tuple(output.token_ids), output.text, reason, told)


def _told(token: int, found: Any, alternatives: int) -> dict[str, Any]:
    entries = {
        i: {"token": value.decoded_token, "id": i, "logprob": round(value.logprob, 5)}
        for i, value in found.items()
    }
    top = sorted(entries.values(), key=lambda entry: -entry["logprob"])[:alternatives]
    return {**entries[token], "top": top}


def _generation_config(source: ModelSource) -> Any:
    from transformers import GenerationConfig

    if not (source.folder / FILE).is_file():
        return GenerationConfig()
    return load_generation_config(source.folder)
