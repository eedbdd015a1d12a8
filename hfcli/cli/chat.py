"""`hfcli chat`: a conversation on the terminal, or line by line from a pipe."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hfcli.cli import options
from hfcli.errors import DataError, HfcliError, RecipeError

if TYPE_CHECKING:
    from hfcli.generation.chat import Conversation

COMMANDS = ("/help", "/reset", "/undo")
WITH_FILE = ("/save", "/load")
UNKNOWN = re.compile(r"/[A-Za-z]+")  # all of a line; with more to it, it is text: /etc/hosts
HELP = """\
/save FILE   write the conversation as JSON     /undo    take back the last question
/load FILE   go on with a saved one             /reset   forget everything
Ctrl-C       stop the answer, keep its text     Ctrl-D   leave"""


def chat_command(
    context: typer.Context,
    model: options.Model = None,
    revision: options.Revision = None,
    adapter: options.Adapter = None,
    system: options.System = None,
    chat_template: Annotated[
        bool,
        typer.Option(
            "--chat-template/--no-chat-template",
            help="Use the model's chat template, or plain lines for a model without one.",
        ),
    ] = True,
    max_new_tokens: options.MaxAnswerTokens = None,
    do_sample: options.DoSample = None,
    temperature: options.Temperature = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    min_p: options.MinP = None,
    repetition_penalty: options.RepetitionPenalty = None,
    stop: options.Stop = None,
    seed: options.Seed = 0,
    engine: options.Engine = "transformers",
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    without: options.Without = None,
    verbose: options.Verbose = False,
    load_in: options.LoadIn = None,
    allow_pickle: options.AllowPickle = False,
    trust_remote_code: options.TrustRemoteCode = False,
    offline: options.Offline = False,
) -> None:
    """Talk with a model, here and without a server.

    Each turn reads only what is new. /help lists what can be typed beside questions. From a pipe,
    each line is a question; the exit code is that of the first line that failed.
    """
    _chat(dict(context.params))


def _chat(flags: dict[str, Any]) -> None:
    from hfcli.cli import validate
    from hfcli.fast import startup as lean
    from hfcli.generation.chat import open_conversation
    from hfcli.render.progress import Reporter

    settings = validate.generation_settings(flags)
    choice = validate.model_choice(flags)
    lean.allow()
    with Reporter(stream_text=True, verbose=flags["verbose"]) as listener:
        conversation = open_conversation(
            choice=choice,
            settings=settings,
            system=flags["system"],
            chat_template=flags["chat_template"],
            seed=flags["seed"],
            listener=listener,
            engine=flags["engine"],
            stops=validate.stop_strings(flags["stop"]),
        )
    code = converse(conversation)
    if code:
        raise typer.Exit(code)


def converse(conversation: Conversation) -> int:
    """Read lines until there are no more.

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

    if not sys.stdout.isatty():  # the prompt is no answer
        sys.stderr.write("> ")
        sys.stderr.flush()
    try:
        return input("> " if sys.stdout.isatty() else "")
    except EOFError:
        sys.stderr.write("\n")
        return None


def _obey(conversation: Conversation, line: str) -> int:
    """Do what a line says; the exit code of its error, 0 where there is none."""
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
    """Whether a line is a command, known or not, and no question that begins with a slash."""
    text = line.rstrip()
    return text in COMMANDS or text.split(" ")[0] in WITH_FILE or bool(UNKNOWN.fullmatch(text))


def _ask(conversation: Conversation, text: str) -> None:
    from hfcli.render.streams import write_err, write_model_text, write_out

    try:
        reply = conversation.say(text, write_model_text)
    except DataError as e:
        raise DataError(e.message, hint="/undo takes back a question, /reset all") from e
    write_out("\n")
    speed = reply.n_new_tokens / reply.seconds if reply.seconds else 0.0
    stopped = ", stopped" if reply.interrupted else ""
    write_err(
        f"[{reply.n_new_tokens} tokens, {speed:.1f} tokens/s, {reply.n_read} read,"
        f" {reply.n_kept} kept{stopped}]"
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
            write_err("forgotten")
        case "/undo":
            write_err("taken back" if conversation.undo() else "there is nothing to take back")
        case "/save" | "/load" if not argument:
            raise RecipeError(f"{name} needs the name of a file")
        case "/save":
            conversation.save(Path(argument).expanduser())
            write_err(f"{len(conversation.messages)} messages in {argument}")
        case "/load":
            conversation.load(Path(argument).expanduser())
            write_err(f"{len(conversation.messages)} messages from {argument}")
        case _:
            raise RecipeError(f"unknown command {name}", hint=HELP)
