"""Options that several commands share: each one's type and help, and the groups they come in."""

from dataclasses import dataclass
from typing import Annotated

import typer

from hfcli.cli.typed import option
from hfcli.fast import names

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Hub id, local folder, GGUF file or `bundled`. Default: HFCLI_MODEL, else GPT-2.",
    ),
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub model.")]
TextColumn = Annotated[
    str | None, typer.Option("--text-column", "--text", help="Column with the text.")
]
LabelColumn = Annotated[
    str | None,
    typer.Option("--label-column", "--label", help="Column with the label, or the right choice."),
]
ColumnNames = Annotated[
    str | None,
    typer.Option(help="Names for the columns of files without a header line: text,label."),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Encoding of the files, such as latin-1, cp1252 or utf-16. Default: utf-8.",
    ),
]
OnBadRow = Annotated[
    str | None,
    typer.Option(
        metavar="error|skip",
        help="Rows that cannot be read, or miss a text or label. Default: error.",
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Do not access the network.")]
Without = Annotated[
    list[str] | None,
    typer.Option(
        help=f"Disable an optimization: {', '.join(names('inference'))}; repeatable.",
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
    ),
]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Overrides, as with --set.")
]
MaxNewTokens = Annotated[
    int | None,
    typer.Option(min=1, help="Maximum number of new tokens. Default: the model's, else 128."),
]
Stop = Annotated[
    list[str] | None,
    typer.Option(help="End the text before this string (escapes: \\n, \\t, \\\\); repeatable."),
]
System = Annotated[
    str | None, typer.Option("--system", "-s", help="System message of a chat model.")
]
ChatTemplate = Annotated[
    bool | None,
    typer.Option(
        "--chat-template/--no-chat-template",
        help="Apply the chat template, or continue raw text. Default: if there is one.",
    ),
]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DecodingFlags:
    """How tokens are sampled; None: as in the model's generation_config."""

    max_new_tokens: MaxNewTokens = None
    do_sample: bool | None = option(
        None, "Sample, or take the most likely token.", "--do-sample/--greedy"
    )
    temperature: float | None = option(
        None,
        "Sampling temperature; 0 is greedy. Default: the model's, else 0.7.",
        min=0,
    )
    top_k: int | None = option(
        None, "Sample from the k most likely tokens; 0: all. Default: the model's, else 50.", min=0
    )
    top_p: float | None = option(
        None, "Sample from this share of probability; 0 is greedy.", min=0, max=1
    )
    min_p: float | None = option(
        None, "Minimum probability, relative to the most likely token.", min=0, max=1
    )
    repetition_penalty: float | None = option(
        None, "Penalty for repeated tokens; above 1: repeat less."
    )
    stop: Stop = None
    seed: int = option(0, "Random seed; the same seed gives the same text.", min=0, max=2**32 - 1)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ModelFlags:
    """Which model writes, and how its weights are held."""

    model: Model = None
    revision: Revision = None
    adapter: str | None = option(None, "LoRA adapter for the model: folder or Hub id.")
    engine: str = option("transformers", "transformers, llama-cpp (GGUF files) or vllm (on a GPU).")
    device: str = option("auto", "auto, cpu, cuda, cuda:1, mps, ...; auto: the best available.")
    dtype: str = option(
        "auto",
        "auto, float32, bfloat16 or float16; auto: bfloat16 where it is safe and faster.",
    )
    without: Without = None
    verbose: Verbose = False
    load_in: str | None = option(None, "Quantize the weights: 8bit or 4bit (bitsandbytes).")
    allow_pickle: bool = option(False, "Load weights that are pickles; they can run code.")
    trust_remote_code: bool = option(
        False,
        "Run code that comes with the model; a Hub id needs --revision COMMIT.",
    )
    offline: Offline = False
