"""`hfcli chat`: a conversation on the terminal, or line by line from a pipe."""

from __future__ import annotations

import contextlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hfcli.cli.options import DecodingFlags, ModelFlags, System
from hfcli.cli.typed import command_of, option
from hfcli.errors import DataError, HfcliError, RecipeError

if TYPE_CHECKING:
    from hfcli.generation.chat import Conversation

COMMANDS = ("/help", "/reset", "/undo")
WITH_FILE = ("/save", "/load")
UNKNOWN = re.compile(r"/[A-Za-z]+")  # all of a line; with more to it, it is text: /etc/hosts
HELP = """\
/save FILE   save the conversation as JSON      /undo    remove the last turn
/load FILE   load a saved conversation          /reset   clear the conversation
Ctrl-C       stop the answer, keep its text     Ctrl-D   leave"""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ChatRequest(DecodingFlags, ModelFlags):
    """Chat with a model in the terminal. Earlier turns stay in the KV cache.

    Type /help for the commands. From a pipe, each line is a question; the exit code is that of the
    first line that failed.
    """

    max_new_tokens: int | None = option(
        None, "Maximum new tokens of an answer. Default: the model's, else 512.", min=1
    )
    system: System = None
    chat_template: bool = option(
        True,
        "Apply the model's chat template, or write plain lines for a model without one.",
        "--chat-template/--no-chat-template",
    )


def _chat(request: ChatRequest) -> None:
    from hfcli.cli import validate
    from hfcli.fast import startup
    from hfcli.generation.chat import open_conversation
    from hfcli.render.progress import Reporter

    settings = validate.generation_settings(request)
    choice = validate.model_choice(request)
    startup.allow()
    with Reporter(stream_text=True, verbose=request.verbose) as listener:
        conversation = open_conversation(
            choice=choice,
            settings=settings,
            system=request.system,
            chat_template=request.chat_template,
            seed=request.seed,
            listener=listener,
            engine=request.engine,
            stops=validate.stop_strings(request.stop),
        )
    code = converse(conversation)
    if code:
        raise typer.Exit(code)


chat_command = command_of(ChatRequest, _chat)


def converse(conversation: Conversation) -> int:
    """Read and answer lines until there are no more.

    Returns:
        Exit code: that of the first line of a pipe that failed; 0 on a terminal.
    """
    from hfcli.cli.stdin import tell_if_waiting
    from hfcli.render.streams import write_err

    terminal = sys.stdin.isatty()
    code = 0
    if terminal:
        write_err(f"{conversation.loaded.source.name}: /help for commands, Ctrl-D leaves")
    else:
        tell_if_waiting()
    while True:
        try:
            line = _read_line(terminal)
            if line is None:
                return 0 if terminal else code
            failed = _obey(conversation, line)
            code = code or failed
        except KeyboardInterrupt:
            if not terminal:
                raise
            write_err("\nCtrl-D leaves")


def _read_line(terminal: bool) -> str | None:
    if not terminal:
        try:
            line = sys.stdin.readline()
        except UnicodeDecodeError as e:
            raise DataError(f"stdin: not UTF-8 text ({e.reason})") from e
        return line.removesuffix("\n") if line else None
    with contextlib.suppress(ImportError):  # Windows has no such module, and edits by itself
        import readline  # noqa: F401 - gives input() its editing and history

    if not sys.stdout.isatty():  # stdout is for answers
        sys.stderr.write("> ")
        sys.stderr.flush()
    try:
        return input("> " if sys.stdout.isatty() else "")
    except EOFError:
        sys.stderr.write("\n")
        return None


def _obey(conversation: Conversation, line: str) -> int:
    """Run a command or send a question; return the exit code of its error, or 0."""
    from hfcli.render.streams import write_error

    try:
        if _is_command(line):
            _command(conversation, line)
        elif line.strip():
            _ask(conversation, line)
    except HfcliError as e:
        write_error(e)
        return e.exit_code
    return 0


def _is_command(line: str) -> bool:
    """Return whether a line is a command, known or not, instead of a question with a slash."""
    text = line.rstrip()
    return text in COMMANDS or text.split(" ")[0] in WITH_FILE or bool(UNKNOWN.fullmatch(text))


def _ask(conversation: Conversation, text: str) -> None:
    from hfcli.render.streams import write_err, write_model_text, write_out

    try:
        reply = conversation.say(text, write_model_text)
    except DataError as e:
        raise DataError(e.message, hint="/undo removes the last turn, /reset all turns") from e
    write_out("\n")
    speed = reply.n_new_tokens / reply.seconds if reply.seconds else 0.0
    stopped = ", stopped" if reply.interrupted else ""
    write_err(
        f"[{reply.n_new_tokens} tokens, {speed:.1f} tokens/s; prompt: {reply.n_read} new,"
        f" {reply.n_kept} cached{stopped}]"
    )


def _command(conversation: Conversation, line: str) -> None:
    from hfcli.render.streams import write_err

    name, _, argument = line.rstrip().partition(" ")
    argument = argument.strip()
    match name:
        case "/help":
            write_err(HELP)
        case "/reset":
            conversation.reset()
            write_err("conversation cleared")
        case "/undo":
            write_err("last turn removed" if conversation.undo() else "no turn to remove")
        case "/save" | "/load" if not argument:
            raise RecipeError(f"{name} needs a file name")
        case "/save":
            conversation.save(Path(argument).expanduser())
            write_err(f"{len(conversation.messages)} messages in {argument}")
        case "/load":
            conversation.load(Path(argument).expanduser())
            write_err(f"{len(conversation.messages)} messages from {argument}")
        case _:
            raise RecipeError(f"unknown command {name}", hint=HELP)
