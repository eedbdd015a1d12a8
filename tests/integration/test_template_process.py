"""Chat templates are rendered as transformers does it, and never fill memory or run on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from hfcli.errors import DataError
from hfcli.tasks import template_process
from hfcli.tasks.chat_templates import Conversation, chat_ids
from hfcli.tasks.template_process import TOO_LONG, TOO_MUCH, render
from hfcli.tasks.templates import fill_template
from tests.fuzz.bombs import FAILING, SOUND

ASKED = [
    {"role": "user", "content": "Wie heißt \ud83d\ude00 \x1b[31m?".encode("utf-16", "surrogatepass")
     .decode("utf-16")},
    {"role": "assistant", "content": "The harbour."},
    {"role": "user", "content": "And then?"},
]  # fmt: skip
# One of each kind; `make fuzz` has more.
KINDS = {
    "{{ 'a'*10**10 }}": TOO_MUCH,
    "{{ messages|tojson(indent=10**9) }}": TOO_MUCH,
    "{{ '%1000000000s' % 'a' }}{{ '%1000000000s' % 'b' }}": TOO_MUCH,
    "{% set n = namespace(s='a') %}{% for x in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}": (
        TOO_MUCH
    ),
    "{% for x in range(99999) %}{% for y in range(99999) %}{% endfor %}{% endfor %}": TOO_LONG,
    "{{ 10**(10**10) }}": TOO_LONG,
}  # fmt: skip


@pytest.fixture
def tokenizer(tiny_gpt2: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_gpt2)


@pytest.mark.parametrize("template", SOUND)
@pytest.mark.parametrize("opened", [False, True])
def test_a_sound_template_gives_what_transformers_gives(
    tokenizer: Any, template: str, opened: bool
) -> None:
    tokenizer.chat_template = template
    own = tokenizer.apply_chat_template(ASKED, add_generation_prompt=opened, return_dict=False)
    assert len(own) > 10
    assert chat_ids(tokenizer, Conversation(ASKED), opened=opened) == own


def test_one_process_renders_many_conversations_and_follows_the_tokenizer(tokenizer: Any) -> None:
    tokenizer.chat_template = "{{ messages[0].content }}{{ pad_token }}"
    assert render(tokenizer, [{"role": "user", "content": "x"}]) == "x"
    first = template_process._processes[tokenizer].pid
    assert first != os.getpid()
    assert [render(tokenizer, [{"content": str(i)}]) for i in range(50)] == [*map(str, range(50))]
    tokenizer.pad_token = tokenizer.eos_token
    assert render(tokenizer, [{"content": "x"}]) == f"x{tokenizer.eos_token}"
    assert template_process._processes[tokenizer].pid == first
    tokenizer.chat_template = "other"
    assert render(tokenizer, ASKED) == "other"
    assert template_process._processes[tokenizer].pid != first


@pytest.mark.parametrize("template", FAILING)
def test_a_template_that_fails_is_told_in_a_line_and_the_next_row_is_rendered(
    tokenizer: Any, template: str
) -> None:
    tokenizer.chat_template = (
        "{% if messages | length < 2 %}fine{% else %}" + template + "{% endif %}"
    )
    try:
        render(tokenizer, ASKED[:1])
    except RuntimeError:  # it does not compile
        return
    told = refusal(tokenizer)
    assert told is None or (told.isprintable() and len(told.splitlines()) == 1)
    assert render(tokenizer, ASKED[:1]) == "fine"


def refusal(tokenizer: Any) -> str | None:
    """What is said of a conversation, None where it has ids."""
    try:
        chat_ids(tokenizer, Conversation(ASKED), opened=True)
    except DataError as e:
        return e.message
    return None


def test_templates_fail_that_should(tokenizer: Any) -> None:
    failed = 0
    for template in FAILING:
        tokenizer.chat_template = template
        failed += refusal(tokenizer) is not None
    assert failed >= len(FAILING) - 3  # some expressions are only empty


@pytest.mark.parametrize(("template", "why"), KINDS.items())
def test_no_template_fills_memory_or_runs_on(
    tokenizer: Any, template: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template_process, "SECONDS", 1)
    monkeypatch.setattr(template_process, "MEMORY", 1 << 29)
    monkeypatch.setattr(template_process, "LONGEST", 1 << 24)
    tokenizer.chat_template = template
    start = time.process_time()
    with pytest.raises(DataError) as e:
        chat_ids(tokenizer, Conversation(ASKED), opened=True)
    assert why in e.value.message
    with pytest.raises(DataError, match="it "):
        chat_ids(tokenizer, Conversation(ASKED), opened=True)
    assert time.process_time() - start < 1, "a bomb is not tried again"


def test_a_process_that_stands_still_is_given_up(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer.chat_template = "{{ messages[0].content }}"
    asked = [{"role": "user", "content": "x"}]
    assert render(tokenizer, asked) == "x"
    pid = template_process._processes[tokenizer].pid
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(template_process, "LATEST", 0.3)
    for _ in range(2):  # nor is it tried again
        with pytest.raises(RuntimeError, match="not ready after"):
            render(tokenizer, asked)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_no_process_is_left_when_the_tokenizer_goes(tokenizer: Any) -> None:
    import copy
    import gc

    own = copy.deepcopy(tokenizer)
    own.chat_template = "x"
    render(own, ASKED)
    pid = template_process._processes[own].pid
    os.kill(pid, 0)
    del own
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_template_of_hfcli_has_no_widths() -> None:
    assert fill_template("{a:>1000000000}{a!r:1000000000}", {"a": "x"}) == "xx"
