"""`hfcli env`: describe the machine and the installation, for bug reports."""

from __future__ import annotations

from typing import Annotated

import typer

from hfcli.cli import options


def env_command(
    context: typer.Context,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Train two steps and write ten tokens with the bundled model; exit 5 on failure.",
        ),
    ] = False,
    json: options.Json = False,
) -> None:
    """Show versions, machine, cache folders, speed-ups and variables.

    Nothing private is in it: paths have ~ for your home folder, and no token is shown.
    """
    _env(context, check=check, json=json)


def _env(context: typer.Context, *, check: bool, json: bool) -> None:
    from hfcli.cli.variables import OWN, known_variables
    from hfcli.environment import describe_environment
    from hfcli.errors import RunError
    from hfcli.render.environment import show_environment
    from hfcli.render.streams import write_json

    flags = known_variables(context.find_root().command)
    result = describe_environment(flags=flags, variables=OWN, check=check)
    if json:
        write_json(result.to_dict())
    else:
        show_environment(result)
    if result.check is not None and result.check.error is not None:
        raise RunError(f"the check failed: {result.check.error}")
