"""The Typer app and `main`, the only place where errors become a line and an exit code.

Commands are registered here; they import the rooms that do the work inside their functions, so
that help and recipe errors never wait for torch.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Annotated

import typer

from hfcli import __version__, garbage
from hfcli.cli.chat import chat_command
from hfcli.cli.compare import compare_command
from hfcli.cli.evaluate import evaluate_command
from hfcli.cli.export import export_app
from hfcli.cli.finetune import finetune_command
from hfcli.cli.generate import generate_command
from hfcli.cli.recipes import recipes_app
from hfcli.errors import HfcliError
from hfcli.faults import environment_errors
from hfcli.render.streams import (
    StdoutClosed,
    close_stdout,
    lossy_stderr,
    write_error,
    write_out,
)

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
app.command("generate")(generate_command)
app.command("chat")(chat_command)
app.command("finetune")(finetune_command)
app.command("eval")(evaluate_command)
app.command("compare")(compare_command)
app.add_typer(recipes_app, name="recipes")
app.add_typer(export_app, name="export")


def _version(wanted: bool) -> None:
    if wanted:
        write_out(f"hfcli {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; known errors end in one line, a hint and their exit code."""
    garbage.put_off()
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # Whoever starts hfcli may have closed them.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    sys.stderr = lossy_stderr(sys.stderr)
    try:
        with environment_errors():
            app(prog_name="hfcli")
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
