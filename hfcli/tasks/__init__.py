"""The tasks hfcli knows. The union is the registry: errors, help and tests take names from it."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from hfcli.tasks.base import Task
from hfcli.tasks.text_classification import TextClassification
from hfcli.tasks.text_generation import TextGeneration

AnyTask = Annotated[TextGeneration | TextClassification, Field(discriminator="name")]


def task_classes() -> dict[str, type[Task]]:
    """Task name -> class, in the order of the union."""
    union = get_args(AnyTask)[0]
    return {cls.model_fields["name"].default: cls for cls in get_args(union)}


def task_names() -> list[str]:
    """The names a recipe may give."""
    return list(task_classes())
