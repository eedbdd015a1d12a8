"""The tasks hfcli knows. The unions are the registries: errors and help take names from them.

`AnyTask` are those of recipes; `AnyQuestion` those that `hfcli eval` asks and nobody trains.
"""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from hfcli.tasks.base import Task
from hfcli.tasks.generate_until import GenerateUntil
from hfcli.tasks.multiple_choice import MultipleChoice
from hfcli.tasks.question import Question
from hfcli.tasks.text_classification import TextClassification
from hfcli.tasks.text_generation import TextGeneration

AnyTask = Annotated[TextGeneration | TextClassification, Field(discriminator="name")]
AnyQuestion = Annotated[GenerateUntil | MultipleChoice, Field(discriminator="name")]


def task_classes() -> dict[str, type[Task]]:
    """Task name -> class, in the order of the union."""
    union = get_args(AnyTask)[0]
    return {cls.model_fields["name"].default: cls for cls in get_args(union)}


def task_names() -> list[str]:
    """The names a recipe may give."""
    return list(task_classes())


def question_classes() -> dict[str, type[Question]]:
    """The same of what is asked and not trained."""
    union = get_args(AnyQuestion)[0]
    return {cls.model_fields["name"].default: cls for cls in get_args(union)}
