"""OpenAI's batch format: one request a line in, one response a line out.

Lines are `{"custom_id": ..., "body": {"messages": [...]}}`, or `body.prompt`. The fields of a
body that hfcli cannot honour are errors of that row, not silently left out. `created` is always
0, so that the same run writes the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from hfcli.errors import DataError
from hfcli.recipe.sections import GenerationSettings

SETTINGS = {
    "max_tokens": "max_new_tokens",
    "max_completion_tokens": "max_new_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
}
HERE = {"messages", "prompt", "n", "stop", "seed", "tools", *SETTINGS}
WITHOUT_EFFECT = {"model", "user", "metadata", "store", "stream"}  # nothing of the text
# Values of fields that are not known here which ask for nothing; many clients write them.
NEUTRAL: dict[str, Any] = {
    "presence_penalty": 0, "frequency_penalty": 0, "best_of": 1, "tool_choice": "auto",
    "parallel_tool_calls": True,
}  # fmt: skip
MOST_TEXTS = 1000  # of a line
LARGEST_SEED = 2**64
FINISH = {"stop": "stop", "stop_string": "stop", "length": "length"}


@dataclass(frozen=True)
class BatchLine:
    """One line of the input.

    Args:
        prompt: text, or a conversation.
        settings: what the body sets, as GenerationConfig names it.
        n: texts wanted; None: as the command says.
        stops: as the body says; None: as the command says.
        seed: None: the command's.
        tools: that the conversation may use.
    """

    custom_id: str
    prompt: str | list[dict[str, Any]]
    settings: dict[str, Any]
    n: int | None
    stops: tuple[str, ...] | None
    seed: int | None
    tools: Any = None


def is_batch_line(values: dict[str, Any]) -> bool:
    """Whether a row is in this format."""
    return "custom_id" in values and isinstance(values.get("body"), dict)


def read_line(values: dict[str, Any]) -> BatchLine:
    """Check one line.

    Raises:
        DataError: what it asks for cannot be done.
    """
    body: dict[str, Any] = values["body"]
    unknown = [n for n in body if n not in HERE | WITHOUT_EFFECT and not _asks_nothing(n, body[n])]
    if unknown:
        names = ", ".join(name[:60] for name in unknown[:5])
        raise DataError(f"body: {names} cannot be honoured here")
    prompt = body["messages"] if "messages" in body else body.get("prompt")
    if not isinstance(prompt, list if "messages" in body else str | list):
        raise DataError("body: needs messages, or prompt as a text")
    if "tools" in body and "messages" not in body:
        raise DataError("body: tools need messages, a prompt cannot use them")
    settings = {SETTINGS[n]: v for n, v in body.items() if n in SETTINGS and v is not None}
    try:
        GenerationSettings(**settings)
    except ValidationError as e:
        first = e.errors()[0]
        raise DataError(f"body: {'.'.join(map(str, first['loc']))}: {first['msg']}") from e
    n = _whole(body, "n", 1, MOST_TEXTS)
    seed = _whole(body, "seed", -LARGEST_SEED, LARGEST_SEED)
    custom_id = str(values["custom_id"])
    return BatchLine(custom_id, prompt, settings, n, _stops(body), seed, body.get("tools"))


def _whole(body: dict[str, Any], name: str, least: int, most: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        found = repr(value)[:60]
        raise DataError(
            f"body: {name} must be a whole number of {least:,} to {most:,}, not {found}"
        )
    return value


def _stops(body: dict[str, Any]) -> tuple[str, ...] | None:
    stop = body.get("stop")
    if stop is None:
        return None
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(one, str) and one for one in stops):
        found = repr(stop)[:200]
        raise DataError(f"body: stop must be a text or a list of texts, found {found}")
    return tuple(stops)


def _asks_nothing(name: str, value: Any) -> bool:
    return value is None or value is False or (name in NEUTRAL and value == NEUTRAL[name])


def response(records: list[dict[str, Any]], model: str) -> dict[str, Any]:
    """The records of one line -> the line of the output."""
    first = records[0]
    error = first["error"]
    body: dict[str, Any] | None = None
    if error is None:
        chat = bool(first.get("chat"))
        used = first["n_prompt_tokens"]
        new = sum(record["n_new_tokens"] for record in records)
        body = {
            "id": f"hfcli-{first['id']}",
            "object": "chat.completion" if chat else "text_completion",
            "created": 0,
            "model": model,
            "choices": [_choice(record, chat) for record in records],
            "usage": {
                "prompt_tokens": used,
                "completion_tokens": new,
                "total_tokens": used + new,
            },
        }
    return {
        "id": f"hfcli-{first['id']}",
        "custom_id": first["id"],
        "response": body and {"status_code": 200, "request_id": first["id"], "body": body},
        "error": error and {"code": "invalid_request", "message": error},
    }


def _choice(record: dict[str, Any], chat: bool) -> dict[str, Any]:
    message = {"role": "assistant", "content": record["text"]}
    return {
        "index": record["sample"],
        **({"message": message} if chat else {"text": record["text"]}),
        "logprobs": record.get("logprobs"),
        "finish_reason": FINISH[record["finish_reason"]],
    }
