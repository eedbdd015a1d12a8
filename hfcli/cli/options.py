"""Options that several commands share: each one's type and help, and the groups they come in."""

from __future__ import annotations

from dataclasses import dataclass
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
TextColumn = Annotated[
    str | None,
    typer.Option("--text-column", "--text", help="Column with the text.", show_default=False),
]
LabelColumn = Annotated[
    str | None,
    typer.Option("--label-column", "--label", help="Column with the label.", show_default=False),
]
ColumnNames = Annotated[
    str | None,
    typer.Option(
        help="Names for the columns of files without a header line: text,label.",
        show_default=False,
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Encoding of the files, such as latin-1, cp1252 or utf-16. Default: utf-8.",
        show_default=False,
    ),
]
OnBadRow = Annotated[
    str | None,
    typer.Option(
        metavar="error|skip",
        help="Rows that cannot be read, or miss a text or label. Default: error.",
        show_default=False,
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Do not access the network.")]
Without = Annotated[
    list[str] | None,
    typer.Option(
        help="Disable an optimization: lean-start, forward, prepack, guesses,"
        " bfloat16 or gguf-cache; repeatable.",
        show_default=False,
    ),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", help="Show the choices made for this machine, and why.")
]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON object to stdout.")]
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
MaxNewTokens = Annotated[
    int | None,
    typer.Option(min=1, help="Maximum number of new tokens. Default: the model's, else 128."),
]
Stop = Annotated[
    list[str] | None,
    typer.Option(
        help="End the text before this string; special tokens count. \\n, \\t and \\\\ are a"
        " line end, a tab and a backslash. Repeatable.",
        show_default=False,
    ),
]
System = Annotated[
    str | None,
    typer.Option("--system", "-s", help="System message of a chat model.", show_default=False),
]
ChatTemplate = Annotated[
    bool | None,
    typer.Option(
        "--chat-template/--no-chat-template",
        help="Apply the model's chat template, or continue the raw text."
        " Default: apply it where the model has one.",
        show_default=False,
    ),
]


@dataclass(frozen=True, kw_only=True)
class DecodingFlags:
    """How tokens are chosen; None: as the model's generation_config says."""

    max_new_tokens: MaxNewTokens = None
    do_sample: Annotated[
        bool | None,
        typer.Option("--do-sample/--greedy", help="Sample, or take the most likely token."),
    ] = None
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Sampling temperature; 0 is greedy. Default: the model's; 0.7 where its"
            " generation_config.json has no sampling settings.",
        ),
    ] = None
    top_k: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Sample from the k most likely tokens; 0: all. Default: the model's, else 50.",
        ),
    ] = None
    top_p: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Sample from this share of probability; 0 is greedy."),
    ] = None
    min_p: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Minimum probability, relative to the most likely token."),
    ] = None
    repetition_penalty: Annotated[
        float | None, typer.Option(help="Penalty for repeated tokens; above 1: repeat less.")
    ] = None
    stop: Stop = None
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**32 - 1, help="Random seed; the same seed gives the same text."),
    ] = 0


@dataclass(frozen=True, kw_only=True)
class ModelFlags:
    """Which model writes, and how its weights are held."""

    model: Model = None
    revision: Revision = None
    adapter: Annotated[
        str | None,
        typer.Option(help="LoRA adapter for the model: folder or Hub id.", show_default=False),
    ] = None
    engine: Annotated[
        str, typer.Option(help="transformers, llama-cpp for GGUF files, or vllm on a GPU.")
    ] = "transformers"
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ...; auto: the best available.")
    ] = "auto"
    dtype: Annotated[
        str,
        typer.Option(
            help="auto, float32, bfloat16 or float16; auto on a CPU: float32, for large models"
            " bfloat16 where it is faster and texts do not depend on their batch."
        ),
    ] = "auto"
    without: Without = None
    verbose: Verbose = False
    load_in: Annotated[
        str | None,
        typer.Option(help="Quantize the weights: 8bit or 4bit (bitsandbytes).", show_default=False),
    ] = None
    allow_pickle: Annotated[
        bool,
        typer.Option("--allow-pickle", help="Load weights that are pickles; they can run code."),
    ] = False
    trust_remote_code: Annotated[
        bool,
        typer.Option(
            "--trust-remote-code",
            help="Run code that comes with the model; a Hub id needs --revision COMMIT.",
        ),
    ] = False
    offline: Offline = False
