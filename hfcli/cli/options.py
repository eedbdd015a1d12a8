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
    str,
    typer.Option(
        help="auto, float32, bfloat16 or float16; auto on CPU: float32, for large models"
        " bfloat16 where it is faster and texts do not depend on their batch."
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option(
        help="Switch off what makes it faster: lean-start, forward, prepack, guesses,"
        " bfloat16 or gguf-cache; repeatable.",
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
        help="Rows that cannot be read or lack a text or label. Default: error.",
        show_default=False,
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Open no socket.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", help="Say what was chosen for this machine, and why.")
]
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

MaxNewTokens = Annotated[
    int | None, typer.Option(min=1, help="Longest text in tokens. Default: the model's, else 128.")
]
MaxAnswerTokens = Annotated[
    int | None,
    typer.Option(min=1, help="Longest answer in tokens. Default: the model's, else 512."),
]
Stop = Annotated[
    list[str] | None,
    typer.Option(
        help="End the text before this string; special tokens count. \\n, \\t and \\\\ are a"
        " line end, a tab and a backslash. Repeatable.",
        show_default=False,
    ),
]
DoSample = Annotated[
    bool | None,
    typer.Option("--do-sample/--greedy", help="Sample, or take the likeliest token."),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="Sampling temperature; 0 is greedy. Default: the model's; 0.7 where its"
        " generation_config.json says nothing about sampling.",
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(
        min=0, help="Sample among the k likeliest; 0: among all. Default: the model's, else 50."
    ),
]
TopP = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Sample within this share of probability; 0 is greedy."),
]
MinP = Annotated[
    float | None, typer.Option(min=0, max=1, help="Least probability, as a share of the top's.")
]
RepetitionPenalty = Annotated[float | None, typer.Option(help="Above 1: repeat less.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed gives the same text.")]
System = Annotated[
    str | None,
    typer.Option(
        "--system", "-s", help="What a chat model is told before the prompt.", show_default=False
    ),
]
ChatTemplate = Annotated[
    bool | None,
    typer.Option(
        "--chat-template/--no-chat-template",
        help="Put the prompt into the model's chat template, or continue it as it is."
        " Default: the template, where the model has one.",
        show_default=False,
    ),
]
Adapter = Annotated[
    str | None,
    typer.Option(help="LoRA adapter for the model: folder or Hub id.", show_default=False),
]
LoadIn = Annotated[
    str | None,
    typer.Option(help="8bit or 4bit: quantize the weights (bitsandbytes).", show_default=False),
]
Engine = Annotated[
    str, typer.Option(help="transformers, llama-cpp for GGUF files, or vllm on a GPU.")
]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Load weights that are pickles; they can run code.")
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Run code that comes with the model; a Hub id needs --revision COMMIT.",
    ),
]
