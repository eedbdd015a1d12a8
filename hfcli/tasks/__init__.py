"""The tasks hfcli knows. The unions are the registries: errors and help take names from them.

`AnyTask` are those of recipes; `AnyQuestion` those that `hfcli eval` asks and nobody trains. Other
packages add tasks by entry points (`hfcli.plugins`).
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, get_args

from pydantic import Field

from hfcli import plugins
from hfcli.tasks.base import Task
from hfcli.tasks.generate_until import GenerateUntil
from hfcli.tasks.multiple_choice import MultipleChoice
from hfcli.tasks.question import Question
from hfcli.tasks.text_classification import TextClassification
from hfcli.tasks.text_generation import TextGeneration

AnyTask = Annotated[TextGeneration | TextClassification, Field(discriminator="name")]
AnyQuestion = Annotated[GenerateUntil | MultipleChoice, Field(discriminator="name")]


def shipped_tasks() -> dict[str, type[Task]]:
    """Task name -> class of hfcli's own tasks, in the order of the union."""
    union = get_args(AnyTask)[0]
    return {cls.model_fields["name"].default: cls for cls in get_args(union)}


@cache
def task_classes() -> dict[str, type[Task]]:
    """Task name -> class: hfcli's own, then those of other packages.

    Raises:
        RunError: a package of a task cannot be imported.
    """
    own = shipped_tasks()
    added = (name for name in plugins.names(plugins.TASKS) if name not in own)
    return {**own, **{name: plugins.load(plugins.TASKS, name) for name in added}}


def task_names() -> list[str]:
    """The names a recipe may give."""
    return list(task_classes())


def question_classes() -> dict[str, type[Question]]:
    """The same of what is asked and not trained."""
    union = get_args(AnyQuestion)[0]
    return {cls.model_fields["name"].default: cls for cls in get_args(union)}
