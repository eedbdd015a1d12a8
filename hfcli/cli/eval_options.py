"""The options that only `hfcli eval` has: windows, questions, suites and gates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PromptColumn = Annotated[
    str | None, typer.Option(help="Questions: default prompt.", show_default=False)
]
ReferenceColumn = Annotated[
    str | None,
    typer.Option(
        help="generate-until: the right text, or a list of them. Default: reference.",
        show_default=False,
    ),
]
ChoicesColumn = Annotated[
    str | None,
    typer.Option(
        help="multiple-choice: a list of texts; --label is the right one. Default: choices.",
        show_default=False,
    ),
]
FewShot = Annotated[
    str | None,
    typer.Option(help="Questions: file with solved examples.", show_default=False),
]
NumFewshot = Annotated[
    int | None,
    typer.Option(min=1, help="So many of them before each prompt.", show_default=False),
]
Suite = Annotated[
    str | None,
    typer.Option(
        metavar="lm-eval:TASK[,TASK]",
        help="Standard tasks, by lm-evaluation-harness (pip install 'hfcli[lm-eval]').",
        show_default=False,
    ),
]
SuitePath = Annotated[
    Path | None,
    typer.Option(help="Folder with tasks (YAML) of your own for --suite.", show_default=False),
]
SuiteLimit = Annotated[
    int | None, typer.Option(min=1, help="Rows of each task of --suite.", show_default=False)
]
FailUnder = Annotated[
    list[str] | None,
    typer.Option(
        metavar="METRIC=VALUE", help="Exit with 7 below this; repeatable.", show_default=False
    ),
]
FailOver = Annotated[
    list[str] | None,
    typer.Option(
        metavar="METRIC=VALUE", help="Exit with 7 above this; repeatable.", show_default=False
    ),
]
FailUnderCi = Annotated[
    list[str] | None,
    typer.Option(
        metavar="METRIC=VALUE",
        help="Exit with 7 when the interval's lower bound is below this; repeatable.",
        show_default=False,
    ),
]
Baseline = Annotated[
    Path | None,
    typer.Option(help="report.json to compare with by --max-drop.", show_default=False),
]
MaxDrop = Annotated[
    list[str] | None,
    typer.Option(
        metavar="METRIC=VALUE",
        help="Exit with 7 when it is worse than the baseline by more; repeatable.",
        show_default=False,
    ),
]
Context = Annotated[
    int | None,
    typer.Option(min=1, help="Perplexity: tokens in a window.", show_default=False),
]
Stride = Annotated[
    int | None,
    typer.Option(min=1, help="Perplexity: tokens a window moves on.", show_default=False),
]
Windows = Annotated[
    str | None,
    typer.Option(
        help="Perplexity as defined by: full (every token once), hf-docs, lm-eval, llama.cpp.",
        show_default=False,
    ),
]
