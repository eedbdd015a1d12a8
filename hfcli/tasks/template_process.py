"""A chat template, rendered in a process of its own with a limit of memory and of time.

A template is a program that came with a model. jinja2's sandbox keeps it from the machine, not from
`'a' * 10**10` or loops in loops, and no guard inside a process can stop either. So a forked child
renders, with as much memory and processor time as any sound template needs; when it ends, the
template has failed. Text goes through a pipe, which costs less than tokenizing it.

Where there is no fork (Windows), templates are rendered in this process, without a limit.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import signal
import sys
import time
import warnings
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hfcli.errors import ModelError, RunError
from hfcli.foreign import first_line, foreign_errors

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from transformers import PreTrainedTokenizerBase

MEMORY = 1 << 30  # bytes beyond what this process has when it forks
SECONDS = 5  # of processor time for one conversation
LATEST = 60  # seconds after which a child that does not even compute is given up
LONGEST = 1 << 28  # bytes of a rendered conversation
TOO_MUCH = f"it needs more than {MEMORY >> 30} GB of memory"
TOO_LONG = f"it takes more than {SECONDS} seconds of processor time"
TOO_LATE = f"it was not ready after {LATEST} seconds"
DONE, FAILED = b"+", b"-"

_processes: weakref.WeakKeyDictionary[PreTrainedTokenizerBase, TemplateProcess] = (
    weakref.WeakKeyDictionary()
)


def render(tokenizer: PreTrainedTokenizerBase, messages: list[Any], **options: Any) -> str:
    """Apply a tokenizer's chat template to a conversation.

    Args:
        tokenizer: with a chat template.
        messages: at least one.
        options: further arguments of `apply_chat_template`.

    Returns:
        The text, as `apply_chat_template(messages, tokenize=False, **options)` gives it.

    Raises:
        RuntimeError: the template fails, or needs too much memory or time. What failed for that
            reason once is not tried again.
    """
    if not hasattr(os, "fork"):
        text: str = _apply(tokenizer, messages, options)
        return text
    process = _processes.get(tokenizer)
    if process is None or not process.fits(tokenizer):
        process = _processes[tokenizer] = TemplateProcess(tokenizer)
    # What may have been added since the fork, such as a padding token.
    return process.render(messages, {**tokenizer.special_tokens_map, **options})


def _apply(tokenizer: Any, messages: list[Any], options: dict[str, Any]) -> str:
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    return text


class TemplateProcess:
    """A forked child that renders one tokenizer's template, request by request.

    Args:
        tokenizer: as it is now; later changes of its template need another process.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        from multiprocessing.connection import Pipe  # here: it takes 10 ms of every start

        import jinja2.ext
        import jinja2.sandbox  # noqa: F401 - before the fork, since another thread may import

        self.template = tokenizer.chat_template
        self.owner = os.getpid()
        self.failure: str | None = None
        self.connection, child = Pipe()
        with warnings.catch_warnings():
            # The child runs jinja2 and nothing that other threads may have locked.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            _serve(child, tokenizer)
        child.close()
        self._end = weakref.finalize(self, _stop, self.owner, self.pid, self.connection)

    def fits(self, tokenizer: PreTrainedTokenizerBase) -> bool:
        """Whether this process renders what the tokenizer's template is now."""
        return self.owner == os.getpid() and self.template == tokenizer.chat_template

    def render(self, messages: list[Any], options: dict[str, Any]) -> str:
        """See `render`."""
        if self.failure is not None:
            raise RuntimeError(self.failure)
        late = False
        try:
            self.connection.send((messages, options))
            late = not self.connection.poll(LATEST)
            if late:
                os.kill(self.pid, signal.SIGKILL)
            answer = self.connection.recv_bytes()
        except (EOFError, ConnectionError) as e:
            ended = self._why_it_ended()
            self.failure = TOO_LATE if late else ended
            raise RuntimeError(self.failure) from e
        text = answer[1:].decode("utf-8", "surrogatepass")
        if answer[:1] == DONE:
            return text
        if text == TOO_MUCH:
            self.failure = text
        raise RuntimeError(text)

    def _why_it_ended(self) -> str:
        self._end.detach()
        self.connection.close()
        status = 0
        with contextlib.suppress(ChildProcessError):  # where SIGCHLD is ignored
            _, status = os.waitpid(self.pid, 0)
        timed_out = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU
        return TOO_LONG if timed_out else TOO_MUCH


def _stop(owner: int, pid: int, connection: Connection) -> None:
    """Close the pipe, which ends the child, and reap it."""
    if os.getpid() != owner:
        return
    connection.close()
    with contextlib.suppress(ChildProcessError, ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _serve(connection: Connection, tokenizer: Any) -> NoReturn:
    """The child: answer requests until the pipe closes."""
    try:
        _keep_to_itself(connection.fileno())
        _limit_memory()
        while True:
            messages, options = connection.recv()
            _limit_time()
            connection.send_bytes(_answer(tokenizer, messages, options))
    except (EOFError, OSError, MemoryError):
        pass  # the parent is gone, or told by the closed pipe
    finally:
        os._exit(0)


def _answer(tokenizer: Any, messages: list[Any], options: dict[str, Any]) -> bytes:
    try:
        with foreign_errors(ModelError, ""):
            text = _apply(tokenizer, messages, options).encode("utf-8", "surrogatepass")
        return DONE + text if len(text) <= LONGEST else FAILED + TOO_MUCH.encode()
    except RunError:
        return FAILED + TOO_MUCH.encode()
    except ModelError as e:
        return FAILED + first_line(e.__cause__ or e).encode("utf-8", "surrogatepass")


def _keep_to_itself(pipe: int) -> None:
    """Let go of files and locks of the parent, whose end must not wait for this process."""
    gc.disable()
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # the parent's; it closes the pipe
    for ending in (signal.SIGTERM, signal.SIGXCPU):
        signal.signal(ending, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    os.closerange(3, pipe)
    os.closerange(pipe + 1, 65536)


def _limit_memory() -> None:
    import resource

    if sys.platform != "linux":  # others do not enforce it
        return
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY
    _lower(resource.RLIMIT_AS, most)
    _lower(resource.RLIMIT_CORE, 0)


def _limit_time() -> None:
    import resource

    _lower(resource.RLIMIT_CPU, math.ceil(time.process_time()) + SECONDS)


def _lower(kind: int, soft: int) -> None:
    import resource

    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
