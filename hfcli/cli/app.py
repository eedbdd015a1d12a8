"""The Typer app and `main`, the only place where errors become a line and an exit code.

Commands are registered here; they import the rooms that do the work inside their functions, so
that help and recipe errors never wait for torch.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Annotated, Any

import typer

from hfcli import __version__
from hfcli.cli.chat import chat_command
from hfcli.cli.compare import compare_command
from hfcli.cli.env import env_command
from hfcli.cli.evaluate import evaluate_command
from hfcli.cli.export import export_app
from hfcli.cli.finetune import finetune_command
from hfcli.cli.generate import generate_command
from hfcli.cli.recipes import recipes_app
from hfcli.cli.typed import TypedCommand
from hfcli.errors import HfcliError
from hfcli.faults import environment_errors
from hfcli.render.streams import (
    StdoutClosed,
    close_stdout,
    lossy_stderr,
    write_err,
    write_error,
    write_out,
)
from hfcli.shown import cut_line, visible_line

USAGE = 2
# What Typer raises for anything it cannot parse; it has no public name.
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
CLOSED_PIPE = 141  # 128 + SIGPIPE, what a shell shows for it
QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DATASETS_VERBOSITY": "error",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "true",
    # Looking for plugins reads the metadata of every installed package: 30 ms of each start.
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
}

app = typer.Typer(
    name="hfcli",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Text, tuned models and numbers you can trust from Hugging Face Transformers.",
)
app.command("generate", cls=TypedCommand)(generate_command)
app.command("chat", cls=TypedCommand)(chat_command)
app.command("finetune", cls=TypedCommand)(finetune_command)
app.command("eval", cls=TypedCommand)(evaluate_command)
app.command("compare", cls=TypedCommand)(compare_command)
app.command("env", cls=TypedCommand)(env_command)
app.add_typer(recipes_app, name="recipes")
app.add_typer(export_app, name="export")


def _version(wanted: bool) -> None:
    if wanted:
        write_out(f"hfcli {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _show_usage_error(error: Any) -> None:
    """As Typer does, with what was typed cut and escaped: usage, where help is, and the error."""
    message = error.format_message()
    if message.startswith("Usage: "):  # nothing was typed: the message is the help
        write_err(message)
        return
    if error.ctx is not None:
        help_flag = f"{error.ctx.command_path} {error.ctx.help_option_names[0]}"
        write_err(f"{error.ctx.get_usage()}\nTry '{help_flag}' for help.\n")
    write_err(f"Error: {visible_line(cut_line(message))}")


def main() -> None:
    """Run the command line; known errors end in one line, a hint and their exit code."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # Whoever starts hfcli may have closed them.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    sys.stderr = lossy_stderr(sys.stderr)
    try:
        with environment_errors():
            code = app(prog_name="hfcli", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except USAGE_ERROR as e:
        _show_usage_error(e)
        sys.exit(USAGE)
    except HfcliError as e:
        if os.environ.get("HFCLI_DEBUG"):
            raise
        write_error(e)
        close_stdout()
        sys.exit(e.exit_code)
    except StdoutClosed:
        sys.exit(CLOSED_PIPE)
    finally:
        gc.freeze()  # the process ends: what is left need not be looked through once more
