"""Option types that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Hub id, local folder, GGUF file, adapter folder, folder written by finetune, or"
        " `bundled`. Default: HFCLI_MODEL, else openai-community/gpt2.",
        show_default=False,
    ),
]
Revision = Annotated[
    str | None, typer.Option(help="Branch, tag or commit of a Hub model.", show_default=False)
]
Device = Annotated[
    str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ...; auto takes the best there is.")
]
Dtype = Annotated[
    str, typer.Option(help="auto, float32, bfloat16 or float16; auto: float32 on CPU.")
]
Offline = Annotated[bool, typer.Option("--offline", help="Open no socket.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a recipe key, such as training.learning_rate=1e-4; repeatable.",
        show_default=False,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Overrides, as with --set.", show_default=False),
]
